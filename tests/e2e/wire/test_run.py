"""Running the open graph: each program gets its own pictures, only its own run's events, and how its run ended."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import (
    BLUE,
    GREEN,
    RED,
    endless,
    is_all,
    noise,
    photo,
    picture,
    pixels,
    streamed,
    upscaled,
    write_upscaler,
)
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program, Socket
from comfyui_uiapi.tests.tools import build
from PIL import Image

COLORS = [RED, GREEN, BLUE, 0xFFFFFF, 0x123456, 0xE87C0E]


@pytest_asyncio.fixture(loop_scope="session")
async def program(tab: Tab) -> AsyncIterator[Program]:
    """A program that finds `tab` open; nothing it started runs on after the test."""
    write_upscaler(tab.comfy.base)
    async with Program(tab.comfy) as asking:
        yield asking
        await asking.comfy_post("/queue", {"clear": True})
        await asking.comfy_post("/interrupt")
        await until(lambda: idle(asking), "an empty queue", PATIENCE)


async def idle(program: Program) -> bool:
    return await program.queue() == ([], [])


async def image(program: Program, output: dict[str, Any]) -> bytes:
    """Return the file of one output, given as URL or base64."""
    return base64.b64decode(output["base64"]) if "base64" in output else await program.file(output["url"])


def plain(color: int) -> bytes:
    """A PNG of one colour (0xRRGGBB)."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (color >> 16, color >> 8 & 0xFF, color & 0xFF)).save(file, "PNG")
    return file.getvalue()


def as_value(file: bytes) -> dict[str, str]:
    """An image file as a field's value."""
    return {"type": "image_base64", "data": base64.b64encode(file).decode()}


# -- what comes back ------------------------------------------------------------------------------------------------


async def test_run_answers_its_files_as_urls_that_comfyui_serves(program: Program, comfy: ComfyProcess) -> None:
    await program.ok("load_workflow", {"workflow": picture(prefix="folder/kept")})
    asked = time.monotonic()
    answer = await program.ok("run")
    took = time.monotonic() - asked
    [output] = answer["outputs"]
    place = {"filename": output["filename"], "subfolder": "folder", "type": "output"}
    about = {"node_id": "2", "title": "Result", "node_type": "SaveImage", "kind": "images"}
    assert output == {**about, **place, "url": output["url"]}
    saved = (comfy.output / "folder" / output["filename"]).read_bytes()
    assert await program.file(output["url"]) == saved and is_all(saved, RED)
    assert (answer["status"], answer["node_errors"]) == ("success", {})
    assert 0 < answer["execution_time"] < took


async def test_run_answers_its_files_as_base64_when_asked_to(program: Program, comfy: ComfyProcess) -> None:
    await program.ok("load_workflow", {"workflow": picture(prefix="inline")})
    [output] = (await program.ok("run", {"outputs": "base64"}))["outputs"]
    assert "url" not in output
    assert base64.b64decode(output["base64"]) == (comfy.output / output["filename"]).read_bytes()


