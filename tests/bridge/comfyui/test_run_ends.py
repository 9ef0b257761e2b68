"""Tests of the end of runs: it does not depend on the tab, and a batch returns what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from comfyui_uiapi.bridge.tabs import tab as manager

from ...harness.fakes.loop_clock import LoopClock
from ..conftest import Executor

QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}
BROKEN = ("execution_error", {"node_id": "9", "node_type": "SaveImage", "exception_message": "disk is full"})
STOPPED = ("execution_interrupted", {"node_id": "9"})

Begin = Callable[..., Awaitable[tuple[Any, asyncio.Task[tuple[int, dict[str, Any]]], str]]]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI may accept a run at any time after its tab has disconnected; a test may override it."""
    monkeypatch.setattr(manager, "SUBMISSION_GRACE", 3600.0)


@pytest.fixture
def begin(server: Any) -> Begin:
    """Start a run whose tab begins to submit it; returns the tab, the answer, and the id of the tab's request."""

    async def ask(**body: Any) -> Any:
        tab = await server.tab()
        asked = asyncio.create_task(server.post("run", body))
        request = await tab.next()
        part = {"request": request["id"], "part": {}, "revision": "r7"}
        await tab.ws.send_json({"type": "event", "event": "submitting", "data": part})
        return tab, asked, request["id"]

    return ask


async def accept(server: Any, mark: str, prompt_id: str = "p1") -> None:
    """Let ComfyUI answer the tab's submission."""
    made = make_mocked_request("POST", "/prompt", headers={"X-Uiapi-Request": mark})
    body = f'{{"prompt_id": "{prompt_id}", "number": 1, "node_errors": {{}}}}'.encode()
    await server.bridge.on_response_prepare(made, web.Response(body=body))


def done(executor: Executor, *prompt_ids: str) -> None:
    """Put prompts into the queue, each with a picture once it has ended."""
    for prompt_id in prompt_ids:
        executor.put(prompt_id)
        executor.finish(prompt_id, images=[{"filename": f"{prompt_id}.png", "subfolder": "", "type": "output"}])


async def answer_of(asked: asyncio.Task[Any]) -> dict[str, Any]:
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["status"]) == (200, "ok"), body
    answer: dict[str, Any] = body["response"]
    return answer


# -- tabs that disconnect -------------------------------------------------------------------------------------------


async def test_a_run_that_comfyui_has_goes_on_without_its_tab_and_so_do_its_events(
    server: Any, executor: Executor, eventually: Any
) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": "r", "command": "run"})
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    await eventually(lambda: "p1" in server.bridge.runs._runs)
    await tab.close()
    await eventually(lambda: not server.bridge.webuis.managers)
    executor.say("progress", {"prompt_id": "p1", "value": 1, "max": 2})
    executor.finish()
    progress, answer = await program.receive_json(timeout=60), await program.receive_json(timeout=60)
    assert (progress["event"], answer["response"]["status"]) == ("progress", "success")
    assert server.bridge.runs._runs == {}


async def test_a_run_goes_on_when_another_tab_becomes_the_main_one(server: Any, executor: Executor) -> None:
    tab, other = await server.tab(), await server.tab()
    asked = asyncio.create_task(server.post("run"))
    request = await tab.next()
    executor.put()
    await tab.respond(request["id"], QUEUED)
    server.bridge.webuis.make_main(other.client_id)
    executor.finish()
    assert (await answer_of(asked))["status"] == "success" and other.requests == []


async def test_a_tab_that_dies_after_comfyui_accepted_its_prompt_has_still_run_it(
    server: Any, executor: Executor, begin: Begin
) -> None:
    tab, asked, mark = await begin()
    executor.put()
    # With and without the tab's own part of the answer.
    server.bridge.webuis.submitting[mark].submission.part = None
    await accept(server, mark)
    await tab.close()
    executor.finish()
    assert (await answer_of(asked))["prompt_id"] == "p1"
    assert server.bridge.webuis.submitting == {}


