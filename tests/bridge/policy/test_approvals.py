"""Tests of the person's rules: they apply to all kinds a request needs, and a damaged file allows nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy.approvals import Approvals
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS, Kind, Risk

from ..conftest import Person, Server

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
WRITE = ["Canvas.width", 640]
GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
ALLOWED = {kind.value: "allow" for kind in Kind if kind is not Kind.TALK}
# Requests that need more than their command's own kind, with the kinds they need.
COMPOSITE = [
    ("run", {"fields": [WRITE]}, {"run", "change"}),
    ("run", {"workflow": GRAPH}, {"run", "load"}),
    ("run", {"workflow": GRAPH, "fields": [WRITE]}, {"run", "load", "change"}),
    ("batch", {"commands": [{"command": "set_fields", "data": {"fields": [WRITE]}}]}, {"change"}),
    ("add_node", {"type": "EmptyImage", "fields": [["width", 64]]}, {"change"}),
    ("send_workflow", {"workflow": GRAPH}, {"load"}),
    ("late_result", {"request_id": "x"}, {"read"}),
]


def fresh(directory: Path, server: Server) -> Approvals:
    return Approvals(lambda: directory, lambda: None, server.bridge.spawn, server.bridge.webuis)


def set_aside(directory: Path) -> list[Path]:
    return [*directory.glob("rules.json.broken-*")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"version": 1, "rules": {"read": "al',
        b"\0" * 64,
        b"[]",
        b"{}",
        b'{"rules": [], "paused": false}',
        json.dumps({"rules": {**ALLOWED, "run": "never"}, "paused": False}).encode(),
        json.dumps({"rules": {**ALLOWED, "run": ["allow"]}, "paused": False}).encode(),
        json.dumps({"rules": ALLOWED, "paused": "true"}).encode(),
        json.dumps({"rules": {"read": "allow"}, "paused": False}).encode(),
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_damaged_rules_pause_programs_until_the_person_decides_and_the_file_is_kept(
    server: Server, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "rules.json").write_bytes(content)
    approvals = fresh(tmp_path, server)
    await approvals.start()
    assert approvals.paused and set(approvals.rules.values()) == {Rule.ONCE}
    [kept] = set_aside(tmp_path)
    assert kept.read_bytes() == content
    assert kept.name in str(approvals.state()["problem"])
    await approvals.decide(paused=False)
    assert approvals.state()["problem"] is None
    again = fresh(tmp_path, server)
    await again.start()
    assert not again.paused and again.state()["problem"] is None


async def test_rules_of_a_newer_version_are_not_lost_to_the_next_decision(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text('{"version": 99, "rules": "of a later kind"}')
    approvals = fresh(tmp_path, server)
    await approvals.start()
    assert approvals.paused and (tmp_path / "rules.json").read_text() == '{"version": 99, "rules": "of a later kind"}'
    await approvals.decide(paused=False)
    [kept] = set_aside(tmp_path)
    assert "of a later kind" in kept.read_text()


async def test_nothing_passes_before_the_rules_are_read(server: Server, tmp_path: Path) -> None:
    await fresh(tmp_path, server).decide(rules={Kind.CHANGE: Rule.REFUSE})
    approvals = fresh(tmp_path, server)
    server.bridge.approvals = approvals
    asked = asyncio.create_task(server.post("set_fields", {"fields": [WRITE]}))
    hasty = await server.post("set_fields", {"fields": [WRITE], "timeout": 0.05})
    assert (hasty[0], hasty[1]["code"]) == (504, "timeout")
    await approvals.start()
    assert (await asked)[1]["code"] == "refused_by_person"


@pytest.mark.parametrize(("command", "data", "kinds"), COMPOSITE)
async def test_a_request_needs_every_kind_it_makes_use_of(
    server: Server, person: Person, command: str, data: dict[str, Any], kinds: set[str]
) -> None:
    for kind in kinds:
        await person.send("panel_decide", rules={**ALLOWED, kind: "refuse"})
        status, refused = await server.post(command, data)
        assert (status, refused["code"], refused["details"]) == (403, "refused_by_person", {"kind": kind})
    assert person.requests == []


async def test_a_plan_asks_hosts_only_where_downloads_are_allowed() -> None:
    plan = COMMANDS["plan_downloads"]
    assert plan.kinds(plan.parse({})) == {Kind.READ, Kind.DOWNLOAD}


def test_every_command_that_writes_or_drives_has_a_kind_with_a_rule() -> None:
    """The only exceptions are commands of connections."""
    talk = {"webui_ready", "webui_response", "webui_disconnect", "client_disconnect"}
    free = {
        command.name
        for command in COMMANDS.values()
        if command.kind is Kind.TALK and command.risk is not Risk.READ and not command.panel
    }
    assert free == talk


async def test_a_program_gets_no_events_of_the_graph_after_reading_is_refused(server: Server, person: Person) -> None:
    program = await server.program(name="listener")
    await program.send_json({"type": "request", "id": 1, "command": "subscribe", "data": {"events": ["webui_*"]}})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
    await person.send("panel_decide", rules={"read": "refuse"})
    server.bridge.publish("webui_connected", {"unheard": True})
    await person.send("panel_decide", rules={"read": "allow"})
    server.bridge.publish("webui_connected", {"n": 1})
    assert (await program.receive_json(timeout=60))["data"] == {"n": 1}


async def test_a_repeat_does_nothing_that_is_refused_by_now(server: Server, person: Person) -> None:
    person.on("set_fields", {"Canvas.width": {"requested": 640, "value": 640, "warnings": []}})
    keyed = {"fields": [WRITE], "idempotency_key": "k"}
    assert (await server.post("set_fields", keyed))[0] == 200
    await person.send("panel_decide", rules={"change": "refuse"})
    status, repeated = await server.post("set_fields", keyed)
    assert (status, repeated["repeated"]) == (200, True)
    assert [frame["command"] for frame in person.requests] == ["set_fields"]
    assert (await server.post("set_fields", {**keyed, "idempotency_key": "another"}))[0] == 403


async def test_one_question_covers_all_that_a_request_makes_use_of(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always", "run": "once"})
    person.on("approve", {"allowed": False})
    status, refused = await server.post("run", {"fields": [WRITE], "wait": False})
    assert (status, refused["code"]) == (403, "refused_by_person")
    [question] = [frame["data"] for frame in person.requests]
    assert question["kinds"] == ["change", "run"] and question["once"] is False
    assert question["writes"] == [{"path": "Canvas.width", "value": "640"}]
    # Only answers with the rule `once` are remembered.
    assert server.bridge.approvals.state()["answers"] == []


async def test_a_rule_made_stricter_while_the_person_is_asked_holds(
    server: Server, person: Person, eventually: Eventually
) -> None:
    for decision, code in (({"rules": {"change": "refuse"}}, "refused_by_person"), ({"paused": True}, "paused")):
        await person.send("panel_decide", rules={"change": "always"}, paused=False)
        asked = asyncio.create_task(server.post("set_fields", {"fields": [WRITE]}))
        while (question := await person.next("request"))["command"] != "approve":
            pass
        await person.send("panel_decide", **decision)
        await person.respond(question["id"], {"allowed": True})
        assert (await asked)[1]["code"] == code
    assert "set_fields" not in [frame["command"] for frame in person.requests]


async def test_every_value_that_is_approved_was_shown(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    person.on("approve", {"allowed": False})
    await server.post("set_fields", {"fields": [[f"Node{number}.width", number] for number in range(300)]})
    commands = [
        {"command": "set_fields", "data": {"field": WRITE}},
        {"command": "remove_node", "data": {"nodes": ["Canvas"]}},
    ]
    await server.post("batch", {"commands": commands})
    await server.post("set_fields", {"fields": [["Prompt.text", "x" * 400_000], ["Canvas.width", 1]]})
    many, batch, long = [frame["data"] for frame in person.requests]
    assert (len(many["writes"]), many["writes_left_out"]) == (300, 0)
    assert batch["writes"] == [
        {"path": "Canvas.width", "value": "640"},
        {"path": "remove_node", "value": '{"nodes":["Canvas"]}', "edit": True},
    ]
    assert [write["path"] for write in long["writes"]] == ["Prompt.text", "Canvas.width"]
    assert long["writes"][0]["value"].endswith("… (400000 characters)")


async def test_values_beyond_the_limit_are_counted_in_the_question(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    person.on("approve", {"allowed": False})
    await server.post("set_fields", {"fields": [[f"N{number}.text", "y" * 5_000] for number in range(201)]})
    [question] = [frame["data"] for frame in person.requests]
    assert len(question["writes"]) + question["writes_left_out"] == 201 and question["writes_left_out"] > 0


async def test_a_get_raises_no_question_and_passes_once_its_program_may_read(server: Server, person: Person) -> None:
    person.on("approve", {"allowed": True})
    person.on("get_fields", {"Canvas.width": 64})
    await person.send("panel_decide", rules={"read": "once"})
    page = {"headers": {"User-Agent": "Mozilla/5.0"}}
    status, refused = await server.get("queue", **page)
    assert (status, refused["code"]) == (403, "refused_by_person") and person.requests == []
    assert (await server.post("get_fields", {"fields": ["Canvas.width"]}, **page))[0] == 200
    assert (await server.get("queue", **page))[0] == 200


async def test_a_program_is_notified_that_its_request_waits_for_the_person(
    server: Server, person: Person, eventually: Eventually
) -> None:
    await server.bridge.approvals.decide(rules={Kind.CHANGE: Rule.ALWAYS})
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "subscribe", "data": {"events": ["waiting_*"]}})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
    await program.send_json({"type": "request", "id": 2, "command": "set_fields", "data": {"fields": [WRITE]}})
    frame = await program.receive_json(timeout=60)
    assert (frame["event"], frame["request"]) == ("waiting_for_person", 1)
    assert frame["data"] == {"command": "set_fields", "reason": "approval", "request": "2"}
    question = await person.next("request")
    await person.respond(question["id"], {"allowed": True})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
