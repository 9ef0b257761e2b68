"""The examples when something is missing or fails; tests/e2e runs them on the real stack."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from aiohttp import web
from comfyui_uiapi.tests.client.conftest import PNG, Blocking
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import picture as made
from comfyui_uiapi.tests.harness.programs import installed_client

# After `installed_client`, which makes the client importable.
from uiapi import Client  # isort: skip
from comfyui_uiapi.client.examples import blender_uiapi, sweep, touchdesigner_uiapi  # isort: skip

RUN = {"prompt_id": "p1", "outputs": [{"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}]}
FAILED = {"status": "error", "code": "execution_failed", "error": "KSampler: no model."}
PICTURE = numpy.zeros((2, 3, 4), numpy.float32)


@pytest.fixture
def working(scripted: Scripted) -> Scripted:
    """A ComfyUI whose runs produce a picture."""
    scripted.answers |= {"run": RUN, "view": lambda _: web.Response(body=PNG)}
    scripted.answers |= {"get_fields": {"A.ckpt": "x"}, "set_fields": {"A.ckpt": {}}}
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": RUN}]
    return scripted


@pytest.fixture
def no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without Pillow, as in Blender and TouchDesigner."""
    monkeypatch.setitem(sys.modules, "PIL", None)


async def test_blender_shows_what_is_missing(working: Scripted, no_pillow: None) -> None:
    job = blender_uiapi.Job(PICTURE, "A.image", working.url)
    job.start()
    await asyncio.to_thread(job.join, 60)
    assert job.result is None and "pip install pillow" in str(job.error)


def test_blenders_add_on_can_be_switched_off_and_on(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[type] = []

    class Scene:
        pass

    bpy = SimpleNamespace(
        types=SimpleNamespace(Operator=object, Panel=object, Scene=Scene),
        props=SimpleNamespace(StringProperty=lambda **words: words),
        utils=SimpleNamespace(register_class=kinds.append, unregister_class=kinds.remove),
    )
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    for _ in range(2):
        blender_uiapi.register()
        assert len(kinds) == 2 and hasattr(Scene, "uiapi_field")
        blender_uiapi.unregister()
        assert kinds == [] and not hasattr(Scene, "uiapi_field")


class Top:
    """A Script TOP."""

    path = "/project1/script1"

    def __init__(self, url: str) -> None:
        self.url = url
        self.par = SimpleNamespace(
            Field=SimpleNamespace(eval=lambda: "A.image"), Url=SimpleNamespace(eval=lambda: self.url)
        )
        self.inputs = [SimpleNamespace(numpyArray=lambda delayed: PICTURE)]
        self.errors: list[str] = []
        self.addScriptError = self.errors.append
        self.copyNumpyArray = lambda array: None


@pytest.fixture
def workers() -> Any:
    """TouchDesigner's threads, which end after the test."""
    yield touchdesigner_uiapi.WORKERS
    for worker in touchdesigner_uiapi.WORKERS.values():
        worker.end()
    touchdesigner_uiapi.WORKERS.clear()


async def test_touchdesigner_shows_an_invalid_url_and_starts_one_thread(
    workers: Any, working: Scripted, eventually: Callable[..., Any]
) -> None:
    top, started = Top("ftp://nowhere"), set()

    def shows() -> bool:
        touchdesigner_uiapi.onCook(top)
        started.add(workers[top.path])
        return len(top.errors) == 20

    await eventually(shows)
    assert len(started) == 1 and "not a valid URL" in top.errors[-1]
    top.url = working.url
    touchdesigner_uiapi.onCook(top)
    assert workers[top.path] not in started


async def test_touchdesigner_shows_what_is_missing_and_continues(
    workers: Any, working: Scripted, no_pillow: None, eventually: Callable[..., Any]
) -> None:
    top = Top(working.url)

    def shown() -> bool:
        touchdesigner_uiapi.onCook(top)
        return bool(top.errors)

    await eventually(shown)
    assert "pip install pillow" in top.errors[0] and workers[top.path].is_alive()


async def test_a_sweep_over_names_with_slashes_keeps_its_pictures(
    working: Scripted, blocking: Blocking, tmp_path: Path
) -> None:
    Sweeps(working)
    with Client(working.url) as client:
        picture, sheet = await blocking(sweep.sweep, client, "A.ckpt", ["sdxl/a.safetensors"], tmp_path)
    assert picture == tmp_path / "A.ckpt=sdxl_a.safetensors.png" and picture.read_bytes() == made(0)
    assert sheet == tmp_path / "sheet.png"


# -- other languages --------------------------------------------------------------------------------------------

NODES = [*Path(sys.prefix).glob("lib/python3*/site-packages/playwright/driver/node")]
Run = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]


