"""A websocket connection that sends frames immediately, limits the unread backlog, and receives JSON objects."""

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

# Bytes that may be unread when another frame is sent; a slower reader is disconnected.
MAX_BACKLOG = MAX_FRAME
# Seconds between pings; aiohttp drops the connection when a pong is half of that late.
HEARTBEAT = 10.0
# Seconds to wait for the other side's half of the closing handshake.
CLOSE_TIMEOUT = 2.0


class _Socket(web.WebSocketResponse):
    """A websocket that closes without waiting for the other side to read what was sent.

    aiohttp waits for this without a timeout, and after a frame that is too large it does so inside `receive`.
    """

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = False) -> bool:
        return await super().close(code=code, message=message, drain=False)


def open_socket(heartbeat: float) -> web.WebSocketResponse:
    """Return a websocket response for Connection, not prepared yet."""
    return _Socket(
        heartbeat=heartbeat,
        max_msg_size=MAX_FRAME,
        compress=False,
        timeout=CLOSE_TIMEOUT,
        # Connection limits the backlog itself; aiohttp would make every sender wait.
        writer_limit=sys.maxsize,
    )


def _write(ws: web.WebSocketResponse, text: bytes) -> bool:
    """Put a frame into the buffer of the TCP connection at once. Returns whether it is there as a whole.

    aiohttp offers a coroutine only. Of a websocket made by open_socket, which has neither compression nor a writer
    limit, it never waits, so that it ends in its first step. A task that sends would cost each frame another turn of
    the loop.
    """
    sending = ws.send_frame(text, WSMsgType.TEXT)
    try:
        sending.send(None)
    except StopIteration:
        return True
    except ConnectionError:
        # The connection is closing, which `receive` reports.
        return True
    sending.close()
    return False


class Connection:
    """A prepared websocket.

    Args:
        ws: a websocket made by open_socket and prepared.
        tcp: its TCP connection; None if that is already closed.
        name: the other side, for the log.
    """

    def __init__(self, ws: web.WebSocketResponse, tcp: asyncio.Transport | None, name: str) -> None:
        self.ws = ws
        self.name = name
        # Characters of the last frame received.
        self.received = 0
        self._tcp = tcp
        self._closer: asyncio.Task[bool] | None = None

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame; a reader that has left too much unread is disconnected. Never raises.

        A frame above MAX_FRAME is not sent, since it would end the connection.
        """
        text = encode(frame)
        if len(text) > MAX_FRAME:
            about = frame.get("event") or frame.get("type")
            log.warning("Not sending %s to %s: it has %d MB.", about, self.name, len(text) >> 20)
            return
        self.send_text(text)

    def send_text(self, text: bytes) -> None:
        """Send a frame that is already encoded; otherwise as `send`."""
        if self._tcp is None or self._closer is not None or self.ws.closed or self._tcp.is_closing():
            return
        backlog = self._tcp.get_write_buffer_size()
        if backlog > MAX_BACKLOG:
            log.warning("%s reads too slowly (%d bytes unread); disconnecting it.", self.name, backlog)
            self._tcp.abort()
            return
        if not _write(self.ws, text):
            log.error("%s got part of a frame only; disconnecting it. This aiohttp makes senders wait.", self.name)
            self._tcp.abort()

    def close(self, code: int, reason: str) -> asyncio.Task[bool]:
        """Close the connection after the frames sent so far; `receive` returns None then. Returns the closing task."""
        if self._closer is None:
            closing = self.ws.close(code=code, message=reason.encode())
            self._closer = asyncio.create_task(closing, name=f"uiapi closer of {self.name}")
        return self._closer

    async def receive(self, limit: int = MAX_FRAME) -> dict[str, Any] | None:
        """Return the next frame, or None when the connection has ended.

        Raises UiapiError `malformed` or `too_large`; the connection stays open.
        """
        text = await self._receive_text()
        if text is not None and len(text) > limit:
            raise UiapiError("too_large", f"This frame may have at most {limit} characters; send less.")
        return None if text is None else decode_object(text)

    async def receive_several(self) -> list[dict[str, Any]] | None:
        """Return the next frames of a tab, which may send several as one; otherwise as `receive`."""
        text = await self._receive_text()
        return None if text is None else decode_objects(text)

    async def _receive_text(self) -> str | None:
        message = await self.ws.receive()
        if message.type is WSMsgType.TEXT:
            self.received = len(message.data)
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            raise UiapiError("malformed", "Send JSON in text frames; this frame was binary.")
        return None

    async def receive_until_closed(self) -> None:
        """Read and discard frames until the connection has ended; used while it is being closed."""
        while True:
            message = await self.ws.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return

    async def end(self) -> None:
        """Close the websocket, whichever side ended the connection."""
        with contextlib.suppress(asyncio.TimeoutError, ClientError, ConnectionError):
            await asyncio.wait_for(self.close(1000, ""), CLOSE_TIMEOUT)
        # Unread data would keep the TCP connection open for ever.
        if self._tcp is not None and self._tcp.get_write_buffer_size():
            self._tcp.abort()