async def test_a_prompt_that_comfyui_accepts_right_after_the_tab_died_is_waited_for(
    server: Any, executor: Executor, begin: Begin, eventually: Any
) -> None:
    tab, asked, mark = await begin()
    await eventually(lambda: server.bridge.webuis.submitting[mark].submission.begun)
    await tab.close()
    await eventually(lambda: not server.bridge.webuis.managers)
    executor.put()
    await accept(server, mark)
    executor.finish()
    assert [file["filename"] for file in (await answer_of(asked))["outputs"]] == ["a_1.png"]


async def test_work_that_only_the_tab_can_do_ends_with_it(
    server: Any, begin: Begin, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "SUBMISSION_GRACE", 0.0)
    tab, asked, mark = await begin()
    await eventually(lambda: server.bridge.webuis.submitting[mark].submission.begun)
    await tab.close()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"], body["error"]) == (502, "client_disconnected", "Client disconnected")
    assert server.bridge.webuis.submitting == {} and server.bridge.runs._runs == {}


async def test_a_run_that_comfyui_accepted_survives_a_reload_of_its_tab(
    server: Any, executor: Executor, begin: Begin
) -> None:
    tab, asked, mark = await begin()
    executor.put()
    await accept(server, mark)
    again = await server.tab(client_id=tab.client_id, session=tab.welcome["session"])
    executor.finish()
    assert (await answer_of(asked))["status"] == "success" and again.requests == []


async def test_a_page_that_fails_over_a_prompt_that_comfyui_has_has_still_run_it(
    server: Any, executor: Executor, begin: Begin
) -> None:
    tab, asked, mark = await begin(batch_count=2)
    executor.put()
    await accept(server, mark)
    await tab.respond(mark, status="error", error="The page could not draw.", code="tab_failed")
    executor.finish()
    answer = await answer_of(asked)
    assert (answer["status"], [one["status"] for one in answer["prompts"]]) == ("partial", ["success", "not_queued"])


# -- results that ComfyUI loses --------------------------------------------------------------------------------------


