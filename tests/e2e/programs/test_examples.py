"""Every example does what it says, on a real ComfyUI with a real tab."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.harness.programs.stand_ins import Blender, Datablock, ScriptTop
from comfyui_uiapi.tests.tools import build
from comfyui_uiapi.tests.tools.demo import WORKFLOW
from PIL import Image

# After `installed`, by which they find the client.
from uiapi import Client, UiapiError  # isort: skip
from comfyui_uiapi.client.examples import animation, blender_uiapi, slider, sweep, touchdesigner_uiapi  # isort: skip

# One frontend: the examples do not depend on its version.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[0]], indirect=True, scope="session")

INVERT = {
    "1": {"class_type": "LoadImage", "_meta": {"title": "Photo"}, "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "_meta": {"title": "Invert"}, "inputs": {"image": ["1", 0]}},
    "3": {
        "class_type": "SaveImage",
        "_meta": {"title": "Result"},
        "inputs": {"images": ["2", 0], "filename_prefix": "example"},
    },
}

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(tab: Tab, tmp_path: Path) -> Run:
    """Run a program in its own directory and return its output."""

    async def start(*words: str | Path) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            words,
            cwd=tmp_path,
            env=installed_client.environment(tmp_path, tab.comfy.url),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return start


@pytest.fixture
async def demo(tab: Tab) -> Tab:
    """The tab with the demo's workflow: a canvas of one colour, inverted."""
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": WORKFLOW})
    return tab


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.width


async def test_quickstart(demo: Tab, run: Run, tmp_path: Path) -> None:
    said = await run(sys.executable, installed_client.EXAMPLES / "quickstart.py", "Canvas.width", "96", "picture.png")
    assert "Canvas.width: 512 is now 96" in said and width(tmp_path / "picture.png") == 96


async def test_curl(demo: Tab, run: Run, tmp_path: Path) -> None:
    said = await run("sh", installed_client.EXAMPLES / "curl.sh", "Canvas.width", "80", "picture.png")
    assert '"Canvas.width":512' in said and width(tmp_path / "picture.png") == 80


async def test_node(demo: Tab, run: Run, tmp_path: Path) -> None:
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    said = await run(node, installed_client.EXAMPLES / "node.mjs", "Canvas.width", "72", "picture.png")
    assert "'Canvas.width': 512" in said and "execution_success" in said and width(tmp_path / "picture.png") == 72


async def test_a_sweep_makes_a_picture_a_value_and_leaves_the_field_as_it_was(
    demo: Tab, run: Run, tmp_path: Path
) -> None:
    await run(sys.executable, installed_client.EXAMPLES / "sweep.py", "Canvas.width", "16", "32", "48")
    assert [width(tmp_path / "sweep" / f"Canvas.width={value}.png") for value in (16, 32, 48)] == [16, 32, 48]
    assert width(tmp_path / "sweep" / "sheet.png") > 96
    with Client(demo.comfy.url) as client:
        assert await asyncio.to_thread(client.get, "Canvas.width") == 512
        with pytest.raises(UiapiError):
            await asyncio.to_thread(sweep.sweep, client, "Canvas.width", ["wide"], tmp_path)
        assert await asyncio.to_thread(client.get, "Canvas.width") == 512


async def test_an_animation_makes_24_frames(demo: Tab, run: Run, tmp_path: Path) -> None:
    await run(sys.executable, installed_client.EXAMPLES / "animation.py", "Canvas.width", "16", "64")
    widths = [width(frame) for frame in sorted((tmp_path / "frames").glob("*.png"))]
    assert widths == animation.eased(16, 64) and len(widths) == 24
    assert (tmp_path / "frames" / "all.gif").read_bytes().startswith(b"GIF89a")


async def test_a_slider_and_a_field_follow_each_other_without_an_echo(demo: Tab) -> None:
    moved: list[float] = []
    with Client(demo.comfy.url) as client:
        knob = await asyncio.to_thread(slider.Knob, client, "Canvas.width", moved.append)
        assert knob.value == 512
        await asyncio.to_thread(knob.turn, 128)
        assert await field(demo, "width") == 128

        await demo.page.evaluate(
            """() => {
                const node = app.rootGraph.nodes.find(({title}) => title === 'Canvas')
                const widget = node.widgets.find(({name}) => name === 'width')
                widget.value = 256
                widget.callback?.(256, app.canvas, node)
                app.canvas.canvas.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}))
            }"""
        )

        async def received() -> bool:
            return bool(moved)

        await until(received, "the change at the browser", 120)
        assert (moved, knob.value) == ([256], 256)
        await asyncio.to_thread(knob.close)


async def field(tab: Tab, name: str) -> Any:
    find = "app.rootGraph.nodes.find(({title}) => title === 'Canvas').widgets.find(one => one.name === name)"
    return await tab.page.evaluate(f"name => {find}.value", name)


@pytest.fixture
async def invert(tab: Tab) -> Tab:
    """The tab with a workflow that inverts a picture."""
    Image.new("RGB", (4, 4)).save(tab.comfy.base / "input" / "example.png")
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": INVERT})
    return tab


async def test_blender_shows_its_picture_inverted_and_the_right_way_up(
    invert: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blender's first row is the lowest.
    rows = numpy.zeros((3, 5, 4), numpy.float32)
    rows[0, :, 0] = rows[:, :, 3] = 1
    blender = Blender()
    monkeypatch.setitem(sys.modules, "bpy", blender.module)
    monkeypatch.setenv("COMFYUI_URL", invert.comfy.url)
    blender_uiapi.register()
    blender.press("image.uiapi_run", Datablock.of("Sky", rows), "Photo.image")

    async def is_idle() -> bool:
        return blender.is_idle()

    await until(is_idle, "a result", 120)
    blender_uiapi.unregister()
    assert blender.popups == []
    image = blender.images["Sky by ComfyUI"]
    assert image.size == (5, 3)
    assert image.rows[0, 0].tolist() == [0, 1, 1, 1] and image.rows[-1, 0].tolist() == [1, 1, 1, 1]


async def test_touchdesigner_shows_the_result_when_it_is_ready_and_never_blocks(invert: Tab) -> None:
    picture = numpy.zeros((2, 3, 4), numpy.float32)
    picture[0, :, 1] = 1
    top = ScriptTop(invert.comfy.url, "Photo.image", picture)

    async def cooked() -> bool:
        top.cook(touchdesigner_uiapi.onCook)
        return top.shown is not None or bool(top.errors)

    try:
        await until(cooked, "a result", 120)
    finally:
        touchdesigner_uiapi.WORKERS[top.path].end()
    assert top.errors == [] and top.shown is not None
    assert top.shown.shape == (2, 3, 4) and top.shown[0, 0].tolist() == [1, 0, 1, 1]
