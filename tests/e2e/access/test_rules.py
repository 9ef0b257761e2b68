"""The person's rules on a running ComfyUI: a damaged file permits nothing, a request needs permission for everything
it uses, and only pages with the page key may decide."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.bridge.conftest import FakeTab
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.fakes.scripted_tabs import ScriptedTabs
from comfyui_uiapi.tests.harness.models.model_host import model_bytes
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

ALLOWED = dict.fromkeys(("read", "change", "run", "download", "load"), "allow")
WRITE = {"fields": [["Canvas.width", 640]]}
GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
DAMAGED = {
    "truncated": b'{"version": 1, "rules": {"read": "al',
    "empty": b"",
    "zeros": b"\0" * 64,
    "a list": b"[]",
    "an unknown word": json.dumps({"rules": {**ALLOWED, "run": "never"}, "paused": False}).encode(),
    "rules that are a list": b'{"rules": [], "paused": false}',
    "a pause that is a text": json.dumps({"rules": ALLOWED, "paused": "false"}).encode(),
}


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program."""
    async with Program(alone.comfy) as asking:
        yield asking


class Person:
    """A person at a scripted tab with a panel."""

    def __init__(self, tab: FakeTab) -> None:
        self.tab = tab
        self._count = 0

    async def decide(self, **decision: Any) -> dict[str, Any]:
        """Pause, release or set rules; answers what the panel then shows."""
        self._count += 1
        asked = f"decision {self._count}"
        frame = {"type": "request", "id": asked, "command": "panel_decide", "data": decision}
        await self.tab.ws.send_json(frame)
        while (answer := await self.tab.next("response"))["id"] != asked:
            pass
        assert answer["status"] == "ok", answer
        return dict(answer["response"])

    async def shown(self) -> dict[str, Any]:
        """What the panel shows when it opens."""
        while (frame := await self.tab.next("event"))["event"] != "panel_state":
            pass
        return dict(frame["data"])

    def reached(self) -> list[str]:
        """The commands that reached the tab."""
        return [frame["command"] for frame in self.tab.requests]


@pytest_asyncio.fixture(loop_scope="session")
async def person(program: Program) -> AsyncIterator[Person]:
    """The only tab; everything is allowed before and after."""
    tabs = ScriptedTabs(program)
    person = Person(await tabs(capabilities=["panel", "watch"]))
    await person.decide(rules=ALLOWED, paused=False)
    yield person
    await person.decide(rules=ALLOWED, paused=False)
    await tabs.close()


# -- rules that are damaged -----------------------------------------------------------------------------------------


def rules_of(comfy: ComfyProcess) -> Path:
    """The file of the rules."""
    return comfy.base / "user" / "__uiapi" / "rules.json"


async def code(program: Program, command: str, body: Any) -> str:
    """Return the code that a command is refused with."""
    return str((await program.post(command, body))[1].get("code"))


async def pauses_until_the_person_decides(program: Program, content: bytes) -> None:
    """Programs are paused over this file, which is kept under its date, and the panel says why until it is decided."""
    comfy = program.comfy
    assert await code(program, "set_fields", WRITE) == "paused"
    [kept] = rules_of(comfy).parent.glob("rules.json.broken-*")
    assert kept.read_bytes() == content
    assert kept.name in comfy.log_text() and "Programs are paused until" in comfy.log_text()
    tabs = ScriptedTabs(program)
    person = Person(await tabs(capabilities=["panel"]))
    shown = await person.shown()
    assert shown["paused"] is True and kept.name in shown["problem"]
    assert await code(program, "run", {}) == "paused"
    decided = await person.decide(paused=False, rules=ALLOWED)
    assert (decided["paused"], decided["rules"]) == (False, ALLOWED)
    person.tab.on("set_fields", {"Canvas.width": {"requested": 640, "value": 640, "warnings": []}})
    assert (await program.post("set_fields", WRITE))[0] == 200
    assert json.loads(rules_of(comfy).read_text())["paused"] is False
    await tabs.close()
    kept.unlink()


async def test_a_comfyui_that_starts_with_cut_off_rules_starts_paused(
    new_comfy: Callable[..., ComfyProcess], tmp_path: Path
) -> None:
    # Before it starts: where new_comfy puts its first one.
    rules = tmp_path / "comfy-0" / "user" / "__uiapi" / "rules.json"
    rules.parent.mkdir(parents=True)
    rules.write_bytes(DAMAGED["truncated"])
    async with Program(await asyncio.to_thread(new_comfy)) as program:
        await pauses_until_the_person_decides(program, DAMAGED["truncated"])


