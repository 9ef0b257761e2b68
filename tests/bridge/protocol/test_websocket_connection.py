"""Frames are sent at once; `dev.py compat` runs this with the oldest and the newest aiohttp."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from comfyui_uiapi.bridge.protocol.websocket_connection import Connection, open_socket


class Ends:
    """Both ends of a websocket."""

    def __init__(self, connection: Connection, tcp: asyncio.Transport, reader: ClientWebSocketResponse) -> None:
        self.connection = connection
        self.tcp = tcp
        self.reader = reader


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """A connection and the websocket that reads from it."""
    opened: asyncio.Future[tuple[Connection, asyncio.Transport]] = asyncio.get_running_loop().create_future()

    async def handler(request: web.Request) -> web.WebSocketResponse:
        ws = open_socket(heartbeat=30)
        await ws.prepare(request)
        tcp = request.transport
        assert tcp is not None
        connection = Connection(ws, tcp, "the reader")
        opened.set_result((connection, tcp))
        await connection.receive_until_closed()
        return ws

    app = web.Application()
    app.router.add_get("/ws", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
    async with ClientSession() as session, session.ws_connect(url, max_msg_size=0) as reader:
        connection, tcp = await opened
        yield Ends(connection, tcp, reader)
    await runner.cleanup()


class Written(list[bytes]):
    """What reaches the TCP connection of a websocket."""

    def __init__(self, tcp: asyncio.Transport, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        really = tcp.write

        def write(data: Any) -> None:
            self.append(bytes(data))
            really(data)

        monkeypatch.setattr(tcp, "write", write, raising=False)


@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
async def test_a_frame_has_reached_the_tcp_connection_when_send_returns(
    ends: Ends, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written(ends.tcp, monkeypatch)
    for number in range(3):
        ends.connection.send({"number": number, "text": "x" * size})
        # No turn of the loop has passed.
        assert b"".join(written).count(b'"number":') == number + 1
        assert sum(map(len, written)) > size * (number + 1)
    got = [await ends.reader.receive_json(timeout=60) for _ in range(3)]
    assert [frame["number"] for frame in got] == [0, 1, 2] and {len(frame["text"]) for frame in got} == {size}


async def test_a_frame_for_a_connection_that_has_closed_is_dropped(ends: Ends) -> None:
    await ends.reader.close()
    ends.connection.send({"number": 1})
    await ends.connection.close(1000, "")
    ends.connection.send({"number": 2})


async def test_an_aiohttp_that_makes_senders_wait_ends_the_connection_instead_of_losing_frames(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def send_frame(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(ends.connection.ws, "send_frame", send_frame)
    with caplog.at_level(logging.ERROR, "uiapi"):
        ends.connection.send({"number": 1})
    assert (await ends.reader.receive(timeout=60)).type in (WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR)
    assert "the reader got part of a frame only" in caplog.text
