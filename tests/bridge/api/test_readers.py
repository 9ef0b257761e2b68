"""Tests of slow readers: they are disconnected, over HTTP and websockets, without effect on others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy import request_limits
from comfyui_uiapi.bridge.protocol import websocket_connection

from ...harness.fakes.loop_clock import LoopClock

UPGRADE = (
    b"GET /uiapi/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MB = 1 << 20


def frame(payload: bytes) -> bytes:
    """A text frame as a client sends it, masked with zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


@pytest.fixture
async def raw(server: Any) -> AsyncIterator[Any]:
    """Raw connections that read only on request; closed at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port, limit=1024)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()


async def stalled_subscriber(server: Any, raw: Any, eventually: Any) -> Any:
    """A program that subscribes to everything and reads nothing."""
    reader, writer = await raw()
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(b'{"type":"hello","role":"client","protocol":1}'))
    writer.write(frame(b'{"type":"request","id":"1","command":"subscribe","data":{}}'))
    await eventually(lambda: len(server.bridge.subscriptions))
    writer.transport.pause_reading()
    for _ in range(10):
        server.bridge.publish("output", {"x": "y" * MB})
        await asyncio.sleep(0)
    return writer


async def test_a_stalled_subscriber_that_sends_too_much_affects_no_other(
    server: Any, raw: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_connection, "CLOSE_TIMEOUT", 0.2)
    writer = await stalled_subscriber(server, raw, eventually)
    # The head of a frame of 100 MB.
    writer.write(b"\x81" + bytes([0x80 | 127]) + (100 * MB).to_bytes(8, "big") + bytes(4))
    [stalled] = server.bridge.connections
    await eventually(lambda: stalled.ws.closed)
    tab = await server.tab()
    tab.on("get_fields", {"a": 1})
    assert await server.post("get_fields", {"fields": ["a"]}) == (200, {"status": "ok", "response": {"a": 1}})
    await eventually(lambda: stalled not in server.bridge.connections)
    assert len(server.bridge.subscriptions) == 0


async def test_a_failing_subscriber_does_not_keep_events_from_others(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: str, data: dict[str, Any]) -> None:
        raise ValueError("no")

    subscriber = server.bridge.subscriptions.add(fail)
    program = await server.program()
    await program.send_json({"type": "request", "id": 1, "command": "subscribe"})
    assert (await program.receive_json(timeout=60))["status"] == "ok"
    tab = await server.tab()
    assert (await program.receive_json(timeout=60))["event"] == "webui_connected"
    assert server.bridge.webuis.main_id == tab.client_id
    assert "could not be sent to a subscriber" in caplog.text
    subscriber.end()


async def test_a_caller_that_does_not_read_its_answer_is_disconnected(
    server: Any, raw: Any, eventually: Any, clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "FIRST_LOOK", 0.0)
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": {"x": "y" * 20 * MB}, "output": {}}})
    _, writer = await raw()
    writer.transport.pause_reading()
    request = b"POST /uiapi/get_workflow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    writer.write(request)
    await eventually(lambda: server.bridge.loads.unread)
    [unread] = server.bridge.loads.unread
    assert sum(server.bridge.loads.bytes.values()) >= 20 * MB
    # Another caller that reads as much, repeatedly, stays connected.
    for _ in range(4):
        status, _ = await server.post("get_workflow")
        assert status == 200
    await clock.passes(request_limits.TAKE_PAUSE + 1)
    await eventually(lambda: not server.bridge.loads.unread and not server.bridge.loads.requests)
    assert unread.is_closing() and not server.bridge.loads.bytes


async def test_a_caller_that_takes_its_answer_slowly_is_waited_for(
    server: Any, raw: Any, eventually: Any, clock: LoopClock
) -> None:
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": {"x": "y" * 20 * MB}, "output": {}}})
    reader, writer = await raw()
    writer.write(b"POST /uiapi/get_workflow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    [connection] = server.bridge.loads.unread
    taken = 0
    left = connection.get_write_buffer_size()
    while taken < length:
        piece = await asyncio.wait_for(reader.read(4 * MB), 60)
        assert piece, "the caller was disconnected"
        taken += len(piece)
        if connection.get_write_buffer_size() < left - MB:
            # Long enough for a look, which finds that some was taken since the last one.
            await clock.passes(request_limits.TAKE_PAUSE + 1)
            left = connection.get_write_buffer_size()
    assert taken == length > 20 * MB
    await clock.passes(request_limits.TAKE_PAUSE + 1)
    await eventually(lambda: not server.bridge.loads.requests)


async def test_a_program_that_sends_thousands_of_frames_at_once_leaves_others_their_turn(server: Any, raw: Any) -> None:
    reader, writer = await raw()
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(b'{"type":"hello","role":"client","protocol":1}'))
    request = '{"type":"request","id":%d,"command":"get_fields","data":{"fields":[]}}'
    writer.write(b"".join(frame((request % number).encode()) for number in range(2000)))
    counts = [0]
    while counts[-1] < 2000:
        await asyncio.sleep(0)
        counts.append(sum(entry.count for entry in server.bridge.activity.entries))
    # A few dozen between two turns of other tasks.
    assert max(after - before for before, after in itertools.pairwise(counts)) < 100


async def test_programs_that_send_thousands_of_frames_together_leave_others_their_turn(server: Any, raw: Any) -> None:
    request = '{"type":"request","id":%d,"command":"get_fields","data":{"fields":[]}}'
    frames = b"".join(frame((request % number).encode()) for number in range(200))
    writers = []
    for _ in range(20):
        reader, writer = await raw()
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame(b'{"type":"hello","role":"client","protocol":1}'))
        writers.append(writer)
    for writer in writers:
        writer.write(frames)
    counts = [0]
    while counts[-1] < 4000:
        await asyncio.sleep(0)
        counts.append(sum(entry.count for entry in server.bridge.activity.entries))
    # A few dozen between two turns of other tasks, and one per websocket.
    assert max(after - before for before, after in itertools.pairwise(counts)) < 150


async def test_thousands_of_frames_in_one_message_of_a_tab_leave_turns_to_others(server: Any) -> None:
    tab, received = await server.tab(), [0]

    def count(event: str, data: dict[str, Any]) -> None:
        received[-1] += 1

    server.bridge.subscriptions.add(count, ["widget_changed"])
    await tab.ws.send_json([{"type": "event", "event": "widget_changed", "data": {"path": "a.b"}}] * 5000)
    while sum(received) < 5000:
        await asyncio.sleep(0)
        received.append(0)
    assert max(received) < 100


async def test_tabs_and_programs_that_send_thousands_of_frames_each_take_their_whole_share(
    server: Any, raw: Any
) -> None:
    tab, counts = await server.tab(), {"tab": 0}

    def count(event: str, data: dict[str, Any]) -> None:
        counts["tab"] += 1

    server.bridge.subscriptions.add(count, ["widget_changed"])
    reader, writer = await raw()
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(b'{"type":"hello","role":"client","protocol":1}'))
    request = '{"type":"request","id":%d,"command":"get_fields","data":{"fields":[]}}'
    writer.write(b"".join(frame((request % number).encode()) for number in range(2000)))
    await tab.ws.send_json([{"type": "event", "event": "widget_changed", "data": {"path": "a.b"}}] * 5000)
    turns, before = [], (0, 0)
    while min(before) < 2000:
        await asyncio.sleep(0)
        after = counts["tab"], sum(entry.count for entry in server.bridge.activity.entries)
        turns.append((after[0] - before[0], after[1] - before[1]))
        before = after
    # If all shared one count, whichever comes first would leave the other one frame a turn.
    full = [turn for turn in turns if min(turn) > request_limits.FRAMES_A_TURN // 2]
    assert len(full) > 20, turns
