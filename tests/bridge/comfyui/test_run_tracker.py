"""Tests of runs: queued by the tab, tracked by ComfyUI's events, answered with files or the failure."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from comfyui_uiapi.bridge.comfyui.previews import Previews
from PIL import Image

from ...harness.fakes.loop_clock import LoopClock
from ..conftest import Executor

QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}


async def test_execute_returns_what_the_tab_queued_without_waiting(server: Any) -> None:
    (await server.tab()).on("execute", QUEUED)
    status, body = await server.post("execute")
    assert (status, body) == (200, {"status": "ok", "response": QUEUED})


async def test_run_answers_with_the_files_and_the_time_of_the_execution(server: Any, executor: Executor) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run"))
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    executor.say("execution_start", {"prompt_id": "p1"})
    executor.say("execution_success", {"prompt_id": "p1"})
    executor.finish()
    status, body = await asyncio.wait_for(asked, 60)
    answer = body["response"]
    assert status == 200 and answer["status"] == "success" and answer["prompt_id"] == "p1"
    assert answer["outputs"] == [
        {
            "node_id": "9",
            "title": "Result",
            "node_type": "SaveImage",
            "kind": "images",
            "filename": "a_1.png",
            "subfolder": "s",
            "type": "output",
            "url": "/view?filename=a_1.png&subfolder=s&type=output",
        }
    ]
    assert answer["execution_time"] > 0
    assert server.bridge.runs._runs == {}


async def test_a_run_that_ends_before_the_tab_names_it_is_not_missed(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "run"})
    request = await tab.next()
    executor.put()
    executor.say("execution_start", {"prompt_id": "p1"})
    executor.say("progress", {"prompt_id": "p1", "value": 1, "max": 1})
    executor.say("execution_success", {"prompt_id": "p1"})
    executor.finish()
    await tab.respond(request["id"], QUEUED)
    frames = [await program.receive_json(timeout=60) for _ in range(4)]
    assert [frame.get("event") for frame in frames] == ["execution_start", "progress", "execution_success", None]
    assert frames[-1]["response"]["execution_time"] > 0


async def test_all_events_of_a_run_arrive_before_its_end(server: Any, executor: Executor) -> None:
    received: list[str] = []
    runs = server.bridge.runs
    with runs.expecting():
        # ComfyUI is done before the loop had a turn to handle any event.
        executor.put()
        executor.say("execution_start", {"prompt_id": "p1"})
        executor.say("execution_success", {"prompt_id": "p1"})
        executor.finish()
        ending = runs.wait(["p1"], lambda event, data: received.append(event), 60)
        ending.add_done_callback(lambda _: received.append("the end"))
    [run] = await asyncio.wait_for(ending, 60)
    assert received == ["execution_start", "execution_success", "the end"]
    assert run.execution_time is not None


async def test_the_end_of_a_run_is_its_last_event(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "run"})
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    executor.say("executing", {"prompt_id": "p1", "node": "9"})
    executor.say("execution_success", {"prompt_id": "p1"})
    executor.say("executing", {"prompt_id": "p1", "node": None})
    executor.finish()
    frames = [await program.receive_json(timeout=60) for _ in range(3)]
    assert [frame.get("event") for frame in frames] == ["executing", "execution_success", None]


async def test_progress_previews_and_outputs_reach_only_the_program_of_the_run(server: Any, executor: Executor) -> None:
    tab, program, other = await server.tab(), await server.program(), await server.program()
    await program.send_json({"type": "request", "id": "r", "command": "run"})
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    executor.say("progress", {"prompt_id": "p1", "value": 1, "max": 2, "node": "9"})
    frame = await program.receive_json(timeout=60)
    assert (frame["event"], frame["request"], frame["data"]["value"]) == ("progress", "r", 1)
    picture = Image.new("RGB", (64, 32))
    executor.say(4, (("JPEG", picture, 16), {"prompt_id": "p1", "node_id": "9"}))
    preview = await program.receive_json(timeout=60)
    assert (preview["event"], preview["data"]["mime"], preview["data"]["node"]) == ("preview", "image/jpeg", "9")
    assert base64.b64decode(preview["data"]["data"]).startswith(b"\xff\xd8")
    executor.say("executed", {"prompt_id": "p1", "node": "9", "output": {"images": []}})
    assert (await program.receive_json(timeout=60))["event"] == "output"
    executor.say("progress", {"prompt_id": "another prompt", "value": 1, "max": 2})
    executor.finish()
    assert (await program.receive_json(timeout=60))["type"] == "response"
    await other.send_json({"type": "request", "id": "x", "command": "webuis"})
    assert (await other.receive_json(timeout=60))["id"] == "x"


def preview(color: str, kind: str = "PNG") -> Any:
    return (kind, Image.new("RGB", (64, 32), color), None), {"prompt_id": "p1", "node_id": "9"}


def color_of(frame: dict[str, Any]) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(frame["data"]["data"]))) as image:
        return image.getpixel((0, 0))


async def test_the_last_preview_of_a_run_is_sent_before_its_end(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": "r", "command": "run"})
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    for color in ("red", "lime", "blue"):
        executor.say(4, preview(color))
    executor.finish()
    frames: list[Any] = []
    while not frames or frames[-1]["type"] == "event":
        frames.append(await program.receive_json(timeout=60))
    assert [frame["event"] for frame in frames[:-1]] == ["preview"] * (len(frames) - 1)
    assert color_of(frames[-2]) == (0, 0, 255)


async def test_a_preview_that_comes_before_the_tab_names_its_run_is_not_missed(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": "r", "command": "run"})
    request = await tab.next()
    executor.put()
    executor.say(4, preview("red"))
    executor.finish()
    await tab.respond(request["id"], QUEUED)
    first, second = await program.receive_json(timeout=60), await program.receive_json(timeout=60)
    assert (first["event"], color_of(first), second["type"]) == ("preview", (255, 0, 0), "response")


async def test_a_preview_that_cannot_be_encoded_holds_nothing_up(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": "r", "command": "run"})
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    executor.say(4, preview("red", "no format"))
    executor.finish()
    assert (await program.receive_json(timeout=60))["response"]["status"] == "success"


async def test_a_failing_node_is_reported_with_title_type_and_message(server: Any, executor: Executor) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("execute", {"wait": True}))
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    message = "disk is full\n\nmake room and try again\n"
    error = {"node_id": "9", "node_type": "SaveImage", "exception_message": message, "exception_type": "OSError"}
    executor.finish(status="error", messages=[("execution_error", error)])
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"]) == (422, "execution_failed")
    assert body["error"] == "Result (#9) failed: disk is full."
    assert body["details"]["message"] == message.strip()
    assert (body["details"]["node"], body["details"]["type"]) == ("9", "SaveImage")


async def test_an_unexpected_failure_of_a_preview_is_logged_and_the_next_is_sent(
    eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []
    received: list[str] = []
    previews = Previews(sent.append)
    for prompt_id, (picture, about) in (("p1", (("PNG", None, 64), {})), ("p2", preview("red"))):
        previews.show(prompt_id, (picture, about), [lambda event, data: received.append(data["prompt_id"])])
    await eventually(lambda: len(sent) == 2)
    assert (sent, received) == (["p1", "p2"], ["p2"])
    assert not previews.owes("p1") and not previews.owes("p2")
    assert "AttributeError" in caplog.text


async def test_a_prompt_that_comfyui_refuses_is_an_execution_failure(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run"))
    request = await tab.next()
    details = {"node_errors": {"9": {"class_type": "SaveImage", "errors": []}}}
    await tab.respond(request["id"], status="error", error="Result: no input", code="execution_failed", details=details)
    status, body = await asked
    assert (status, body["code"], body["details"]) == (422, "execution_failed", details)


async def test_an_interrupted_run_and_one_taken_out_of_the_queue_say_so(
    server: Any, executor: Executor, eventually: Any
) -> None:
    tab = await server.tab()
    tab.on("execute", lambda data: QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run"))
    await tab.next()
    executor.finish(status="error", messages=[("execution_interrupted", {"node_id": "9"})])
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"]) == (409, "execution_interrupted")
    tab.on("execute", lambda data: {**QUEUED, "prompt_id": "p2"})
    executor.put("p2")
    asked = asyncio.create_task(server.post("run"))
    await tab.next()
    await eventually(lambda: server.bridge.runs._runs)
    executor.take("p2")
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"], body["details"]["prompt_id"]) == (409, "execution_interrupted", "p2")


async def test_a_run_that_times_out_names_the_url_of_its_result(
    server: Any, executor: Executor, eventually: Any, clock: LoopClock
) -> None:
    (await server.tab()).on("execute", QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run", {"timeout": 100}))
    await eventually(lambda: "p1" in server.bridge.runs._runs)
    await clock.passes(101)
    status, body = await asked
    assert (status, body["code"]) == (504, "timeout")
    assert "/history/p1" in body["error"] and body["details"]["prompt_ids"] == ["p1"]


LOADS = {"workflow": {"nodes": []}, "fields": [["a", 1]], "wait": False}


@pytest.mark.parametrize("timeout", [25, 86_400])
@pytest.mark.parametrize(("command", "asked", "steps"), [("execute", {}, 1), ("run", LOADS, 3)])
async def test_every_step_of_a_run_may_take_as_long_as_its_caller_allows(
    server: Any, command: str, asked: dict[str, Any], steps: int, timeout: float
) -> None:
    tab = await server.tab()
    tab.on("load_workflow", {"loaded": True, "message": ""})
    tab.on("set_fields", {})
    tab.on("execute", QUEUED)
    assert (await server.post(command, {**asked, "timeout": timeout}))[0] == 200
    assert [request["timeout"] for request in tab.requests] == [timeout] * steps


async def test_several_runs_at_once_answer_all_their_files(server: Any, executor: Executor) -> None:
    tab = await server.tab()
    tab.on("execute", lambda data: {**QUEUED, "prompt_ids": ["p1", "p2"]})
    executor.put("p1")
    executor.put("p2")
    asked = asyncio.create_task(server.post("run", {"batch_count": 2}))
    assert (await tab.next())["data"] == {"batch_count": 2}
    executor.finish("p1")
    executor.finish("p2", images=[{"filename": "a_2.png", "subfolder": "", "type": "output"}])
    _status, body = await asyncio.wait_for(asked, 60)
    assert [file["filename"] for file in body["response"]["outputs"]] == ["a_1.png", "a_2.png"]


async def test_fields_of_a_run_travel_with_it_when_the_tab_can_take_them(server: Any, executor: Executor) -> None:
    tab = await server.tab(capabilities=["execute.fields"])
    tab.on("execute", lambda data: QUEUED)
    body = {"fields": [["a.b", 1]], "wait": False}
    assert (await server.post("run", body))[0] == 200
    assert tab.requests[0]["data"] == {"fields": [["a.b", 1]]}


async def test_fields_of_a_run_are_set_first_for_a_tab_that_cannot(server: Any) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    tab.on("load_workflow", {"loaded": True, "message": ""})
    tab.on("execute", QUEUED)
    await server.post("run", {"fields": [["a.b", 1]], "workflow": {"nodes": []}, "wait": False})
    assert [request["command"] for request in tab.requests] == ["load_workflow", "set_fields", "execute"]


async def test_nothing_is_kept_of_unclaimed_prompts(server: Any, executor: Executor) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run"))
    request = await tab.next()
    for number in range(200):
        executor.say("execution_start", {"prompt_id": f"someone else's {number}"})
    executor.put()
    await tab.respond(request["id"], QUEUED)
    executor.finish()
    await asyncio.wait_for(asked, 60)
    assert server.bridge.runs._runs == {}
    executor.say("execution_start", {"prompt_id": "later"})
    await asyncio.sleep(0)
    assert server.bridge.runs._runs == {}


async def test_a_run_is_answered_by_comfyuis_own_word_before_the_page_has_drawn(
    server: Any, executor: Executor
) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run", {"fields": [["a.b", 1]]}))
    set_first = await tab.next()
    await tab.respond(set_first["id"], {})
    request = await tab.next()
    executor.put()
    part = {"request": request["id"], "part": {"set": {}}, "revision": "r7", "workflow_tab": "t"}
    await tab.ws.send_json({"type": "event", "event": "submitting", "data": part})
    manager = server.bridge.webuis.find()
    manager.accepted(server.bridge.webuis.submitting[request["id"]], QUEUED)
    executor.finish()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["response"]["prompt_id"], body["revision"]) == (200, "p1", "r7")
    await tab.respond(request["id"], {**QUEUED, "prompt_id": "late"})
    tab.on("execute", {**QUEUED, "prompt_id": "p2"})
    assert (await server.post("execute"))[1]["response"]["prompt_id"] == "p2"


async def test_comfyuis_answer_to_a_submission_is_recognised_by_its_mark(server: Any, eventually: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("execute"))
    request = await tab.next()

    def answered(mark: str, status: int, body: bytes) -> Any:
        made = make_mocked_request("POST", "/prompt", headers={"X-Uiapi-Request": mark})
        return server.bridge.on_response_prepare(made, web.Response(status=status, body=body))

    good = b'{"prompt_id": "p1", "number": 1, "node_errors": {}}'
    for mark, status, body in (("another", 200, good), (request["id"], 400, good), (request["id"], 200, b"no json")):
        await answered(mark, status, body)
    part = {"request": request["id"], "part": {}}
    await tab.ws.send_json({"type": "event", "event": "submitting", "data": part})
    pending = server.bridge.webuis.find()._pending_requests[request["id"]]
    await eventually(lambda: pending.submission.part is not None)
    assert not pending.future.done()
    await answered(request["id"], 200, good)
    assert (await asked)[1]["response"] == QUEUED


async def test_only_a_run_is_answered_by_comfyuis_response(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"]}))
    request = await tab.next()
    manager = server.bridge.webuis.find()
    manager.submitting(request["id"], part={}, extras={})
    manager.accepted(manager._pending_requests[request["id"]], {"prompt_id": "forged"})
    assert server.bridge.webuis.submitting == {}
    await tab.respond(request["id"], {"a": 1})
    assert (await asked)[1]["response"] == {"a": 1}


async def test_a_node_that_runs_is_named_by_its_title_and_type(server: Any, executor: Executor) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "run"})
    request = await tab.next()
    executor.put()
    [item] = executor.queue.waiting
    executor.queue.running = [item]
    await tab.respond(request["id"], QUEUED)
    for node in ("9", "unknown"):
        executor.say("executing", {"prompt_id": "p1", "node": node})
    frames = [(await program.receive_json(timeout=60))["data"] for _ in range(2)]
    assert [(data["title"], data["node_type"]) for data in frames] == [("Result", "SaveImage"), (None, None)]
    executor.say("execution_success", {"prompt_id": "p1"})
    await program.receive_json(timeout=60)
    assert server.bridge.runs._running == ("", {})