async def test_execute_with_wait_answers_what_it_made(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": picture(GREEN)})
    started = await program.ok("execute")
    assert started.keys() >= {"prompt_id", "number", "node_errors"} and "outputs" not in started
    answer = await program.ok("execute", {"wait": True})
    assert answer["status"] == "success" and answer["prompt_id"] != started["prompt_id"]
    [output] = answer["outputs"]
    assert is_all(await image(program, output), GREEN)


async def test_run_loads_the_workflow_it_is_given_and_leaves_it_open(program: Program) -> None:
    answer = await program.ok("run", {"workflow": picture(BLUE, width=24)})
    [output] = answer["outputs"]
    assert is_all(await image(program, output), BLUE)
    assert await program.ok("get_fields", {"fields": ["Canvas.width"]}) == {"Canvas.width": 24}


async def test_fields_that_run_sets_are_in_the_picture_and_in_the_open_graph(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": picture(RED)})
    fields = {"Canvas.color": BLUE, "Canvas.width": 17, "Canvas.height": 9, "Result.filename_prefix": "set"}
    answer = await program.ok("run", {"fields": [*fields.items()]})
    [output] = answer["outputs"]
    made = await image(program, output)
    assert is_all(made, BLUE) and pixels(made).shape == (9, 17, 3)
    assert output["filename"].startswith("set_")
    assert {path: written["value"] for path, written in answer["set"].items()} == fields
    assert await program.ok("get_fields", {"fields": [*fields]}) == fields


async def test_a_picture_sent_with_run_is_the_one_that_is_run(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": photo("none.png")})
    gradient = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(gradient, "PNG")
    sent = as_value(gradient.getvalue())
    [output] = (await program.ok("run", {"fields": [["Photo.image", sent]]}))["outputs"]
    assert (pixels(await image(program, output)) == pixels(gradient.getvalue())).all()


async def test_a_queued_run_keeps_its_own_picture(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": photo("none.png")})
    job = await program.queue_prompt(endless())
    queued = []
    for color in COLORS:
        answer = await program.ok("run", {"fields": [["Photo.image", as_value(plain(color))]], "wait": False})
        queued.append((answer["prompt_id"], color))
    running, waiting = await program.queue()
    assert running == [job] and {*waiting} == {prompt_id for prompt_id, _ in queued}
    await program.comfy_post("/interrupt")
    for prompt_id, color in queued:
        outputs = (await until(partial(program.history, prompt_id), "its end", PATIENCE))["outputs"]
        [file] = outputs["2"]["images"]
        assert is_all(await program.file(f"/view?filename={file['filename']}"), color)


async def test_programs_that_send_pictures_at_the_same_time_each_get_their_own(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": photo("none.png")})

    async def runs(colors: list[int]) -> bool:
        ran = []
        async with Program(program.comfy) as other:
            for color in colors:
                request = {"fields": [["Photo.image", as_value(plain(color))]]}
                [output] = (await other.ok("run", request))["outputs"]
                ran.append(is_all(await image(other, output), color))
        return all(ran)

    assert all(await asyncio.gather(*(runs(COLORS[at::3]) for at in range(3))))


async def test_a_batch_is_as_many_runs_each_with_its_own_seed(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": noise()})
    await program.ok("set_fields", {"fields": [["Noise.control_after_generate", "increment"]]})
    answer = await program.ok("run", {"batch_count": 3, "outputs": "base64"})
    assert len({*answer["prompt_ids"]}) == 3 and answer["prompt_ids"][0] == answer["prompt_id"]
    assert len({output["base64"] for output in answer["outputs"]}) == 3
    assert await program.ok("get_fields", {"fields": ["Noise.seed"]}) == {"Noise.seed": 4}


async def test_programs_that_run_at_the_same_time_each_get_their_own_pictures(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": picture()})
    socket = await program.socket()

    async def run(color: int) -> bool:
        request = {"fields": [["Canvas.color", color]]}
        if color % 2:
            [output] = (await program.ok("run", request))["outputs"]
        else:
            [output] = (await socket.request("run", request))["response"]["outputs"]
        return is_all(await image(program, output), color)

    assert all(await asyncio.gather(*(run(color) for color in COLORS)))


# -- how else it can end --------------------------------------------------------------------------------------------


async def test_an_interrupted_run_is_answered_as_interrupted(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": endless()})
    socket = await program.socket()
    answer = socket.start("run")
    started = await socket.event(lambda event: event["event"] == "progress")
    await program.comfy_post("/interrupt")
    envelope = await asyncio.wait_for(answer, PATIENCE)
    assert (envelope["status"], envelope["code"]) == ("error", "execution_interrupted")
    assert envelope["details"]["prompt_id"] == started["data"]["prompt_id"]
    assert envelope["details"]["type"] == "ImageUpscaleWithModel"
    assert any(event["event"] == "execution_interrupted" for event in socket.events)


async def test_a_run_taken_out_of_the_queue_is_answered_while_another_goes_on(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": endless()})
    first = program.spawn(program.post("run"))

    async def running() -> list[str]:
        return (await program.queue())[0]

    async def waiting() -> list[str]:
        return (await program.queue())[1]

    [running_id] = await until(running, "the first run's start", PATIENCE)
    await program.ok("load_workflow", {"workflow": picture()})
    second = program.spawn(program.post("run"))
    [waiting_id] = await until(waiting, "the second run in the queue", PATIENCE)
    await program.comfy_post("/queue", {"delete": [waiting_id]})
    status, envelope = await asyncio.wait_for(second, PATIENCE)
    assert (status, envelope["code"]) == (409, "execution_interrupted")
    assert envelope["details"]["prompt_id"] == waiting_id
    assert await running() == [running_id] and not first.done()
    await program.comfy_post("/interrupt")
    assert (await asyncio.wait_for(first, PATIENCE))[1]["details"]["prompt_id"] == running_id


async def test_a_run_timeout_says_how_to_fetch_the_result(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": endless()})
    for seconds in (1.0, 10.0, PATIENCE):
        status, envelope = await program.post("run", {"timeout": seconds})
        assert (status, envelope["code"]) == (504, "timeout")
        if "prompt_ids" in envelope["details"]:
            break
        # A busy page has not even queued it in that time.
    [prompt_id] = envelope["details"]["prompt_ids"]
    running, waiting = await program.queue()
    assert prompt_id in [*running, *waiting]
    assert f"/history/{prompt_id}" in envelope["error"]


# -- events of a run ----------------------------------------------------------------------------------------------


async def test_only_the_program_that_requested_a_run_receives_each_of_its_events(program: Program) -> None:
    await program.ok("load_workflow", {"workflow": upscaled(3)})
    asking, other = await program.socket(), await program.socket()
    answer = await asyncio.wait_for(asking.start("run", {}, "the run"), PATIENCE)
    prompt_id = answer["response"]["prompt_id"]
    assert {event["request"] for event in asking.events} == {"the run"}
    assert {event["data"]["prompt_id"] for event in asking.events} == {prompt_id}
    names = [event["event"] for event in asking.events]
    assert names[0] == "execution_start" and names[-1] == "execution_success"
    steps = [event["data"] for event in asking.events if event["event"] == "progress"]
    assert [(step["value"], step["max"], step["node"]) for step in steps] == [(n, 3, "3") for n in (1, 2, 3)]
    [output] = [event["data"] for event in asking.events if event["event"] == "output"]
    events = [(file["filename"], file["type"]) for file in output["output"]["images"]]
    assert events == [(file["filename"], file["type"]) for file in answer["response"]["outputs"]] and len(events) == 3
    for file in answer["response"]["outputs"]:
        assert is_all(await image(program, file), GREEN)
    assert await _events_of(other) == []


async def _events_of(socket: Socket) -> list[str]:
    """The events that this socket has been sent until now."""
    assert (await socket.request("webuis"))["status"] == "ok"
    return [event["event"] for event in socket.events]


async def test_previews_are_streamed_to_the_program_that_asked(browser: Chromium, tmp_path: Path) -> None:
    comfy = ComfyProcess(tmp_path / "comfy")
    # ComfyUI's own node for pictures that are sent while it runs; it is only loaded from custom_nodes.
    node = "websocket_image_save.py"
    (comfy.base / "custom_nodes" / node).symlink_to(build.COMFYUI / "custom_nodes" / node)
    with comfy:
        tab = await browser.open(comfy)
        async with Program(comfy) as program:
            await program.ok("load_workflow", {"workflow": streamed(1, BLUE)})
            asking, other = await program.socket(), await program.socket()
            answer = asking.start("run", {}, "the run")
            preview = await asking.event(lambda event: event["event"] == "preview")
            prompt_id = (await asyncio.wait_for(answer, PATIENCE))["response"]["prompt_id"]
            assert await _events_of(other) == []
        await tab.close()
    assert (preview["request"], preview["data"]["prompt_id"]) == ("the run", prompt_id)
    assert (preview["data"]["mime"], preview["data"]["node"]) == ("image/png", "2")
    assert is_all(base64.b64decode(preview["data"]["data"]), BLUE)
