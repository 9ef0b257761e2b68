"""Tests of web apps: pages from elsewhere that the person is asked about once, and what they may do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from comfyui_uiapi.bridge.policy import web_apps as module
from comfyui_uiapi.bridge.policy.rules import Rule
from comfyui_uiapi.bridge.policy.web_apps import Decision
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS, Kind
from comfyui_uiapi.common.clock import steady_time
from comfyui_uiapi.common.errors import UiapiError

from ...harness.programs.web_app import APP, READ, SCRIPT, allow, asked, code, decides, question, read
from ..conftest import Person, Server


@pytest.fixture(autouse=True)
def own_check(request: pytest.FixtureRequest) -> None:
    """ComfyUI refuses every foreign Origin by itself, without a word."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server").comfy.refuses_origins = True


def kept(server: Server) -> dict[str, Any]:
    """The decisions on the disk."""
    path = Path(server.folders.get_user_directory()) / "__uiapi" / "web_apps.json"
    return dict(json.loads(path.read_text())["apps"]) if path.exists() else {}


# -- consent ----------------------------------------------------------------------------------------------------


async def test_a_web_app_is_asked_about_once_and_works_afterwards(server: Server, person: Person) -> None:
    decides(person, "allow")
    for _ in range(3):
        async with server.session.post(
            server.url("/uiapi/get_fields"), json=READ, headers={"Origin": APP, **SCRIPT}
        ) as response:
            assert (response.status, (await response.json())["response"]) == (200, {"Canvas.width": 64})
            assert response.headers["Access-Control-Allow-Origin"] == APP
            assert "Access-Control-Allow-Credentials" not in response.headers
            assert "Origin" in response.headers["Vary"]
    assert asked(person) == [APP]
    assert kept(server)[APP]["decision"] == "allow"
    # The person sees it under its origin, whatever it says of itself.
    assert [*server.bridge.activity.programs] == [APP]


@pytest.mark.parametrize(("decision", "stored"), [("refuse", {"decision": "refuse"}), (None, {}), ("nonsense", {})])
async def test_a_web_app_that_was_not_allowed_is_not_asked_about_again(
    server: Server, person: Person, decision: str | None, stored: dict[str, str]
) -> None:
    decides(person, decision)
    expected = "web_app_refused" if decision == "refuse" else "waiting_for_person"
    assert [await code(read(server)) for _ in range(3)] == [expected] * 3
    assert asked(person) == [APP]
    assert kept(server).get(APP, {}).get("decision") == stored.get("decision")
    assert not [frame for frame in person.requests if frame["command"] == "get_fields"]


async def test_allowing_for_this_session_is_not_kept(server: Server, person: Person) -> None:
    decides(person, "session")
    assert await code(read(server)) == "let in"
    assert kept(server) == {}


async def test_requests_wait_for_one_question_together(server: Server, person: Person) -> None:
    waiting = [asyncio.create_task(code(read(server))) for _ in range(5)]
    frame = await question(person)
    await person.respond(frame["id"], {"decision": "allow"})
    assert await asyncio.gather(*waiting) == ["let in"] * 5
    assert asked(person) == [APP]


