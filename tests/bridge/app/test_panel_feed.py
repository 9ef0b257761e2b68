"""Tests of the panel: the person at the browser sees programs' commands, and only they can pause and allow them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.bridge.app import panel_feed
from comfyui_uiapi.bridge.policy.activity_log import MAX_CHANGES, MAX_ENTRIES, MAX_PROGRAMS, Activity
from comfyui_uiapi.bridge.policy.approvals import Approvals
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS, Kind
from comfyui_uiapi.bridge.protocol.summaries import MAX_TEXT

from ...harness.fakes.loop_clock import LoopClock
from ..conftest import Person, Server

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
BLENDER = {"headers": {"User-Agent": "Blender"}}
WRITE = {"fields": [["Canvas.width", 640]]}


async def test_the_panel_gets_programs_with_their_commands_and_rates(server: Server, person: Person) -> None:
    # Reads are counted together for a few seconds.
    server.bridge.activity._clock = lambda: 1000.0
    assert (await person.send("panel_watch"))["response"]["entries"] == []
    for _ in range(3):
        await server.post("get_fields", {"fields": ["Canvas.width"]}, **BLENDER)

    def is_over(data: dict[str, Any]) -> bool:
        return [(entry["count"], entry["state"]) for entry in data["entries"]] == [(3, "done")]

    update = await person.event("activity", is_over)
    [read] = update["entries"]
    assert (read["program"], read["kind"], read["about"]) == ("Blender", "read", "Canvas.width")
    [program] = update["programs"]
    assert (program["name"], program["command"], program["calls"]) == ("Blender", "get_fields", 3)
    assert program["rate"] == pytest.approx(0.3)


async def test_the_log_has_the_previous_value_of_a_change(server: Server, person: Person) -> None:
    await person.send("panel_watch")
    await server.post("set_fields", WRITE, **BLENDER)
    request = next(frame for frame in person.requests if frame["command"] == "set_fields")
    assert request["by"] == "Blender"
    change: dict[str, Any] = {"kind": "widget_changed", "path": "Canvas.width", "node": "1", "what": "width"}
    change |= {"before": 64, "after": 640}
    data = {"request": request["id"], "changes": [change, {"kind": "nonsense"}], "total": 1}
    await person.ws.send_json({"type": "event", "event": "changes", "data": data})
    update = await person.event("activity", lambda data: any(entry["changes"] for entry in data["entries"]))
    [entry] = update["entries"]
    assert entry["changes"] == [{**change, "webui": person.client_id, "tab": "", "cut": False}]
    assert (await person.send("panel_watch"))["response"]["entries"][-1]["changes"] == entry["changes"]


async def test_the_log_has_the_code_of_a_failure(server: Server, person: Person) -> None:
    await server.get("connection_status", **BLENDER)
    await server.post("node_info", {"type": "NoSuchNode"}, **BLENDER)
    [entry] = (await person.send("panel_watch"))["response"]["entries"]
    assert (entry["command"], entry["state"], entry["code"]) == ("node_info", "failed", "unknown_node_type")


async def test_a_pause_refuses_writes_and_lets_reads_pass_until_it_is_released(server: Server, person: Person) -> None:
    assert (await person.send("panel_decide", paused=True))["response"]["paused"] is True
    status, refused = await server.post("set_fields", WRITE)
    assert (status, refused["code"]) == (423, "paused") and refused["error"].count(".") == 1
    assert (await server.post("run", {}))[0] == 423
    assert (await server.post("get_fields", {"fields": ["Canvas.width"]}))[0] == 200
    assert not [frame for frame in person.requests if frame["command"] == "set_fields"]
    await person.send("panel_decide", paused=False)
    assert (await server.post("set_fields", WRITE))[0] == 200


async def test_every_open_panel_shows_the_pause(server: Server, person: Person) -> None:
    other = await server.tab(capabilities=["panel"])
    other.__class__ = Person
    assert isinstance(other, Person)
    await person.send("panel_decide", paused=True)
    assert (await other.event("panel_state", lambda state: state["paused"]))["main_webui_id"] == person.client_id
    await person.send("panel_main", main=other.client_id)
    await other.event("panel_state", lambda state: state["main_webui_id"] == other.client_id)
    assert server.bridge.webuis.find().client_id == other.client_id


async def test_a_program_can_neither_release_itself_nor_look_at_the_log(server: Server, person: Person) -> None:
    await person.send("panel_decide", paused=True)
    program = await server.program(name="sly")
    for number, command in enumerate(name for name, command in COMMANDS.items() if command.panel):
        assert (await server.post(command, {"paused": False}))[0] == 404
        await program.send_json({"type": "request", "id": number, "command": command, "data": {"paused": False}})
        assert (await program.receive_json(timeout=60))["code"] == "unknown_command"
    await program.send_json({"type": "event", "event": "changes", "data": {}})
    assert (await program.receive_json(timeout=60))["code"] == "malformed"
    assert server.bridge.approvals.paused
    assert {command.name for command in COMMANDS.values() if command.panel} >= {"panel_decide", "panel_watch"}


async def test_a_kind_that_is_refused_is_a_403(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "refuse"})
    status, refused = await server.post("set_fields", WRITE)
    assert (status, refused["code"]) == (403, "refused_by_person")
    assert (await server.post("get_fields", {"fields": ["Canvas.width"]}))[0] == 200


async def test_refusals_reach_the_pages_but_not_those_that_the_person_just_gave(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_feed, "REFUSALS_EVERY", 0)
    await person.send("panel_decide", rules={"change": "always"})
    person.on("approve", {"allowed": False})
    assert (await server.post("set_fields", WRITE, **BLENDER))[1]["code"] == "refused_by_person"
    await person.send("panel_decide", rules={"change": "refuse"})
    assert (await server.post("set_fields", WRITE, **BLENDER))[0] == 403
    await person.send("panel_decide", paused=True)
    assert (await server.post("run", {}, **BLENDER))[0] == 423
    last = {"program": "Blender", "kind": "run", "code": "paused"}
    await person.event("panel_state", lambda state: state["refusals"] == {"count": 2, "last": last})


async def test_a_program_that_tries_again_and_again_does_not_flood_the_pages(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_feed, "REFUSALS_EVERY", 3600)
    await person.send("panel_decide", paused=True)
    await server.post("set_fields", WRITE, **BLENDER)
    panel = server.bridge.panel
    update = panel._refusals
    await asyncio.gather(*(server.post("set_fields", WRITE, **BLENDER) for _ in range(20)))
    assert panel.state()["refusals"]["count"] == 21
    assert update is not None and panel._refusals is update


async def test_always_asking_names_program_and_change_and_takes_each_answer(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    answers = iter([True, False])
    person.on("approve", lambda data: {"allowed": next(answers)})
    assert (await server.post("set_fields", WRITE, **BLENDER))[0] == 200
    status, refused = await server.post("set_fields", WRITE, **BLENDER)
    assert (status, refused["code"]) == (403, "refused_by_person")
    asked = [frame["data"] for frame in person.requests if frame["command"] == "approve"]
    assert len(asked) == 2 and asked[0]["program"] == "Blender" and asked[0]["kind"] == "change"
    assert asked[0]["writes"] == [{"path": "Canvas.width", "value": "640"}]


async def test_asking_once_is_once_per_program_whatever_comes_at_a_time(
    server: Server, person: Person, eventually: Eventually
) -> None:
    await person.send("panel_decide", rules={"change": "once"})
    first = asyncio.create_task(server.post("set_fields", WRITE, **BLENDER))
    second = asyncio.create_task(server.post("set_fields", WRITE, **BLENDER))
    await eventually(lambda: [entry.state for entry in server.bridge.activity.entries] == ["asking", "asking"])
    while (question := await person.next("request"))["command"] != "approve":
        pass
    await person.respond(question["id"], {"allowed": True})
    assert [(await asked)[0] for asked in (first, second)] == [200, 200]
    assert (await server.post("set_fields", WRITE, **BLENDER))[0] == 200
    assert len([frame for frame in person.requests if frame["command"] == "approve"]) == 1
    person.on("approve", {"allowed": False})
    assert (await server.post("set_fields", WRITE, headers={"User-Agent": "Krita"}))[0] == 403
    await person.send("panel_forget", program="Blender")
    assert (await server.post("set_fields", WRITE, **BLENDER))[0] == 403


async def test_a_question_is_taken_back_when_its_program_has_gone(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    program = await server.program(name="brief")
    await program.send_json({"type": "request", "id": 1, "command": "set_fields", "data": WRITE})
    while (asked := await person.next("request"))["command"] != "approve":
        pass
    await program.close()
    assert (await person.next("cancel"))["id"] == asked["id"]


async def test_an_unanswered_question_times_out_and_changes_nothing(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    status, refused = await server.post("set_fields", {**WRITE, "timeout": 0.05})
    assert (status, refused["code"]) == (504, "timeout")
    assert not [frame for frame in person.requests if frame["command"] == "set_fields"]


async def test_requests_that_share_a_question_keep_their_own_timeouts(
    server: Server, person: Person, eventually: Eventually, clock: LoopClock
) -> None:
    await person.send("panel_decide", rules={"change": "once"})
    hasty = asyncio.create_task(server.post("set_fields", {**WRITE, "timeout": 70}, **BLENDER))
    while (question := await person.next("request"))["command"] != "approve":
        pass
    patient = asyncio.create_task(server.post("set_fields", {**WRITE, "timeout": 250}, **BLENDER))
    await eventually(lambda: [entry.state for entry in server.bridge.activity.entries] == ["asking", "asking"])
    assert server.bridge.approvals.state()["asking"] == ["Blender"]
    await clock.passes(71)
    status, body = await hasty
    assert (status, body["code"], body["details"]) == (504, "timeout", {"delivered": False})
    await person.respond(question["id"], {"allowed": True})
    assert (await asyncio.wait_for(patient, 60))[0] == 200
    assert (server.bridge.approvals.state()["asked"], server.bridge.approvals.state()["asking"]) == (0, [])


@pytest.mark.parametrize(
    ("command", "data", "answer"),
    [
        ("send_workflow", {"workflow": {"nodes": []}}, {"accepted": False}),
        ("get_model_url", {"model_name": "a.safetensors"}, {"url": ""}),
    ],
)
async def test_a_program_waits_for_the_person_while_its_offer_or_question_about_urls_is_open(
    server: Server, person: Person, command: str, data: dict[str, Any], answer: dict[str, Any], eventually: Eventually
) -> None:
    approvals = server.bridge.approvals
    requests = [asyncio.create_task(server.post(command, data, **BLENDER)) for _ in range(2)]
    await eventually(lambda: server.bridge.webuis.find().pending_count == 2)
    for left in (1, 0):
        while (question := await person.next("request"))["command"] != command:
            pass
        assert approvals.state()["asking"] == ["Blender"]
        await person.respond(question["id"], answer)
        await asyncio.wait([one for one in requests if not one.done()], return_when=asyncio.FIRST_COMPLETED)
        assert approvals.state()["asking"] == ["Blender"] * left
    # A question that is taken back is no longer waited for.
    assert (await server.post(command, {**data, "timeout": 0.05}, **BLENDER))[0] == 504
    assert approvals.state()["asking"] == []


async def test_the_question_about_a_web_page_waits_for_the_person_in_every_tab(server: Server, person: Person) -> None:
    other = await server.tab(capabilities=["panel"])
    other.__class__ = Person
    assert isinstance(other, Person)
    headers = {"Origin": "https://app.example", "Content-Type": "application/json"}
    asked = asyncio.create_task(server.post("query_fields", {}, headers=headers))
    while (question := await person.next("request"))["command"] != "approve_web_app":
        pass
    await other.event("panel_state", lambda state: state["asking"] == ["https://app.example"])
    await person.respond(question["id"], {"decision": "refuse"})
    assert (await asked)[1]["code"] == "web_app_refused"
    await other.event("panel_state", lambda state: state["asking"] == [])


async def test_a_question_moves_to_the_next_main_tab(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    other = await server.tab(capabilities=["panel"])
    other.on("approve", {"allowed": True})
    other.on("set_fields", {"Canvas.width": {"requested": 640, "value": 640, "warnings": []}})
    asked = asyncio.create_task(server.post("set_fields", WRITE))
    while (await person.next("request"))["command"] != "approve":
        pass
    await person.close()
    assert (await asyncio.wait_for(asked, 60))[0] == 200


async def test_rules_hold_after_a_restart(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"run": "refuse"}, paused=True)
    kept = json.loads((server.bridge.comfy.state_directory() / "rules.json").read_text())
    assert kept["rules"]["run"] == "refuse" and kept["paused"] is True
    again = Approvals(server.bridge.comfy.state_directory, lambda: None, server.bridge.spawn, server.bridge.webuis)
    await again.start()
    assert again.paused and again.rules[Kind.RUN] is Rule.REFUSE and again.rules[Kind.CHANGE] is Rule.ALLOW


async def test_rules_that_cannot_be_read_pause_programs(server: Server, tmp_path: Any) -> None:
    (tmp_path / "rules.json").write_text('{"version": 99}')
    approvals = Approvals(lambda: tmp_path, lambda: None, server.bridge.spawn, server.bridge.webuis)
    await approvals.start()
    assert approvals.paused


async def test_a_run_that_goes_on_unattended_is_shown_until_comfyui_has_done_it(server: Server, person: Person) -> None:
    server.comfy.prompt_queue.waiting.append((1, "p1", {}, {}, []))
    person.on("execute", {"prompt_id": "p1", "number": 1, "node_errors": {}})
    await server.post("execute", {}, **BLENDER)
    await person.event("panel_state", lambda state: state["runs"] == ["Blender"])
    server.comfy.prompt_queue.waiting.clear()
    await person.event("panel_state", lambda state: state["runs"] == [])


async def test_the_log_the_programs_and_their_texts_are_bounded() -> None:
    activity = Activity(clock=lambda: 0.0)
    command = COMMANDS["set_fields"]
    request = command.parse({"fields": [["x" * 2000, "y" * 10_000]] * 5})
    for number in range(MAX_ENTRIES + 5):
        activity.begin(f"program {number}", command, request)
    everything = activity.everything()
    assert len(everything["entries"]) == MAX_ENTRIES and len(everything["programs"]) == MAX_PROGRAMS
    assert len(activity.news()["entries"]) == MAX_ENTRIES
    entry = activity.entries[-1]
    assert len(entry.as_json()["about"]) < 4 * MAX_TEXT
    activity.sent("r", entry)
    many = [{"kind": "widget_changed", "path": "p", "before": "b" * 5000, "after": 1}] * 100
    activity.take_changes({"request": "r", "changes": many, "total": 100}, 1)
    assert len(entry.changes) == MAX_CHANGES and entry.changes_total == 100
    assert entry.changes[0]["cut"] and entry.changes[0]["before"] == "b" * MAX_TEXT + "… (5000 characters)"


async def test_a_value_that_the_page_has_shortened_is_marked_as_cut() -> None:
    activity = Activity()
    command = COMMANDS["set_fields"]
    entry = activity.begin("program", command, command.parse({"field": ["a.b", 1]}))
    activity.sent("r", entry)
    change = {"kind": "widget_changed", "path": "a.b", "before": "x… (5000 characters)", "after": "y", "cut": True}
    activity.take_changes({"request": "r", "changes": [change, {**change, "cut": False}], "total": 2}, 1)
    assert [kept["cut"] for kept in entry.changes] == [True, False]


@pytest.mark.parametrize(
    ("command", "data", "words"),
    [
        ("get_fields", {"fields": ["a.b", "c", "d", "e", "f"]}, "a.b, c, d +2"),
        ("set_fields", {"field": ["a.b", 1]}, "a.b"),
        ("set_connection", {"field": ["a.outputs[0]", "b.inputs[0]"]}, "a.outputs[0] → b.inputs[0]"),
        ("remove_node", {"nodes": ["a", "b"]}, "a, b"),
        ("batch", {"commands": [{"command": "add_node", "data": {}}]}, "add_node"),
        ("disconnect", {"field": "a.inputs[0]"}, "a.inputs[0]"),
        ("disconnect", {"field": {"from": "a.outputs[0]", "to": "b.inputs[0]"}}, ""),
        ("rename_tab", {"name": "new"}, "new"),
        ("rename_tab", {"tab": "old", "name": "new"}, "old"),
        ("set_group", {"group": "old", "title": "new"}, "new"),
        ("add_node", {"type": "EmptyImage", "fields": [["width", 64]]}, "width"),
        ("add_node", {"type": "EmptyImage"}, "EmptyImage"),
        ("load_workflow", {"workflow": {"nodes": []}, "name": "n" * 300}, "n" * 200 + "… (300 characters)"),
        ("download_pause", {"download_id": "d"}, "d"),
        ("get_workflow", {}, ""),
    ],
)
def test_a_request_is_summarized_in_a_few_words(command: str, data: dict[str, Any], words: str) -> None:
    assert COMMANDS[command].parse(data).summary() == words


def test_every_subject_of_a_summary_is_a_field_of_its_request() -> None:
    for command in COMMANDS.values():
        assert set(command.request.subjects) <= command.request.model_fields.keys(), command.name
