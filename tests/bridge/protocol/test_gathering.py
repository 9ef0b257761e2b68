"""Tests of several frames in one message, to a tab and from it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy.request_limits import FRAMES_A_TURN
from comfyui_uiapi.bridge.tabs.websocket_transport import GATHERED, GATHERED_BYTES, SocketTransport

COUNT = 100


async def pipelined(server: Any, program: Any) -> list[dict[str, Any]]:
    """Send COUNT requests at once, and return their answers in the order received."""
    for number in range(COUNT):
        data = {"fields": [f"A.field{number}"]}
        await program.send_json({"type": "request", "id": number, "command": "get_fields", "data": data})
    return [await program.receive_json(timeout=60) for _ in range(COUNT)]


@pytest.mark.parametrize("capabilities", [["gather"], []])
async def test_many_requests_at_once_reach_the_tab_in_order_and_each_gets_its_own_answer(
    server: Any, capabilities: list[str]
) -> None:
    tab = await server.tab(capabilities=capabilities)
    tab.on("get_fields", lambda data: {data["fields"][0]: data["fields"][0]})
    answers = await pipelined(server, await server.program())
    assert [frame["data"]["fields"] for frame in tab.requests] == [[f"A.field{number}"] for number in range(COUNT)]
    for answer in answers:
        name = f"A.field{answer['id']}"
        assert answer["response"] == {name: name}


async def test_only_a_page_that_takes_several_frames_as_one_is_sent_them(server: Any) -> None:
    new = await server.tab(capabilities=["gather"])
    new.on("get_fields", {})
    program = await server.program()
    await pipelined(server, program)
    assert max(new.messages) > 1
    assert len(new.messages) < COUNT
    await new.close()
    old = await server.tab()
    old.on("get_fields", {})
    await pipelined(server, program)
    assert set(old.messages) == {1}


async def test_gathered_frames_never_exceed_the_frame_limit(server: Any) -> None:
    tab = await server.tab(capabilities=["gather"])
    tab.on("load_workflow", {"loaded": True})
    program = await server.program()
    for number in range(12):
        data = {"workflow": {"x": "y" * (GATHERED_BYTES // 3)}}
        await program.send_json({"type": "request", "id": number, "command": "load_workflow", "data": data})
    answers = [await program.receive_json(timeout=60) for _ in range(12)]
    assert {answer["status"] for answer in answers} == {"ok"}
    assert max(tab.messages) <= 3


async def test_requests_of_several_turns_of_the_event_loop_are_gathered_and_none_is_left() -> None:
    sent: list[int] = []
    connection: Any = SimpleNamespace(
        send_text=lambda text: sent.append(len(json.loads(b"[" + text.strip(b"[]") + b"]")))
    )
    transport = SocketTransport(connection, gathers=True)
    for _ in range(3):
        for _ in range(FRAMES_A_TURN):
            transport.send_cancel("x")
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert sent[:2] == [1, GATHERED] and sum(sent) == 3 * FRAMES_A_TURN
    transport.send_cancel("x")
    assert sent[-1] == 1
    transport.send_cancel("x")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sent[-2:] == [1, 1]


async def test_a_single_request_waits_for_no_others(server: Any) -> None:
    tab = await server.tab(capabilities=["gather"])
    tab.on("get_fields", {})
    for _ in range(3):
        assert (await server.post("get_fields", {"fields": []}))[0] == 200
    assert tab.messages == [1, 1, 1]


async def test_answers_that_come_as_one_are_each_taken_and_a_strange_one_spoils_none(server: Any) -> None:
    tab = await server.tab(capabilities=["gather"])
    program = await server.program()
    for number in range(2):
        await program.send_json({"type": "request", "id": number, "command": "get_fields", "data": {"fields": []}})
    first, second = [(await tab.next())["id"] for _ in range(2)]
    response = {"type": "response", "status": "ok", "response": {}}
    await tab.ws.send_json([{**response, "id": first}, {"type": "dance"}, {**response, "id": second}])
    assert [(await program.receive_json(timeout=60))["status"] for _ in range(2)] == ["ok", "ok"]
    assert (await tab.next("error"))["code"] == "malformed"


async def test_a_program_sends_one_frame_at_a_time(server: Any) -> None:
    program = await server.program()
    await program.send_json([{"type": "request", "id": 1, "command": "connection_status"}])
    assert (await program.receive_json(timeout=60))["code"] == "malformed"
