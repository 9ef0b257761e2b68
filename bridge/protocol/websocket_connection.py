"""One websocket of ours: frames out at once, within a bound on what its reader has not taken, and JSON objects in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Any

from aiohttp import ClientError, WSMsgType, web

from ...common.errors import UiapiError
from .codec import MAX_FRAME, decode_object, decode_objects, encode

log = logging.getLogger("uiapi")

# Bytes that may wait for a slow reader when another frame comes; beyond them it is let go.
MAX_BACKLOG = MAX_FRAME
# Seconds between pings; aiohttp drops the connection when a pong is half of that late.
HEARTBEAT = 10.0
# Seconds to wait for the other side's half of the closing handshake.
CLOSE_TIMEOUT = 2.0


class _Socket(web.WebSocketResponse):
    """One that waits for nobody who does not read when it closes: aiohttp waits without a limit for what it has sent
    to be taken, after a frame that is too large even inside `receive`."""

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = False) -> bool:
        return await super().close(code=code, message=message, drain=False)


def open_socket(heartbeat: float) -> web.WebSocketResponse:
    """The server's end of a websocket as Connection wants it, to be prepared."""
    return _Socket(
        heartbeat=heartbeat,
        max_msg_size=MAX_FRAME,
        compress=False,
        timeout=CLOSE_TIMEOUT,
        # Connection bounds what a reader leaves behind by itself; aiohttp would make every sender wait for it.
        writer_limit=sys.maxsize,
    )


class Connection:
    """A prepared websocket.

    Args:
        ws: the server's end, made by open_socket and prepared.
        tcp: the TCP connection under it, None if that is lost already.
        name: who is at the other end, for the log.
    """

    def __init__(self, ws: web.WebSocketResponse, tcp: asyncio.Transport | None, name: str) -> None:
        self.ws = ws
        self.name = name
        # Characters of the last frame that came.
        self.received = 0
        self._tcp = tcp
        self._closer: asyncio.Task[bool] | None = None

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame; a reader that leaves too much unread is disconnected, for its sake alone. Never raises.

        A frame that is larger than a reader has to take is not sent: the connection would end with it.
        """
        text = encode(frame)
        if len(text) > MAX_FRAME:
            about = frame.get("event") or frame.get("type")
            log.warning("%s is not sent %s, which has %d MB.", self.name, about, len(text) >> 20)
            return
        self.send_text(text)

    def send_text(self, text: bytes) -> None:
        """Send a frame that is JSON already; otherwise as `send`."""
        if self._tcp is None or self._closer is not None or self.ws.closed or self._tcp.is_closing():
            return
        backlog = self._tcp.get_write_buffer_size()
        if backlog > MAX_BACKLOG:
            log.warning("%s reads too slowly (%d bytes wait for it); letting it go.", self.name, backlog)
            self._tcp.abort()
            return
        # Without compression and writer limit this never waits: it ends in its first step, with the frame in the
        # TCP connection's buffer. A writer task would cost every frame another turn of the loop.
        with contextlib.suppress(StopIteration, ConnectionError):
            self.ws.send_frame(text, WSMsgType.TEXT).send(None)

    def close(self, code: int, reason: str) -> asyncio.Task[bool]:
        """Close after what was sent; the reading side notices. Answers the task that does it."""
        if self._closer is None:
            closing = self.ws.close(code=code, message=reason.encode())
            self._closer = asyncio.create_task(closing, name=f"uiapi closer of {self.name}")
        return self._closer

    async def receive(self, limit: int = MAX_FRAME) -> dict[str, Any] | None:
        """The next frame; None when the connection has ended. UiapiError `malformed` or `too_large` leave it open."""
        text = await self._receive_text()
        if text is not None and len(text) > limit:
            raise UiapiError("too_large", f"This frame may have {limit} characters; send less.")
        return None if text is None else decode_object(text)

    async def receive_several(self) -> list[dict[str, Any]] | None:
        """The next frames of a tab, which may send several as one; otherwise as `receive`."""
        text = await self._receive_text()
        return None if text is None else decode_objects(text)

    async def _receive_text(self) -> str | None:
        message = await self.ws.receive()
        if message.type is WSMsgType.TEXT:
            self.received = len(message.data)
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            raise UiapiError("malformed", "Send text frames of JSON; this one was binary.")
        return None

    async def receive_until_closed(self) -> None:
        """Read and forget until the connection has ended; for one that is being closed."""
        while True:
            message = await self.ws.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return

    async def end(self) -> None:
        """Close the socket, whichever side ended the connection."""
        with contextlib.suppress(asyncio.TimeoutError, ClientError, ConnectionError):
            await asyncio.wait_for(self.close(1000, ""), CLOSE_TIMEOUT)
        # What its reader has left until now would keep the connection for ever.
        if self._tcp is not None and self._tcp.get_write_buffer_size():
            self._tcp.abort()