async def test_a_request_waits_a_while_and_the_question_stays_open(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAIT", 0.01)
    assert await code(read(server)) == "waiting_for_person"
    frame = await question(person)
    assert await code(read(server)) == "waiting_for_person"
    await person.respond(frame["id"], {"decision": "allow"})
    state = await person.event("panel_state", lambda data: data["web_apps"][0]["decision"])
    assert state["web_apps"][0]["origin"] == APP
    assert await code(read(server)) == "let in" and asked(person) == [APP]


async def test_without_a_tab_nobody_is_asked_and_a_tab_that_comes_later_is(server: Server) -> None:
    assert await code(read(server)) == "waiting_for_person"
    assert server.bridge.web_apps.apps == {}
    tab = await server.tab(capabilities=["panel"])
    tab.on("approve_web_app", {"decision": "allow"})
    tab.on("get_fields", {"Canvas.width": 64})
    assert await code(read(server)) == "let in"


async def test_a_tab_that_goes_away_leaves_the_question_to_the_next_one(server: Server, person: Person) -> None:
    other = await server.tab(capabilities=["panel"])
    other.on("approve_web_app", {"decision": "allow"})
    other.on("get_fields", {"Canvas.width": 64})
    waiting = asyncio.create_task(code(read(server)))
    await question(person)
    await person.close()
    assert await waiting == "let in"


async def test_a_question_whose_tab_has_gone_is_asked_again(server: Server, person: Person) -> None:
    waiting = asyncio.create_task(code(read(server)))
    await question(person)
    await person.close()
    assert await waiting == "waiting_for_person"
    tab = await server.tab(capabilities=["panel"])
    tab.on("approve_web_app", {"decision": "allow"})
    tab.on("get_fields", {"Canvas.width": 64})
    assert await code(read(server)) == "let in"


# -- no way to pester ---------------------------------------------------------------------------------------------


async def test_only_few_questions_are_open_at_a_time(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAIT", 0.01)
    for at in range(20):
        assert await code(read(server, f"https://a{at}.example")) == "waiting_for_person"
    assert len(asked(person)) == module.MAX_OPEN


async def test_after_many_refusals_nobody_is_asked_for_a_while(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    decides(person, "refuse")
    codes = [await code(read(server, f"https://a{at}.example")) for at in range(module.MAX_IN_VAIN + 5)]
    assert codes == ["web_app_refused"] * module.MAX_IN_VAIN + ["waiting_for_person"] * 5
    now = steady_time()
    monkeypatch.setattr(module, "steady_time", lambda: now + module.PERIOD + 1)
    assert await code(read(server, "https://later.example")) == "web_app_refused"


async def test_what_is_remembered_is_bounded_and_what_is_allowed_is_not_dropped(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_APPS", 3)
    decides(person, "allow")
    assert await code(read(server)) == "let in"
    decides(person, "refuse")
    for at in range(4):
        await read(server, f"https://a{at}.example")
    assert [*server.bridge.web_apps.apps] == [APP, "https://a2.example", "https://a3.example"]


async def test_a_question_that_nobody_answers_is_not_asked_again(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEFAULT_TIMEOUT", 0.01)
    assert [await code(read(server)) for _ in range(3)] == ["waiting_for_person"] * 3
    # It counts like a refusal, so that a page that asks under ever new names comes to an end.
    assert len(server.bridge.web_apps._in_vain) == 1
    await person.send("panel_web_app", origin=APP, decision="allow")
    assert await code(read(server)) == "let in" and asked(person) == [APP]


async def test_only_so_many_requests_wait_at_a_time(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    waiting = asyncio.create_task(code(read(server)))
    frame = await question(person)
    assert await code(read(server)) == "waiting_for_person"
    await person.respond(frame["id"], {"decision": "allow"})
    assert await waiting == "let in"


async def test_a_decision_that_cannot_be_kept_holds_until_a_restart(
    server: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(path: Path, data: dict[str, Any]) -> None:
        raise UiapiError("storage_failed", "The disk is full.")

    monkeypatch.setattr(module, "write_json", full)
    decides(person, "allow")
    assert await code(read(server)) == "let in"
    # The panel shows the person the error.
    answer = await person.send("panel_web_app", origin=APP, decision="refuse")
    assert (answer["code"], await code(read(server))) == ("storage_failed", "web_app_refused")


async def test_a_page_without_the_question_does_not_count_as_an_answer(server: Server, person: Person) -> None:
    # As the page of an older version does, until it is reloaded.
    person.refuse("approve_web_app", "tab_failed")
    assert await code(read(server)) == "waiting_for_person"
    decides(person, "allow")
    assert await code(read(server)) == "let in"


async def test_a_page_that_hangs_up_does_not_go_on_waiting(server: Server, person: Person) -> None:
    waiting = asyncio.create_task(read(server))
    frame = await question(person)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    while server.bridge.web_apps._waiting:
        await server.get("connection_status")
    await person.respond(frame["id"], {"decision": "allow"})
    assert await code(read(server)) == "let in"


# -- revoking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "data", "after"),
    [
        ("panel_web_app", {"decision": "refuse"}, "web_app_refused"),
        ("panel_forget_web_app", {}, "waiting_for_person"),
    ],
)
async def test_revoking_ends_websockets_and_requests_at_once(
    server: Server, person: Person, command: str, data: dict[str, str], after: str
) -> None:
    await allow(server, person)
    ws = await server.program_of(APP)
    del person.answers["get_fields"]
    pending = asyncio.create_task(code(read(server)))
    while (await person.next())["command"] != "get_fields":
        pass
    decides(person, None)
    answer = await person.send(command, origin=APP, **data)
    assert answer["status"] == "ok"
    assert await pending == "web_app_refused"
    closing = await ws.receive(timeout=60)
    assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 4403)
    # A browser may still remember its preflight; the request itself is refused.
    assert await code(read(server)) == after
    assert kept(server).get(APP, {}).get("decision") != "allow"


async def test_refusing_ends_a_request_that_would_outlive_its_caller_and_the_person_is_asked_anew(
    server: Server, person: Person
) -> None:
    await allow(server, person)
    await person.send("panel_decide", rules={"change": "once"})
    person.on("approve", {"allowed": True})
    del person.answers["set_fields"]
    write = {"fields": [["Canvas.width", 640]], "idempotency_key": "one"}
    pending = asyncio.create_task(code(server.post("set_fields", write, headers={"Origin": APP, **SCRIPT})))
    while (await person.next())["command"] != "set_fields":
        pass
    await person.send("panel_web_app", origin=APP, decision="refuse")
    assert await pending == "web_app_refused"
    status = (await server.get(f"connection_status?client_id={person.client_id}"))[1]
    assert status["pending_requests"] == 0
    await person.send("panel_web_app", origin=APP, decision="allow")
    asked_before = [frame["command"] for frame in person.requests].count("approve")
    person.on("set_fields", {})
    await server.post("set_fields", {**write, "idempotency_key": "two"}, headers={"Origin": APP, **SCRIPT})
    assert [frame["command"] for frame in person.requests].count("approve") == asked_before + 1


async def test_the_panel_decides_while_the_question_is_open(server: Server, person: Person) -> None:
    waiting = asyncio.create_task(code(read(server)))
    await question(person)
    await person.send("panel_web_app", origin=APP, decision="session")
    assert await waiting == "let in"


async def test_the_panel_is_for_tabs_and_takes_origins_only(server: Server, person: Person) -> None:
    await allow(server, person)
    for command in ("panel_web_app", "panel_forget_web_app"):
        answer = await person.send(command, origin="https://*.example")
        assert answer.get("code") == ("invalid" if command == "panel_web_app" else None)
        assert (await server.post(command, {"origin": APP}))[1]["code"] == "unknown_command"
        ws = await server.program_of(APP)
        await ws.send_json({"type": "request", "id": 1, "command": command, "data": {"origin": APP}})
        assert (await ws.receive_json(timeout=60))["code"] == "unknown_command"


async def test_decisions_outlive_a_restart_and_a_damaged_file_allows_nobody(
    server: Server, person: Person, restarted: Callable[[], Awaitable[Any]]
) -> None:
    await allow(server, person)
    await person.send("panel_web_app", origin=APP, rules={"run": "refuse"})
    again = await restarted()
    assert again.allows(APP) and again.apps[APP].rules[Kind.RUN] is Rule.REFUSE
    path = Path(server.folders.get_user_directory()) / "__uiapi" / "web_apps.json"
    for text in ("{", '{"version": 1, "apps": {"*": {"decision": "allow", "rules": {}}}}', '{"version": 9}'):
        path.write_text(text)
        again = await restarted()
        assert not again.allows(APP) and again.problem
    # A file of a newer version is set aside before it is replaced.
    await again.decide(APP, Decision.ALLOW)
    assert again.problem is None and (await restarted()).allows(APP)


@pytest.fixture
def restarted(server: Server) -> Callable[[], Awaitable[Any]]:
    """The web apps as the next ComfyUI reads them."""

    async def restart() -> Any:
        old = server.bridge.web_apps
        apps = module.WebApps(old._directory, lambda: None, server.bridge.spawn, server.bridge.webuis)
        assert not apps.allows(APP)
        await apps.start()
        return apps

    return restart


# -- what it may do -------------------------------------------------------------------------------------------------


async def test_its_own_rules_hold_in_addition_to_those_for_all_programs(server: Server, person: Person) -> None:
    await allow(server, person)
    write = {"fields": [["Canvas.width", 640]]}

    async def writes(**headers: str) -> int:
        return (await server.post("set_fields", write, headers=headers))[0]

    assert await writes(Origin=APP) == 200
    await person.send("panel_web_app", origin=APP, rules={"change": "refuse"})
    assert (await writes(Origin=APP), await writes()) == (403, 200)
    await person.send("panel_web_app", origin=APP, rules={"change": "allow"})
    await person.send("panel_decide", rules={"change": "refuse"})
    assert (await writes(Origin=APP), await writes()) == (403, 403)


async def test_a_download_asks_each_time_unless_the_person_says_otherwise(server: Server, person: Person) -> None:
    await allow(server, person)
    assert server.bridge.web_apps.apps[APP].rules[Kind.DOWNLOAD] is Rule.ALWAYS
    assert not server.bridge.approvals.free(frozenset({Kind.DOWNLOAD}), APP)
    assert server.bridge.approvals.free(frozenset({Kind.DOWNLOAD}), "a program")


async def test_a_program_cannot_take_the_name_of_a_web_app(server: Server, person: Person) -> None:
    await allow(server, person)
    await server.post("get_fields", READ, headers={"User-Agent": APP})
    await server.program(name=APP)
    assert [*server.bridge.activity.programs] == [APP, f"program {APP}"]


async def test_a_web_app_is_never_a_tab(server: Server, person: Person) -> None:
    await allow(server, person)
    ws = await server.socket({"role": "webui"}, headers={"Origin": APP})
    assert (await ws.receive_json(timeout=60))["code"] == "wrong_page"
    ws = await server.program_of(APP)
    for name in ("webui_ready", "webui_response", "webui_disconnect", "client_disconnect"):
        assert name in COMMANDS
        await ws.send_json({"type": "request", "id": name, "command": name, "data": {}})
        assert (await ws.receive_json(timeout=60))["code"] == "wrong_page"
    for refuses in (True, False):
        server.comfy.refuses_origins = refuses
        for name in ("webui_ready", "webui_response", "webui_disconnect", "client_disconnect", "page_key"):
            url = server.url(f"/uiapi/{name}")
            async with server.session.post(url, json={}, headers={"Origin": APP, **SCRIPT}) as response:
                assert response.status == 403
                assert (await response.read() == b"") is refuses
    assert len(server.bridge.webuis.connected()) == 1


async def test_operators_may_name_one_and_the_person_may_still_refuse_it(server: Server, person: Person) -> None:
    apps = module.WebApps(
        server.bridge.web_apps._directory, lambda: None, server.bridge.spawn, server.bridge.webuis, frozenset({APP})
    )
    await apps.start()
    assert apps.allows(APP)
    await apps.decide(APP, Decision.REFUSE)
    with pytest.raises(UiapiError, match="does not allow"):
        apps.allows(APP)
    await apps.forget(APP)
    assert apps.allows(APP)
