"""One websocket of ours: frames out at once, within a bound on what its reader has not taken, and JSON objects in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Any

from aiohttp import ClientError, WSMsgType, web
from pydantic_core import from_json, to_json

from .errors import UiapiError
from .manager import PendingRequest

log = logging.getLogger("uiapi")

# The largest frame or body in bytes, either way: a 4K image as base64 fits, a flood does not.
MAX_FRAME = 64 * 1024 * 1024
# Values in one frame or body. A picture is one value whatever its size, and a workflow of ten thousand nodes has some
# hundred thousand; JSON that is nothing but values would hold up ComfyUI's loop for seconds while it is read.
MAX_VALUES = 1_000_000
# Bytes that may wait for a slow reader when another frame comes; beyond them it is let go.
MAX_BACKLOG = MAX_FRAME
# Seconds between pings; aiohttp drops the connection when a pong is half of that late.
HEARTBEAT = 10.0
# Requests that may go to a tab in one frame. It carries them out in one task, in which it draws nothing.
GATHERED = 32
# Seconds to wait for the other side's half of the closing handshake.
CLOSE_TIMEOUT = 2.0


def open_socket(heartbeat: float) -> web.WebSocketResponse:
    """The server's end of a websocket as Connection wants it, to be prepared."""
    return web.WebSocketResponse(
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
        self._tcp = tcp
        self._closer: asyncio.Task[bool] | None = None

    def send(self, frame: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Send a frame, or several as one; a reader that leaves too much unread is disconnected, for its sake alone."""
        if self._tcp is None or self._closer is not None or self._tcp.is_closing():
            return
        backlog = self._tcp.get_write_buffer_size()
        if backlog > MAX_BACKLOG:
            log.warning("%s reads too slowly (%d bytes wait for it); letting it go.", self.name, backlog)
            self._tcp.abort()
            return
        # Without compression and writer limit this never waits: it ends in its first step, with the frame in the
        # TCP connection's buffer. A writer task would cost every frame another turn of the loop.
        with contextlib.suppress(StopIteration):
            self.ws.send_frame(encode(frame), WSMsgType.TEXT).send(None)

    def close(self, code: int, reason: str) -> asyncio.Task[bool]:
        """Close after what was sent; the reading side notices. Answers the task that does it."""
        if self._closer is None:
            closing = self.ws.close(code=code, message=reason.encode())
            self._closer = asyncio.create_task(closing, name=f"uiapi closer of {self.name}")
        return self._closer

    async def receive(self) -> dict[str, Any] | None:
        """The next frame; None when the connection has ended. UiapiError `malformed` leaves it open."""
        text = await self._receive_text()
        return None if text is None else decode_object(text)

    async def receive_several(self) -> list[dict[str, Any]] | None:
        """The next frames of a tab, which may send several as one; otherwise as `receive`."""
        text = await self._receive_text()
        return None if text is None else decode_objects(text)

    async def _receive_text(self) -> str | None:
        message = await self.ws.receive()
        if message.type is WSMsgType.TEXT:
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


def encode(value: Any) -> bytes:
    """A value as JSON. What JSON has no word for, such as a tensor in ComfyUI's error events, becomes its text."""
    return to_json(value, fallback=str, inf_nan_mode="null")


def decode_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; NaN and Infinity, which JSON does not have, are refused. UiapiError `malformed`."""
    value = _decode(text)
    if not isinstance(value, dict):
        raise UiapiError("malformed", "Send a JSON object.")
    return value


def decode_objects(text: str | bytes) -> list[dict[str, Any]]:
    """A JSON object, or an array of such; otherwise as `decode_object`."""
    value = _decode(text)
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(value, dict) for value in values):
        raise UiapiError("malformed", "Send a JSON object.")
    return values


def _decode(text: str | bytes) -> Any:
    commas = text.count(b",") if isinstance(text, bytes) else text.count(",")
    if commas >= MAX_VALUES:
        raise UiapiError("too_large", f"A request may have at most {MAX_VALUES:,} values; send it in parts.")
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise UiapiError("malformed", f"This is not JSON: {error}.") from None


class SocketTransport:
    """Requests to a tab over its own websocket.

    A message costs a browser more than the command in it, so what a tab is told in one turn of the event loop goes
    there in two: the first at once, for whoever waits for a single answer, and the others together.

    Args:
        gathers: whether the page takes several frames as one.
    """

    kind = "websocket"

    def __init__(self, connection: Connection, *, gathers: bool = False) -> None:
        self.connection = connection
        self._gathers = gathers
        self._gathered: list[dict[str, Any]] | None = None

    def send_request(self, request: PendingRequest) -> None:
        """See Transport."""
        self._send(
            {
                "type": "request",
                "id": request.request_id,
                "command": request.command,
                "data": request.data,
                "timeout": request.timeout,
                **request.conditions,
            }
        )

    def send_cancel(self, request_id: str) -> None:
        """See Transport."""
        self._send({"type": "cancel", "id": request_id})

    def send_event(self, event: str, data: dict[str, Any]) -> None:
        """Tell the tab something it need not answer."""
        self._send({"type": "event", "event": event, "data": data})

    def close(self, code: int, reason: str) -> None:
        """See Transport."""
        self._flush()
        self.connection.close(code, reason)

    def _send(self, frame: dict[str, Any]) -> None:
        if self._gathered is not None:
            self._gathered.append(frame)
            return
        self.connection.send(frame)
        if self._gathers:
            self._gathered = []
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        frames, self._gathered = self._gathered or [], None
        for start in range(0, len(frames), GATHERED):
            self.connection.send(frames[start : start + GATHERED])