@pytest.fixture(params=["curl.sh", "node.mjs"])
def example(request: pytest.FixtureRequest, working: Scripted, tmp_path: Path) -> Run:
    """Run the example against the scripted server, with a token."""
    name = request.param
    program = "sh" if name == "curl.sh" else str(NODES[0])

    async def run() -> subprocess.CompletedProcess[str]:
        environment = {**installed_client.environment(tmp_path, f"{working.url}/"), "UIAPI_TOKEN": "s3cr3t"}
        words = [program, str(installed_client.EXAMPLES / name), "A.b", "5", "out.png"]
        return await asyncio.to_thread(
            subprocess.run,
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


async def test_a_picture_arrives_with_a_token_and_a_trailing_slash_in_the_url(
    working: Scripted, example: Run, tmp_path: Path
) -> None:
    done = await example()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").read_bytes() == PNG
    assert {request.headers.get("Authorization") for request in working.seen} == {"Bearer s3cr3t"}
    assert {request.path for request in working.seen} <= {f"/{path}" for path in (
        "uiapi/get_fields", "uiapi/set_fields", "uiapi/run", "view")}  # fmt: skip


@pytest.mark.parametrize("trouble", ["refused", "nothing", "gone"])
async def test_a_run_that_fails_ends_with_an_error_and_no_picture(
    working: Scripted, example: Run, tmp_path: Path, trouble: str
) -> None:
    if trouble == "refused":
        working.answers["run"] = lambda _: web.json_response(FAILED, status=500)
        working.streams["run"] = lambda frame: [FAILED]
    elif trouble == "nothing":
        working.answers["run"] = {"outputs": []}
        working.streams["run"] = lambda frame: [{"status": "ok", "response": {"outputs": []}}]
    else:
        working.answers["view"] = lambda _: web.Response(status=404, text="gone")
    done = await example()
    said = {"refused": "KSampler: no model.", "nothing": "the run made no file", "gone": "404"}[trouble]
    assert done.returncode != 0 and said.lower() in done.stderr.lower() and not (tmp_path / "out.png").exists()


async def test_a_connection_that_ends_before_the_run_is_an_error_in_node(working: Scripted, tmp_path: Path) -> None:
    working.streams["run"] = lambda frame: [{"type": "bye"}]
    environment = installed_client.environment(tmp_path, working.url)
    words = [str(NODES[0]), str(installed_client.EXAMPLES / "node.mjs"), "A.b", "5", "out.png"]
    done = await asyncio.to_thread(
        subprocess.run,
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "ended before the run did" in done.stderr


@pytest.mark.parametrize("name", ["quickstart.py", "sweep.py", "animation.py", "slider.py", "curl.sh", "node.mjs"])
async def test_a_program_without_arguments_prints_its_usage(tmp_path: Path, name: str) -> None:
    program = {".py": sys.executable, ".sh": "sh", ".mjs": str(NODES[0])}[Path(name).suffix]
    words = [program, str(installed_client.EXAMPLES / name)]
    environment = installed_client.environment(tmp_path, "http://127.0.0.1:9")
    done = await asyncio.to_thread(
        subprocess.run,
        words, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("Usage: ") and len(done.stderr.splitlines()) == 1
    assert name in done.stderr


async def test_a_node_js_that_is_too_old_is_named(tmp_path: Path) -> None:
    environment = installed_client.environment(tmp_path, "http://127.0.0.1:9")
    words = [
        str(NODES[0]),
        "--no-experimental-websocket",
        str(installed_client.EXAMPLES / "node.mjs"),
        "A.b",
        "5",
        "out.png",
    ]
    done = await asyncio.to_thread(
        subprocess.run,
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "needs Node.js 22 or newer" in done.stderr and "at " not in done.stderr