@pytest.mark.parametrize("what", [what for what in DAMAGED if what != "truncated"])
async def test_damaged_rules_pause_programs_until_the_person_decides(program: Program, what: str) -> None:
    rules = rules_of(program.comfy)
    rules.parent.mkdir(parents=True, exist_ok=True)
    rules.write_bytes(DAMAGED[what])
    # As at a start, which takes many seconds.
    await program.comfy_post("/read_rules")
    await pauses_until_the_person_decides(program, DAMAGED[what])


# -- requests that make use of several kinds ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "requests"),
    [
        (
            "change",
            [
                ("run", WRITE),
                ("run", {"workflow": GRAPH, **WRITE}),
                ("batch", {"commands": [{"command": "set_fields", "data": WRITE}]}),
                ("add_node", {"type": "EmptyImage", "fields": [["width", 64]]}),
                ("set_fields", {**WRITE, "idempotency_key": "once"}),
            ],
        ),
        (
            "load",
            [
                ("run", {"workflow": GRAPH}),
                ("send_workflow", {"workflow": GRAPH}),
                ("load_workflow", {"workflow": GRAPH}),
            ],
        ),
        ("run", [("run", WRITE), ("execute", {})]),
    ],
)
async def test_a_refused_kind_is_not_done_as_part_of_another_request_either(
    program: Program, person: Person, kind: str, requests: list[tuple[str, dict[str, Any]]]
) -> None:
    await person.decide(rules={kind: "refuse"})
    socket = await program.socket()
    for command, body in requests:
        for envelope in ((await program.post(command, body))[1], await socket.request(command, body)):
            assert (envelope.get("code"), envelope.get("details")) == ("refused_by_person", {"kind": kind}), command
    assert person.reached() == []


async def test_no_request_goes_to_a_host_while_downloads_are_refused(
    program: Program, person: Person, alone: Alone
) -> None:
    await person.decide(rules={"download": "refuse"})
    alone.models.offer("/x.safetensors", model_bytes(1000))
    model = {"url": alone.models.url("/x.safetensors"), "ckpt_type": "loras"}
    for command, body in (
        ("plan_downloads", {"download_table": {"x.safetensors": model}}),
        ("download_models", {"download_table": {"x.safetensors": model}}),
        ("download_model", {"model_name": "x.safetensors", "model_def": model}),
    ):
        assert await code(program, command, body) == "refused_by_person", command
    assert (person.reached(), alone.models.seen, alone.lora_files()) == ([], [], [])
    alone.forget()


# -- what is shown ---------------------------------------------------------------------------------------------------


async def test_the_person_is_shown_every_write_that_they_allow(program: Program, person: Person) -> None:
    await person.decide(rules={"change": "always"})
    writes = [[f"Node {number}.width", number] for number in range(300)]
    asked = program.spawn(program.post("run", {"fields": writes, "wait": False}))
    while (question := await person.tab.next("request"))["command"] != "approve":
        pass
    shown = question["data"]
    assert shown["writes"] == [{"path": path, "value": str(value)} for path, value in writes]
    assert (shown["writes_left_out"], shown["kinds"]) == (0, ["change"])
    await person.tab.respond(question["id"], {"allowed": False})
    assert (await asyncio.wait_for(asked, PATIENCE))[1]["code"] == "refused_by_person"
    assert person.reached() == ["approve"]


# -- another package's page ------------------------------------------------------------------------------------------


async def test_a_page_without_the_key_is_served_on_this_machine_and_decides_nothing(program: Program) -> None:
    tabs = ScriptedTabs(program)
    async with program.http.ws_connect(program.url("/ws?clientId=older")) as older:
        _, ready = await program.post("webui_ready", {"client_id": "-1", "browserInfo": {"browser": "older"}})
        asked = program.spawn(program.post("get_fields", {"fields": ["a.b"]}))
        while (frame := await older.receive_json(timeout=PATIENCE))["type"] != "/uiapi/get_fields":
            pass
        answer = {"request_id": frame["data"]["request_id"], "client_id": ready["client_id"], "response": {"a.b": 1}}
        assert (await program.post("webui_response", answer))[0] == 200
        assert (await asyncio.wait_for(asked, PATIENCE))[1]["response"] == {"a.b": 1}
        # A page of the server's own is the main one as soon as it is there, and the person at it pauses programs.
        person = Person(await tabs(capabilities=["panel"]))
        assert person.tab.welcome["is_main"] is True
        await person.decide(paused=True)
        release = {"paused": False, "client_id": ready["client_id"], "main": ready["client_id"]}
        for command in ("panel_decide", "panel_main", "panel_forget"):
            assert await code(program, command, release) == "unknown_command"
        assert await code(program, "set_fields", WRITE) == "paused"
        assert [tab["is_main"] for tab in (await program.get("webuis"))[1]["response"]] == [False, True]
        await person.decide(paused=False)
        await program.ok("webui_disconnect", {"client_id": ready["client_id"]})
    await tabs.close()