async def test_a_run_missing_in_the_history_is_reported_as_lost(
    server: Any, executor: Executor, eventually: Any
) -> None:
    (await server.tab()).on("execute", QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run"))
    await eventually(lambda: "p1" in server.bridge.runs._runs)
    executor.say("execution_start", {"prompt_id": "p1"})
    # Ended, and removed from the history before it could be read.
    executor.queue.waiting.clear()
    executor.say("status", {})
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"], body["details"]) == (410, "result_lost", {"prompt_id": "p1"})


async def test_a_history_that_is_cleared_while_a_run_goes_on_costs_it_nothing(
    server: Any, executor: Executor, eventually: Any
) -> None:
    (await server.tab()).on("execute", QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run"))
    await eventually(lambda: "p1" in server.bridge.runs._runs)
    executor.say("execution_start", {"prompt_id": "p1"})
    executor.queue.history = {}
    executor.say("status", {})
    executor.finish()
    assert (await answer_of(asked))["status"] == "success"


async def test_a_run_ended_by_the_stop_of_comfyui_reports_its_prompt(
    server: Any, executor: Executor, eventually: Any
) -> None:
    (await server.tab()).on("execute", QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run"))
    await eventually(lambda: "p1" in server.bridge.runs._runs)
    server.bridge.runs.close()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"], body["details"]["prompt_id"]) == (503, "shutting_down", "p1")


# -- batches ---------------------------------------------------------------------------------------------------------


async def test_a_batch_keeps_the_files_of_the_prompts_that_succeed(server: Any, executor: Executor) -> None:
    (await server.tab()).on("execute", {**QUEUED, "prompt_ids": ["p1", "p2", "p3"]})
    for prompt_id in ("p1", "p2", "p3"):
        executor.put(prompt_id)
    asked = asyncio.create_task(server.post("run", {"batch_count": 3}))
    executor.finish("p1", images=[{"filename": "a.png"}])
    executor.finish("p2", status="error", messages=[BROKEN])
    executor.finish("p3", status="error", messages=[STOPPED])
    answer = await answer_of(asked)
    assert answer["status"] == "partial"
    assert [(file["filename"], file["prompt_id"]) for file in answer["outputs"]] == [("a.png", "p1")]
    prompts = [(one["prompt_id"], one["status"], one.get("error", {}).get("code")) for one in answer["prompts"]]
    assert prompts == [
        ("p1", "success", None),
        ("p2", "error", "execution_failed"),
        ("p3", "interrupted", "execution_interrupted"),
    ]
    assert answer["prompts"][1]["error"]["error"] == "Result (#9) failed: disk is full."


async def test_a_batch_of_which_nothing_succeeds_is_the_first_error_with_all_of_them(
    server: Any, executor: Executor
) -> None:
    (await server.tab()).on("execute", {**QUEUED, "prompt_ids": ["p1", "p2"]})
    executor.put("p1")
    executor.put("p2")
    asked = asyncio.create_task(server.post("run", {"batch_count": 2}))
    executor.finish("p1", status="error", messages=[BROKEN])
    executor.take("p2")
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"], body["error"]) == (422, "execution_failed", "Result (#9) failed: disk is full.")
    prompts = [(one["prompt_id"], one["status"]) for one in body["details"]["prompts"]]
    assert prompts == [("p1", "error"), ("p2", "interrupted")]


async def test_the_outputs_before_a_failure_are_returned(server: Any, executor: Executor) -> None:
    (await server.tab()).on("execute", QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run"))
    executor.finish(status="error", messages=[BROKEN], made=True)
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"]) == (422, "execution_failed")
    assert [file["filename"] for file in body["details"]["outputs"]] == ["a_1.png"]


async def test_a_batch_that_the_page_queued_in_part_answers_that_part(server: Any, executor: Executor) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run", {"batch_count": 5}))
    request = await tab.next()
    done(executor, "p1", "p2")
    details = {"prompt_ids": ["p1", "p2"], "node_errors": {"9": {}}}
    await tab.respond(request["id"], status="error", error="No input.", code="execution_failed", details=details)
    answer = await answer_of(asked)
    assert (answer["status"], answer["prompt_ids"]) == ("partial", ["p1", "p2"])
    assert [file["filename"] for file in answer["outputs"]] == ["p1.png", "p2.png"]
    assert [one["status"] for one in answer["prompts"]] == ["success"] * 2 + ["not_queued"] * 3
    assert answer["prompts"][4]["error"] == {
        "error": "No input.",
        "code": "execution_failed",
        "details": {"node_errors": {"9": {}}},
    }


async def test_a_batch_whose_tab_disconnects_returns_the_accepted_prompts(
    server: Any, executor: Executor, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "SUBMISSION_GRACE", 0.0)
    tab, asked, mark = await begin(batch_count=3)
    done(executor, "p1", "p2")
    await accept(server, mark, "p1")
    await accept(server, mark, "p2")
    await tab.close()
    answer = await answer_of(asked)
    assert (answer["status"], answer["prompt_ids"]) == ("partial", ["p1", "p2"])
    assert answer["prompts"][2]["error"]["code"] == "client_disconnected"


async def test_without_waiting_a_batch_that_is_queued_in_part_is_an_error_that_names_its_prompts(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("run", {"batch_count": 2, "wait": False}))
    request = await tab.next()
    details = {"prompt_ids": ["p1"]}
    await tab.respond(request["id"], status="error", error="No.", code="execution_failed", details=details)
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["details"]) == (422, details)


async def test_a_batch_that_times_out_returns_the_finished_prompts(
    server: Any, executor: Executor, eventually: Any, clock: LoopClock
) -> None:
    (await server.tab()).on("execute", {**QUEUED, "prompt_ids": ["p1", "p2"]})
    done(executor, "p1")
    executor.put("p2")
    asked = asyncio.create_task(server.post("run", {"batch_count": 2, "timeout": 100}))
    runs = server.bridge.runs._runs
    await eventually(lambda: "p1" in runs and runs["p1"].over)
    await clock.passes(101)
    status, body = await asked
    assert (status, body["code"], body["details"]["prompt_ids"]) == (504, "timeout", ["p1", "p2"])
    first, second = body["details"]["prompts"]
    assert (first["status"], first["outputs"][0]["filename"]) == ("success", "p1.png")
    assert second["status"] == "unfinished" and "/history/p2" in body["error"]
    assert server.bridge.runs._runs == {}
