"""Tests of connecting and disconnecting tabs: the main tab, buffering, clean-up and several tabs at once."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

import pytest
from aiohttp import WSMsgType
from comfyui_uiapi.bridge.protocol import websocket_connection
from comfyui_uiapi.bridge.tabs import registry
from comfyui_uiapi.bridge.tabs.tab import CLEANUP_DELAY, WebuiManager
from comfyui_uiapi.common.errors import UiapiError

from ...harness.fakes.loop_clock import LoopClock


class Wire:
    """A transport that records what is sent."""

    kind = "wire"

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.closed: tuple[int, str] | None = None

    def send_request(self, request: Any) -> None:
        self.requests.append(request)

    def send_cancel(self, request_id: str) -> None:
        """No page is connected."""

    def send_event(self, frame: bytes) -> None:
        """No page is connected."""

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


async def test_a_disconnect_refuses_new_requests_and_answers_every_old_one_in_order() -> None:
    manager = WebuiManager(1)
    buffered = asyncio.create_task(manager.request("early", {}, 60))
    await asyncio.sleep(0)
    assert len(manager._buffered_requests) == 1
    wire = Wire()
    manager.connect(wire)
    manager.adopt([])
    asked = {name: asyncio.create_task(manager.request(name, {}, 60)) for name in ("late", "later", "last")}
    await asyncio.sleep(0)
    names = ["early", "late", "later", "last"]
    assert [request.command for request in wire.requests] == names
    answered: list[str] = []
    for name, task in {**asked, "early": buffered}.items():
        task.set_name(name)
        task.add_done_callback(lambda done: answered.append(done.get_name()))
    assert manager.disconnect(wire)
    assert manager._disconnected and not manager._pending_requests and not manager._buffered_requests
    for error in await asyncio.gather(buffered, *asked.values(), return_exceptions=True):
        assert isinstance(error, UiapiError)
        assert error.envelope()["error"] == "Client disconnected"
    assert answered == names
    with pytest.raises(UiapiError):
        await manager.request("after", {}, 5)


async def test_a_late_disconnect_of_an_old_connection_does_not_touch_the_new_one() -> None:
    manager = WebuiManager(1)
    old, new = Wire(), Wire()
    manager.connect(old)
    manager.connect(new)
    assert old.closed == (4001, "replaced")
    assert not manager.disconnect(old)
    assert manager.connected


async def test_a_manager_is_dropped_after_its_delay_unless_the_client_came_back(server: Any, eventually: Any) -> None:
    tab = await server.tab()
    await tab.close()
    await eventually(lambda: not server.bridge.webuis.connected())
    back = await server.tab(client_id=tab.client_id, session=tab.welcome["session"])
    assert back.client_id == tab.client_id
    await asyncio.sleep(CLEANUP_DELAY * 2)
    assert tab.client_id in server.bridge.webuis.managers
    await back.close()
    await eventually(lambda: not server.bridge.webuis.managers)


async def test_the_first_tab_is_main_and_when_it_goes_the_next_one_is(server: Any, eventually: Any) -> None:
    first, second, third = await server.tab(), await server.tab(), await server.tab()
    assert [tab.welcome["is_main"] for tab in (first, second, third)] == [True, False, False]
    await first.close()
    await eventually(lambda: server.bridge.webuis.main_id == second.client_id)
    second.on("get_fields", {"a": "second"})
    third.on("get_fields", {"a": "third"})
    assert (await server.post("get_fields", {"fields": ["a"]}))[1]["response"] == {"a": "second"}
    body = {"fields": ["a"], "webui": third.client_id}
    assert (await server.post("get_fields", body))[1]["response"] == {"a": "third"}


async def test_an_unknown_tab_is_a_404_that_lists_the_open_ones(server: Any) -> None:
    tab = await server.tab()
    status, body = await server.post("get_fields", {"fields": ["a"], "webui": 99})
    assert (status, body["code"], body["details"]["webuis"]) == (404, "unknown_webui", [tab.client_id])


async def test_a_request_that_waits_for_a_tab_is_sent_once_one_connects(server: Any, eventually: Any) -> None:
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"], "wait_for_webui": True}))
    await eventually(lambda: server.bridge.webuis.lobby.pending_count == 1)
    assert (await server.get("connection_status"))[1]["pending_requests"] == 1
    tab = await server.tab()
    request = await tab.next()
    await tab.respond(request["id"], {"a": 1})
    assert (await asked)[1]["response"] == {"a": 1}
    assert server.bridge.webuis.lobby.pending_count == 0


async def test_a_request_that_waited_for_a_tab_in_vain_is_a_timeout_that_was_not_delivered(server: Any) -> None:
    body = {"fields": ["a"], "wait_for_webui": True, "timeout": 0.05}
    status, envelope = await server.post("get_fields", body)
    assert (status, envelope["code"], envelope["details"]["delivered"]) == (504, "timeout", False)
    assert server.bridge.webuis.lobby.pending_count == 0


@pytest.mark.parametrize("goes", ["its time is up", "it hangs up"])
async def test_a_request_that_waited_for_a_tab_is_the_tabs_from_then_on(
    server: Any, eventually: Any, clock: LoopClock, goes: str
) -> None:
    body = {"fields": ["a"], "wait_for_webui": True, "timeout": 100}
    asking = asyncio.ensure_future(server.post("get_fields", body))
    await eventually(lambda: server.bridge.webuis.lobby.pending_count)
    tab = await server.tab()
    request = await tab.next()
    if goes == "it hangs up":
        asking.cancel()
    else:
        await clock.passes(101)
        status, answer = await asking
        assert (status, answer["code"], answer["details"]["delivered"]) == (504, "timeout", True)
    assert (await tab.next("cancel"))["id"] == request["id"]
    assert server.bridge.webuis.managers[tab.client_id].pending_count == 0
    if goes == "its time is up":
        await tab.respond(request["id"], {"a": 1})
        late = {"request_id": answer["details"]["request_id"]}

        async def is_late_answer_kept() -> bool:
            return bool((await server.post("late_result", late))[1]["response"]["answered"])

        for _ in range(100):
            if await is_late_answer_kept():
                return
        pytest.fail("the late answer was not kept")


async def test_a_request_for_one_tab_is_not_sent_to_another(server: Any, eventually: Any) -> None:
    first, second = await server.tab(), await server.tab()
    await first.close()
    await second.close()
    await eventually(lambda: not server.bridge.webuis.managers)
    body = {"fields": ["a"], "wait_for_webui": True, "webui": second.client_id}
    asking = asyncio.ensure_future(server.post("get_fields", body))
    await eventually(lambda: server.bridge.webuis.lobby.pending_count)
    other = await server.tab(client_id=first.client_id)
    other.on("get_fields", {"a": "from another tab"})
    meant = await server.tab(client_id=second.client_id)
    meant.on("get_fields", {"a": "from the tab that was meant"})
    assert (await asking)[1]["response"] == {"a": "from the tab that was meant"}


async def test_every_step_of_a_run_goes_to_the_tab_of_its_first(server: Any) -> None:
    first = await server.tab()
    asking = asyncio.ensure_future(server.post("run", {"workflow": {"nodes": []}, "fields": [["a.b", 1]]}))
    request = await first.next()
    assert request["command"] == "load_workflow"
    second = await server.tab()
    server.bridge.webuis.make_main(second.client_id)
    await first.respond(request["id"], {"loaded": True})
    assert (await first.next())["command"] == "set_fields"
    await first.close()
    status, answer = await asking
    assert (status, answer["code"]) == (502, "client_disconnected")
    assert second.requests == []


async def test_a_page_that_names_an_id_beyond_all_bounds_gets_another(server: Any) -> None:
    for wanted in (2**53, 10**30):
        assert (await server.post("webui_ready", {"client_id": wanted}))[1]["client_id"] < 100
        assert (await server.tab(client_id=wanted)).client_id < 100


async def test_a_tab_that_cannot_be_asked_leaves_the_others_their_question(server: Any) -> None:
    able, unable = await server.tab(capabilities=["tabs"]), await server.tab()
    able.on("send_workflow", {"accepted": True})
    status, answer = await server.post("send_workflow", {"workflow": {"nodes": []}, "workflow_tab": "one"})
    assert (status, answer["accepted"], answer["webui"]) == (200, True, able.client_id)
    assert unable.requests == []


async def test_a_reconnecting_tab_keeps_its_id_even_after_the_server_forgot_it(server: Any) -> None:
    tab = await server.tab(client_id=7, session="from before the restart")
    assert tab.client_id == 7
    assert (await server.tab()).client_id == 8


async def test_a_wrong_session_does_not_get_another_tabs_id(server: Any) -> None:
    tab = await server.tab()
    thief = await server.tab(client_id=tab.client_id, session="guessed")
    assert thief.client_id != tab.client_id
    tab.on("get_fields", {"a": 1})
    assert (await server.post("get_fields", {"fields": ["a"]}))[0] == 200


async def test_a_workflow_is_offered_in_every_tab_and_the_first_to_accept_closes_the_others(server: Any) -> None:
    first, second, third = await server.tab(), await server.tab(), await server.tab()
    third.on("send_workflow", {"accepted": False, "message": "no"})
    asked = asyncio.create_task(server.post("send_workflow", {"workflow": {"nodes": []}, "message": "hello"}))
    request = await second.next()
    await second.respond(request["id"], {"accepted": True, "message": "taken"})
    status, body = await asked
    assert status == 200
    assert body == {"status": "ok", "accepted": True, "message": "taken", "webui": second.client_id}
    assert (await first.next("cancel"))["id"] == first.requests[0]["id"]


async def test_a_workflow_that_everybody_declines_is_not_accepted(server: Any) -> None:
    for _ in range(2):
        (await server.tab()).on("send_workflow", {"accepted": False})
    status, body = await server.post("send_workflow", {"workflow": {}})
    assert (status, body["accepted"]) == (200, False)


async def test_a_workflow_offered_in_a_tab_that_closes_is_not_taken_for_a_refusal(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("send_workflow", {"workflow": {}}))
    await tab.next()
    await tab.close()
    status, body = await asked
    assert (status, body["error"]) == (502, "Client disconnected")


async def test_tabs_are_listed_with_their_descriptions(server: Any, eventually: Any) -> None:
    tab = await server.tab(info={"browser": "Chromium 156", "frontend_version": "1.58.1", "workflow_name": "a"})
    await tab.ws.send_json({"type": "event", "event": "info", "data": {"workflow_name": "b"}})
    await eventually(lambda: server.bridge.webuis.find().info["workflow_name"] == "b")
    (listed,) = (await server.get("webuis"))[1]["response"]
    assert listed["browser"] == "Chromium 156" and listed["frontend_version"] == "1.58.1"
    assert listed["workflow_name"] == "b" and listed["is_main"] is True and listed["since"] > 0


async def test_the_status_of_a_client_never_makes_one(server: Any) -> None:
    status, body = await server.get("connection_status?client_id=41")
    assert (status, body["webui_connected"], body["is_main"]) == (200, False, False)
    assert server.bridge.webuis.managers == {}


async def test_only_the_slow_reader_loses_its_connection(
    server: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_connection, "MAX_BACKLOG", 2**20)
    slow, quick = await server.program(), await server.program()
    for program in (slow, quick):
        await program.send_json({"type": "request", "id": "s", "command": "subscribe", "data": {"events": ["noise*"]}})
        assert (await program.receive_json(timeout=60))["status"] == "ok"
    slow._response.connection.transport.pause_reading()
    for _ in range(400):
        server.bridge.publish("noise", {"text": "x" * 65536})
        assert (await quick.receive_json(timeout=60))["event"] == "noise"
        if len(server.bridge.subscriptions) == 1:
            break
    assert len(server.bridge.subscriptions) == 1, "the slow reader was never let go"
    server.bridge.publish("noise", {"text": "still there"})
    assert (await quick.receive_json(timeout=60))["data"] == {"text": "still there"}


async def test_a_tab_that_does_not_answer_pings_is_dropped_by_the_deadline(server: Any, clock: LoopClock) -> None:
    ws = await server.socket({"role": "webui"}, autoping=False)
    assert (await ws.receive_json(timeout=60))["type"] == "welcome"
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a"], "timeout": 250}))
    assert (await ws.receive(timeout=60)).type is WSMsgType.TEXT
    # aiohttp looks at whole seconds.
    await clock.passes(websocket_connection.HEARTBEAT + 2)
    assert (await ws.receive(timeout=60)).type is WSMsgType.PING
    await clock.passes(websocket_connection.HEARTBEAT / 2 + 2)
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["error"]) == (502, "Client disconnected")


async def test_subscribers_receive_events_of_tabs_until_they_unsubscribe(server: Any) -> None:
    program = await server.program()
    await program.send_json({"type": "request", "id": 5, "command": "subscribe", "data": {"events": ["webui_*"]}})
    assert (await program.receive_json(timeout=60))["response"] == {"subscription": "5"}
    tab = await server.tab()
    event = await program.receive_json(timeout=60)
    assert (event["type"], event["event"], event["data"]["id"]) == ("event", "webui_connected", tab.client_id)
    await program.send_json({"type": "request", "id": 6, "command": "unsubscribe", "data": {"subscription": 5}})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
    await tab.close()
    await program.send_json({"type": "request", "id": 7, "command": "webuis"})
    assert (await program.receive_json(timeout=60))["id"] == 7


async def test_a_subscription_is_one_of_few_and_has_an_id_of_its_own(server: Any, eventually: Any) -> None:
    program = await server.program()

    async def ask(request_id: str, command: str, **data: Any) -> dict[str, Any]:
        await program.send_json({"type": "request", "id": request_id, "command": command, "data": data})
        answer: dict[str, Any] = await program.receive_json(timeout=60)
        return answer

    assert (await ask("1", "subscribe", events=["none"]))["status"] == "ok"
    assert (await ask("1", "subscribe", events=["none"]))["code"] == "invalid"
    for number in range(2, 101):
        assert (await ask(str(number), "subscribe", events=["none"]))["status"] == "ok"
    assert (await ask("101", "subscribe", events=["none"]))["code"] == "too_many"
    assert (await ask("u", "unsubscribe", subscription="1"))["status"] == "ok"
    assert (await ask("1", "subscribe", events=["none"]))["status"] == "ok"
    await program.close()
    await eventually(lambda: not len(server.bridge.subscriptions))


async def test_subscribing_over_http_is_refused_with_the_websockets_path(server: Any) -> None:
    status, body = await server.post("subscribe")
    assert (status, body["code"]) == (422, "invalid")


@pytest.mark.parametrize("times", [100, 1000])
async def test_reconnects_leave_no_file_descriptor_task_or_manager_behind(
    server: Any, eventually: Any, times: int
) -> None:
    async def cycle() -> None:
        tab, program = await server.tab(), await server.program()
        server.tabs.clear()
        await asyncio.gather(tab.close(), program.close())

    def settled() -> bool:
        return not server.bridge.webuis.managers

    for _ in range(5):
        await cycle()
    await eventually(settled)
    gc.collect()
    files, tasks = len(os.listdir("/proc/self/fd")), asyncio.all_tasks()
    for _ in range(times // 2):
        await cycle()
    await eventually(settled)
    # The check itself runs in a separate task.
    await eventually(lambda: len(asyncio.all_tasks() - tasks) <= 1)
    gc.collect()
    # The last connections close in the next turns of the loop.
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= files)
    assert len(server.bridge.subscriptions) == 0


async def test_one_more_tab_than_there_may_be_is_refused_and_one_that_comes_back_is_not(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_TABS", 2)
    first, _ = await server.tab(), await server.tab()
    one_more = await server.socket({"role": "webui"})
    refused = await one_more.receive_json(timeout=60)
    assert (refused["type"], refused["code"]) == ("error", "too_many")
    known = {"client_id": first.client_id, "session": first.welcome["session"]}
    assert (await server.tab(**known)).client_id == first.client_id
    await first.close()
