"""What a new user reads, in a terminal of 80 and of 200 columns, and in a pipe: nothing hidden and nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.programs.terminal import in_terminal

# None is a pipe.
pytestmark = pytest.mark.parametrize("columns", [80, 200, None])

Read = Callable[..., Awaitable[str]]

WARNING = "The widget holds 16384 instead of 99999 (it allows 1 to 16384)."
CLAMPED = {"Canvas.width": {"requested": 99999, "value": 16384, "warnings": [WARNING]}}
FILE = {"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}
RAN = {"prompt_id": "p1", "execution_time": 1.5, "outputs": [FILE], "set": CLAMPED}
GONE = "If it was restarted, the run and the queue are lost; otherwise the run continues"


def event(frame: dict[str, Any], name: str, **data: Any) -> dict[str, Any]:
    return {"type": "event", "event": name, "request": frame["id"], "data": {"prompt_id": "p1", **data}}


@pytest.fixture
def read(scripted: Scripted, tmp_path: Path, columns: int | None) -> Read:
    """Returns what a command line prints, without its line breaks."""

    async def carry_out(*words: str) -> str:
        (tmp_path / "place").mkdir(exist_ok=True)
        said = await in_terminal(scripted.url, tmp_path / "place", columns, *words)
        # The frames around help and usage errors break sentences too.
        return " ".join(re.sub(r"[│╭╮╰╯─━]", " ", said).split())

    return carry_out


def answers(scripted: Scripted, **responses: Any) -> None:
    """Lets the server return these responses, whatever they are, under `response`."""

    def answer(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "response": responses[request.path.rpartition("/")[2]]})

    scripted.answers |= dict.fromkeys(responses, answer)


async def test_a_changed_value_is_a_warning_of_set_and_of_run(scripted: Scripted, read: Read) -> None:
    answers(scripted, set_fields=CLAMPED)
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": RAN}]
    for command in ("set", "run"):
        assert f"Warning: Canvas.width: {WARNING}" in await read(command, "Canvas.width=99999")


async def test_a_run_shows_the_titles_of_its_nodes_in_a_terminal_and_its_files(
    scripted: Scripted, read: Read, columns: int | None
) -> None:
    scripted.streams["run"] = lambda frame: [
        event(frame, "executing", node="1", title="My canvas", node_type="EmptyImage"),
        {"status": "ok", "response": RAN},
    ]
    said = await read("run")
    assert f"{scripted.url}/view?filename=a.png Done in 1.50 s." in said
    # A script's output has no progress bar.
    assert ("My canvas" in said) is (columns is not None)


async def test_a_run_and_a_download_say_what_they_wait_for(scripted: Scripted, read: Read) -> None:
    scripted.streams["run"] = lambda frame: [
        event(frame, "waiting_for_person", reason="approval"),
        {"status": "ok", "response": RAN},
    ]
    assert "Waiting for the person at the ComfyUI tab to approve this." in await read("run")
    waits = {"status": "waiting_for_url", "completed": False, "progress": {"a": {"status": "waiting_for_url"}}}
    states = [
        waits,
        {"status": "completed", "completed": True, "progress": {"a": {"status": "success", "path": "/m/a"}}},
    ]
    scripted.answers |= {
        "download_models": {"download_id": "d1"},
        "d1": lambda _: web.json_response(states.pop(0) if len(states) > 1 else states[0]),
    }
    assert "Waiting for a URL of a in the ComfyUI tab; to give it here, press Ctrl-C and use uiapi download a=URL." in (
        await read("download")
    )


async def test_a_server_that_is_gone_in_mid_run_leaves_what_is_known(scripted: Scripted, read: Read) -> None:
    scripted.streams["run"] = lambda frame: [event(frame, "executing", node="1", title="Canvas"), {"type": "bye"}]
    said = await read("run")
    assert "The connection was lost while run was in progress; ComfyUI had started p1." in said
    assert GONE in said and "/history/p1" in said


async def test_the_status_is_readable(scripted: Scripted, read: Read) -> None:
    known = {"pending_requests": 0, "active_downloads": 1, "pending_downloads": 0, "server_uptime": 90061.0}
    scripted.answers["connection_status"] = {**known, "webui_connected": True}
    scripted.answers["system"] = {"comfyui_version": "0.3.75", "extension_version": "0.2.0"}
    tab = {"id": 3, "browser": "Chrome", "frontend_version": "1.2", "workflow_name": "portrait", "is_main": True}
    answers(scripted, webuis=[tab])
    said = await read("status")
    for part in (
        f"ComfyUI {scripted.url}, running for 1 day 1 hour",
        "versions ComfyUI 0.3.75, uiapi 0.2.0",
        "tab 3 portrait (Chrome, frontend 1.2), the main tab",
        "downloads 1 in progress",
    ):
        assert part in said
    scripted.answers["connection_status"] = {**known, "webui_connected": False}
    assert f"No tab is connected: open {scripted.url} in a browser." in await read("status")


async def test_a_mistyped_name_is_answered_with_the_nearest(scripted: Scripted, read: Read) -> None:
    answers(scripted, analyze_workflow={"models": [{"name": "detail.safetensors", "directory": "loras"}]})
    for words, says in (
        (["staus"], "No such command 'staus'. Did you mean 'status'"),
        (["get_fields"], "get_fields is a command of the server; use: uiapi call get_fields"),
        (["watch", "outptu"], "There is no event 'outptu'. Did you mean output?"),
        (["download", "details.safetensors=https://h/a"], "Did you mean detail.safetensors?"),
        (["shot", "canvas.mp4"], "A picture cannot be saved as .mp4; name the file canvas.png."),
        (["load", "none.json"], "none.json cannot be read: No such file or directory."),
    ):
        assert says in await read(*words)


async def test_the_help_has_an_example_and_explains_quotes(read: Read) -> None:
    said = await read("set", "--help")
    assert "Usage: uiapi set" in said and 'Example: uiapi set Canvas.width=640 "Result.filename_prefix=my' in said
    assert "The shell needs quotes around a value with blanks." in said
    said = await read("--help")
    assert "Example: uiapi run" in said and "Exit codes: 0 success" in said


async def test_the_version_and_other_common_options_are_accepted_at_the_end(scripted: Scripted, read: Read) -> None:
    assert re.fullmatch(r"uiapi \d+\.\d+\.\d+", await read("status", "--version"))
    scripted.answers["get_fields"] = {"a": 1}
    assert await read("get", "a", "--json", "--webui", "3", "--url", scripted.url) == "1"


async def test_stop_queue_undo_and_validate_say_what_they_did(scripted: Scripted, read: Read) -> None:
    waiting = [{"prompt_id": "p2", "number": 2, "nodes": 5}]
    errors = {"3": {"class_type": "KSampler", "errors": [{"message": "Too large", "details": "cfg"}]}}
    scripted.answers |= {
        "interrupt": {"interrupted": ["p1"]},
        "queue_clear": {"cancelled": ["p2"]},
        "queue": {"running": [], "waiting": waiting},
        "undo": {"done": 2},
        "validate": {"valid": False, "error": {}, "node_errors": errors, "missing_node_types": [], "warnings": []},
    }
    assert await read("stop", "--all") == "Removed p2 from the queue. Stopping p1."
    assert "waiting p2 5" in await read("queue")
    assert await read("undo", "2") == "Undid 2 steps."
    assert "#3 (KSampler) was not run: Too large: cfg" in await read("validate")
