"""Tests of faults during a request: each must end with the documented error."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import WSMsgType
from comfyui_uiapi.bridge.api import websocket as socket


async def test_where_the_only_page_cannot_be_served_programs_get_the_reason(server: Any, eventually: Any) -> None:
    reason = "This extension needs version 9 of the frontend or a newer one; update ComfyUI."
    ws = await server.socket({"role": "webui", "unserved": reason, "info": {"frontend_version": "1.27.10"}})
    assert (await ws.receive_json(timeout=60))["type"] == "welcome"
    for command, data in (("get_fields", {"fields": ["a.b"]}), ("send_workflow", {"workflow": {"nodes": []}})):
        status, body = await server.post(command, data)
        assert (status, body["code"]) == (503, "no_webui")
        assert body["error"] == f"A tab with frontend 1.27.10 is open but cannot be used: {reason}"
        assert body["details"]["unserved"][0]["reason"] == reason
    assert (await server.get("webuis"))[1]["response"] == []
    tab = await server.tab()
    tab.on("get_fields", {"a.b": 1})
    assert (await server.post("get_fields", {"fields": ["a.b"]}))[0] == 200
    await tab.close()
    await ws.close()
    await eventually(lambda: not server.bridge.webuis.connected() and not server.bridge.webuis._unserved)
    assert "No browser tab" in (await server.post("get_fields", {"fields": ["a.b"]}))[1]["error"]


async def test_without_a_tab_a_graph_command_is_answered_no_webui_at_once(server: Any) -> None:
    status, body = await server.post("get_fields", {"fields": ["prompt.text"]})
    assert (status, body["status"], body["code"]) == (503, "error", "no_webui")


async def test_a_silent_tab_is_a_timeout_and_nothing_stays_pending(server: Any) -> None:
    tab = await server.tab()
    status, body = await server.post("get_fields", {"fields": ["a.b"], "timeout": 0.05})
    assert (status, body["code"]) == (504, "timeout")
    assert body["details"]["delivered"] is True
    assert server.bridge.webuis.find().pending_count == 0
    assert (await tab.next())["id"] == (await tab.next("cancel"))["id"]


async def test_an_answer_after_its_timeout_is_ignored_and_logged_once(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tab = await server.tab()
    caplog.set_level(logging.INFO, "uiapi")
    await server.post("get_fields", {"fields": ["a.b"], "timeout": 0.05})
    await tab.respond((await tab.next())["id"], {"a.b": 1})
    tab.on("get_fields", {"a.b": 2})
    status, body = await server.post("get_fields", {"fields": ["a.b"]})
    assert (status, body["response"]) == (200, {"a.b": 2})
    assert len([record for record in caplog.records if "too late" in record.message]) == 1


async def test_of_two_answers_the_first_one_counts(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    request = await tab.next()
    await tab.respond(request["id"], {"a.b": "first"})
    await tab.respond(request["id"], {"a.b": "second"})
    status, body = await asked
    assert (status, body["response"]) == (200, {"a.b": "first"})


async def test_an_answer_from_another_tab_is_refused_and_the_request_stays_open(server: Any) -> None:
    tab, other = await server.tab(), await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    request = await tab.next()
    await other.respond(request["id"], {"a.b": "wrong"})
    status, body = await server.post(
        "webui_response", {"request_id": request["id"], "client_id": other.client_id, "response": {"a.b": "wrong"}}
    )
    assert (status, body["code"]) == (403, "forbidden")
    await tab.respond(request["id"], {"a.b": "right"})
    status, body = await asked
    assert body["response"] == {"a.b": "right"}


async def test_pending_requests_are_answered_when_the_socket_is_cut(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    await tab.next()
    tab.ws._response.connection.transport.abort()
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["error"]) == (502, "Client disconnected")
    status, body = await server.post("get_fields", {"fields": ["a.b"]})
    assert (status, body["code"]) == (503, "no_webui")


async def test_a_client_that_reconnects_before_its_old_socket_closes_keeps_the_new_one(server: Any) -> None:
    old = await server.tab()
    new = await server.tab(client_id=old.client_id, session=old.welcome["session"])
    new.on("get_fields", {"a.b": "new"})
    assert new.client_id == old.client_id
    await old.close()
    assert old.ws.close_code == 4001
    status, body = await server.post("get_fields", {"fields": ["a.b"]})
    assert (status, body["response"]) == (200, {"a.b": "new"})


async def test_a_request_is_cancelled_in_the_tab_when_its_caller_disconnects(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    request = await tab.next()
    asked.cancel()
    assert (await tab.next("cancel"))["id"] == request["id"]
    assert server.bridge.webuis.find().pending_count == 0


async def test_a_program_that_leaves_takes_its_requests_along(server: Any) -> None:
    tab, program = await server.tab(), await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "get_fields", "data": {"fields": ["a.b"]}})
    request = await tab.next()
    await program.close()
    assert (await tab.next("cancel"))["id"] == request["id"]


async def test_two_programs_with_the_same_request_id_are_not_mixed_up(server: Any) -> None:
    tab = await server.tab()
    tab.on("get_fields", lambda data: {path: path.upper() for path in data["fields"]})
    programs = [await server.program(), await server.program()]
    for program, path in zip(programs, ("one", "two"), strict=True):
        await program.send_json({"type": "request", "id": "same", "command": "get_fields", "data": {"fields": [path]}})
    answers = [await program.receive_json(timeout=60) for program in programs]
    assert [answer["response"] for answer in answers] == [{"one": "ONE"}, {"two": "TWO"}]


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        "7",
        '"NaN"',
        "{}",
        '{"type": "nonsense"}',
        '{"type": "request"}',
        '{"type": "request", "id": {}}',
        '{"type": "response", "id": "x"}',
        '{"type": "request", "id": 1, "command": "x", "data": NaN}',
    ],
)
async def test_a_malformed_or_unknown_frame_gets_an_error_and_the_socket_lives(server: Any, frame: str) -> None:
    program = await server.program()
    await program.send_str(frame)
    answer = await program.receive_json(timeout=60)
    assert (answer["status"], answer["code"]) == ("error", "malformed")
    await program.send_json({"type": "request", "id": 1, "command": "connection_status"})
    assert (await program.receive_json(timeout=60))["active_clients"] == 0


async def test_a_binary_frame_gets_an_error_and_the_socket_lives(server: Any) -> None:
    program = await server.program()
    await program.send_bytes(b"\x00")
    assert (await program.receive_json(timeout=60))["code"] == "malformed"
    await program.send_json({"type": "request", "id": 1, "command": "webuis"})
    assert (await program.receive_json(timeout=60))["response"] == []


async def test_a_frame_over_the_limit_closes_the_socket_with_1009(server: Any) -> None:
    program = await server.program()
    sending = asyncio.create_task(program.send_str(" " * (64 * 2**20 + 1)))
    message = await program.receive(timeout=60)
    await asyncio.gather(sending, return_exceptions=True)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)


async def test_a_handler_that_throws_in_the_tab_is_a_502_and_the_next_command_works(server: Any) -> None:
    tab = await server.tab()
    asked = asyncio.create_task(server.post("get_fields", {"fields": ["a.b"]}))
    request = await tab.next()
    await tab.respond(request["id"], status="error", error="node is undefined", code="whatever")
    status, body = await asked
    assert (status, body["code"], body["error"]) == (502, "tab_failed", "node is undefined")
    tab.on("get_fields", {"a.b": 1})
    assert (await server.post("get_fields", {"fields": ["a.b"]}))[0] == 200


@pytest.mark.parametrize(
    ("command", "body", "answer"),
    [
        ("get_fields", {"fields": ["a.b"]}, [1]),
        ("get_fields", {"fields": ["a.b"]}, {}),
        ("get_workflow", {}, {"workflow": {"workflow": {}}}),
        ("get_workflow_api", {}, {"output": []}),
        ("query_fields", {}, {"nodes": [{"id": 1}]}),
        ("execute", {}, {"number": 1}),
        ("set_fields", {"fields": [["a.b", 1]]}, "done"),
        ("load_workflow", {"workflow": {}}, None),
    ],
)
async def test_an_answer_of_the_wrong_shape_is_a_502(server: Any, command: str, body: Any, answer: Any) -> None:
    tab = await server.tab()
    tab.on(command, answer)
    status, envelope = await server.post(command, body)
    assert (status, envelope["code"]) == (502, "tab_failed")


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("get_fields", {}),
        ("get_fields", {"fields": "a.b"}),
        ("get_fields", {"fields": [1]}),
        ("get_fields", {"fields": ["a"], "feilds": 1}),
        ("get_fields", {"fields": ["a"], "timeout": -1}),
        ("get_fields", {"fields": ["a"], "timeout": "soon"}),
        ("get_fields", {"fields": ["a"], "webui": "x"}),
        ("set_fields", {}),
        ("set_fields", {"fields": [["a"]]}),
        ("set_fields", {"fields": {"a": 1}}),
        ("set_fields", {"fields": [["a", 1]], "field": ["a", 1]}),
        ("set_connection", {"field": ["a"]}),
        ("execute", {"wait": "perhaps"}),
        ("execute", {"batch_count": 0}),
        ("run", {"outputs": "files"}),
        ("load_workflow", {}),
        ("load_workflow", {"workflow": []}),
        ("send_workflow", {"workflow": "x"}),
    ],
)
async def test_an_unknown_or_ill_typed_parameter_is_a_422_and_reaches_no_tab(
    server: Any, command: str, body: Any
) -> None:
    tab = await server.tab()
    status, envelope = await server.post(command, body)
    assert (status, envelope["code"]) == (422, "invalid")
    assert envelope["details"]["problems"]
    assert tab.requests == []


async def test_two_tabs_that_are_duplicates_of_each_other_get_two_ids(server: Any) -> None:
    first = await server.tab()
    # A duplicated tab may know the id, but not the session, which is only in the page's memory.
    second = await server.tab(client_id=first.client_id)
    assert first.client_id != second.client_id
    _status, body = await server.get("webuis")
    assert [tab["id"] for tab in body["response"]] == [first.client_id, second.client_id]


async def test_an_answer_that_is_no_unicode_is_answered_all_the_same(server: Any) -> None:
    tab = await server.tab()
    [manager] = server.bridge.webuis.managers.values()
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "get_fields", "data": {"fields": ["a"]}})
    request = await tab.next()
    # Such as a file name from another system that ComfyUI lists among a node's choices.
    manager.respond(request["id"], {"a": "caf\udce9", "b": float("nan")})
    assert (await program.receive_json(timeout=60))["response"] == {"a": "caf\udce9", "b": None}


@pytest.mark.parametrize("data", [[], 0, "", False])
async def test_data_that_is_no_object_is_not_taken_for_none(server: Any, data: Any) -> None:
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "webuis", "data": data})
    assert (await program.receive_json(timeout=60))["code"] == "invalid"


async def test_a_hello_is_not_read_beyond_its_size(server: Any) -> None:
    socket = await server.socket({"role": "client", "info": {"x": "y" * (1 << 17)}})
    assert (await socket.receive_json(timeout=60))["code"] == "too_large"
    assert (await socket.receive(timeout=60)).data == 4000


async def test_an_http_request_to_the_websocket_url_gets_an_explanation(server: Any) -> None:
    status, answer = await server.get("ws")
    assert (status, answer["code"]) == (400, "malformed")


async def test_a_socket_holds_no_more_than_its_bytes_of_requests(
    server: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(socket, "MAX_BYTES", 3000)
    program = await server.program()
    data = {"workflow": {"x": "y" * 2000}, "wait_for_webui": True}
    for number in range(2):
        await program.send_json({"type": "request", "id": number, "command": "load_workflow", "data": data})
    answer = await program.receive_json(timeout=60)
    assert (answer["id"], answer["code"]) == (1, "too_many")
    await program.send_json({"type": "cancel", "id": 0})
    await eventually(lambda: not server.bridge.webuis.lobby.pending_count)
    tab = await server.tab()
    tab.on("load_workflow", {"loaded": True})
    await program.send_json({"type": "request", "id": 2, "command": "load_workflow", "data": data})
    assert (await program.receive_json(timeout=60))["status"] == "ok"


async def test_an_answer_beyond_a_frame_is_an_error_and_the_socket_lives(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "MAX_FRAME", 3000)
    tab = await server.tab()
    tab.on("get_fields", {"a": "y" * 4000})
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "get_fields", "data": {"fields": ["a"]}})
    assert (await program.receive_json(timeout=60))["code"] == "too_large"
    tab.on("get_fields", {"a": "y"})
    await program.send_json({"type": "request", "id": 2, "command": "get_fields", "data": {"fields": ["a"]}})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
