"""Tests of dispatch: callers, conditions, the log entry and the end of a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.bridge.app.dispatch import find_command
from comfyui_uiapi.bridge.tabs.registry import Webuis
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.common.waiting import outcome

from ..conftest import Executor, Person, Server

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}


async def test_every_pending_request_is_answered_when_comfyui_stops(
    server: Server, person: Person, executor: Executor, eventually: Eventually
) -> None:
    person.on("execute", QUEUED)
    executor.put()
    await person.send("panel_decide", rules={"change": "once", "load": "always"})
    asked = {
        command: asyncio.create_task(server.post(command, data))
        for command, data in (
            ("run", {"idempotency_key": "k"}),
            ("get_workflow", {}),
            ("set_fields", {"fields": [["a", 1]]}),
            ("load_workflow", {"workflow": {"nodes": []}, "idempotency_key": "l"}),
        )
    }

    def under_way() -> bool:
        commands = [frame["command"] for frame in person.requests]
        return "get_workflow" in commands and commands.count("approve") == 2 and len(server.bridge.runs._runs) == 1

    await eventually(under_way)
    await server.bridge.close()
    answers = {command: await asyncio.wait_for(task, 60) for command, task in asked.items()}
    # The request that the tab had received may have been carried out; the others were not.
    assert {command: body["code"] for command, (_, body) in answers.items()} == {
        "run": "shutting_down",
        "get_workflow": "client_disconnected",
        "set_fields": "shutting_down",
        "load_workflow": "shutting_down",
    }
    assert answers["run"][1]["details"] == {"prompt_id": "p1"}


async def test_a_cancelled_task_of_the_bridge_still_answers_its_callers() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    waiting, leaving = (asyncio.create_task(outcome(task)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled() and not task.done()
    task.cancel()
    with pytest.raises(UiapiError, match="ComfyUI is stopping"):
        await waiting


async def test_no_request_waits_for_a_tab_after_comfyui_has_stopped() -> None:
    webuis = Webuis()
    webuis.close()
    for wait in (False, True):
        with pytest.raises(UiapiError) as caught:
            webuis.find(wait=wait)
        assert (caught.value.code, caught.value.status) == ("shutting_down", 503)


# -- callers and conditions ------------------------------------------------------------------------------------------


async def test_a_read_with_an_idempotency_key_is_carried_out_each_time(server: Server) -> None:
    tab = await server.tab()
    answers = iter([{"a": 1}, {"a": 2}])
    tab.on("get_fields", lambda data: next(answers))
    for value in (1, 2):
        _, body = await server.post("get_fields", {"fields": ["a"], "idempotency_key": "k"})
        assert body["response"] == {"a": value} and "repeated" not in body


async def test_keys_for_the_bridge_are_not_passed_on_to_the_tab_and_all_others_are(server: Server) -> None:
    tab = await server.tab(capabilities=["tabs", "revisions"])
    tab.on("set_fields", {"a": {"requested": 1, "value": 1, "warnings": []}})
    steering = {"client_id": "x", "verbose": True, "webui": tab.client_id, "timeout": 9, "idempotency_key": "k"}
    await server.post("set_fields", {"fields": [["a", 1]], "workflow_tab": "t", "if_revision": "r", **steering})
    [request] = tab.requests
    assert request["data"] == {"fields": [["a", 1]]}
    assert (request["workflow_tab"], request["if_revision"]) == ("t", "r") and "by" not in request


@pytest.mark.parametrize("condition", [{"if_revision": "r"}, {"workflow_tab": "t"}])
async def test_a_condition_goes_to_a_page_that_checks_it_or_to_none(server: Server, condition: dict[str, str]) -> None:
    able = {"if_revision": "revisions", "workflow_tab": "tabs"}[next(iter(condition))]
    other = ({"revisions", "tabs"} - {able}).pop()
    tab = await server.tab(capabilities=[other])
    status, body = await server.post("set_fields", {"fields": [["a", 1]], **condition})
    assert (status, body["code"]) == (422, "invalid") and tab.requests == []
    assert next(iter(condition)) in body["error"]


async def test_revision_and_workflow_tab_are_part_of_flat_and_other_answers(server: Server) -> None:
    tab = await server.tab(capabilities=["revisions"])
    for command, data, answer in (
        ("get_fields", {"fields": ["a"]}, {"a": 1}),
        ("load_workflow", {"workflow": {"nodes": []}}, {"loaded": True, "message": ""}),
    ):
        asked = asyncio.create_task(server.post(command, data))
        request = await tab.next()
        await tab.respond(request["id"], answer, revision="r7")
        _, body = await asked
        assert body["revision"] == "r7" and body["status"] == "ok"
        flat = command == "load_workflow"
        assert (body["loaded"] is True and "response" not in body) if flat else body["response"] == answer


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 30), (0.05, 0.05)])
async def test_a_command_waits_its_default_timeout_or_that_of_the_request(
    server: Server, timeout: float | None, seconds: float
) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"], "timeout": timeout}))
    await tab.next()
    if timeout is None:
        [pending] = server.bridge.webuis.find()._pending_requests.values()
        assert pending.timeout == seconds
        await tab.respond(pending.request_id, {"a": 1})
    status, body = await asked
    assert (status, body.get("code")) == ((200, None) if timeout is None else (504, "timeout"))


async def test_a_named_tab_gets_the_request_also_if_it_connects_later(server: Server) -> None:
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"], "webui": 2, "wait_for_webui": True}))
    first = await server.tab()
    second = await server.tab()
    await second.respond((await second.next())["id"], {"a": 2})
    assert (await asked)[1]["response"] == {"a": 2} and first.requests == []
    second.on("get_fields", {"a": 3})
    assert (await server.post("get_fields", {"fields": ["a"], "webui": second.client_id}))[1]["response"] == {"a": 3}
    assert (await server.post("get_fields", {"fields": ["a"], "webui": 9}))[1]["code"] == "unknown_webui"


# -- the activity log -------------------------------------------------------------------------------------------------


async def test_commands_of_the_person_need_no_approval_and_are_not_logged(server: Server, person: Person) -> None:
    await person.send("panel_decide", paused=True, rules={"read": "refuse", "change": "refuse"})
    answer = await person.send("node_info", type="NoSuchNode")
    assert answer["code"] == "unknown_node_type" and not server.bridge.activity.entries
    await server.get("connection_status")
    assert not server.bridge.activity.entries
    assert (await server.post("node_info", {"type": "NoSuchNode"}))[1]["code"] == "refused_by_person"
    assert [entry.code for entry in server.bridge.activity.entries] == ["refused_by_person"]


async def test_the_log_has_a_cancelled_command_as_cancelled_and_a_finished_one_as_done(
    server: Server, eventually: Eventually
) -> None:
    tab = await server.tab()
    program = await server.program(name="brief")
    await program.send_json({"type": "request", "id": 1, "command": "set_fields", "data": {"fields": [["a", 1]]}})
    await tab.next()
    [entry] = server.bridge.activity.entries
    assert (entry.state, entry.program) == ("running", "brief")
    await program.send_json({"type": "cancel", "id": 1})
    await eventually(lambda: entry.state != "running")
    assert (entry.state, entry.code) == ("failed", "cancelled")
    tab.on("set_fields", {"a": {"requested": 1, "value": 1, "warnings": []}})
    await server.post("set_fields", {"fields": [["a", 1]]})
    assert [(each.state, each.code) for each in server.bridge.activity.entries][-1] == ("done", None)


async def test_changes_that_a_tab_reports_belong_to_the_command_that_was_sent_to_it(
    server: Server, person: Person
) -> None:
    await server.post("set_fields", {"fields": [["Canvas.width", 640]]}, headers={"User-Agent": "Krita"})
    request = next(frame for frame in person.requests if frame["command"] == "set_fields")
    assert request["by"] == "Krita"
    assert server.bridge.activity._requests[request["id"]].program == "Krita"


def test_panel_commands_are_only_for_tabs_and_internal_ones_for_no_caller() -> None:
    assert find_command("panel_decide", panel=True).name == "panel_decide"
    assert find_command("get_fields").name == find_command("get_fields", panel=True).name == "get_fields"
    for name, panel in (("panel_decide", False), ("approve", False), ("approve", True), ("nonsense", True)):
        with pytest.raises(UiapiError, match=f"Unknown command '{name}'") as caught:
            find_command(name, panel=panel)
        assert caught.value.status == 404
    with pytest.raises(UiapiError) as caught:
        find_command("x" * 1000)
    assert repr("x" * 80) in caught.value.message


async def test_a_program_on_a_websocket_waits_for_the_persons_answer(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"read": "always"})
    person.on("approve", {"allowed": True})
    program = await server.program(name="brief")
    await program.send_json({"type": "request", "id": 1, "command": "get_fields", "data": {"fields": ["Canvas.width"]}})
    assert (await program.receive_json(timeout=60))["response"] == {"Canvas.width": 64}
