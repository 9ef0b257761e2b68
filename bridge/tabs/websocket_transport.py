"""The first transport of a tab: our own websocket, on which several requests can share a frame."""

from __future__ import annotations

import asyncio

from ..protocol.codec import encode
from ..protocol.websocket_connection import Connection
from .tab import PendingRequest

# Requests that may go to a tab in one frame, and their bytes. The tab handles all of a frame in one task, during which
# it does not draw.
GATHERED = 32
GATHERED_BYTES = 1 << 20


class SocketTransport:
    """Sends requests and events to a tab over its own websocket.

    A message costs a browser more than the command in it. So the first frame is sent immediately, for a fast answer to
    a single request, and those that follow in the same turn of the event loop are sent together, with those of the next
    turns if there are any.

    Args:
        connection: the websocket.
        gathers: whether the page accepts several frames as one.
    """

    kind = "websocket"

    def __init__(self, connection: Connection, *, gathers: bool = False) -> None:
        self.connection = connection
        self._gathers = gathers
        self._gathered: list[bytes] | None = None
        # How many were gathered at the last look.
        self._seen = 0

    def send_request(self, request: PendingRequest) -> None:
        """See Transport."""
        self._send(
            encode(
                {
                    "type": "request",
                    "id": request.request_id,
                    "command": request.command,
                    "data": request.data,
                    "timeout": request.timeout,
                    **request.conditions,
                }
            )
        )

    def send_cancel(self, request_id: str) -> None:
        """See Transport."""
        self._send(encode({"type": "cancel", "id": request_id}))

    def send_event(self, frame: bytes) -> None:
        """See Transport."""
        self._send(frame)

    def close(self, code: int, reason: str) -> None:
        """See Transport."""
        self._flush()
        self.connection.close(code, reason)

    def _send(self, frame: bytes) -> None:
        if self._gathered is not None:
            self._gathered.append(frame)
            return
        self.connection.send_text(frame)
        if self._gathers:
            self._gathered, self._seen = [], 0
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        count = len(self._gathered or ())
        if self._seen < count < GATHERED:
            self._seen = count
            asyncio.get_running_loop().call_soon(self._look)
        else:
            self._flush()

    def _flush(self) -> None:
        texts, self._gathered = self._gathered or [], None
        several: list[bytes] = []
        for text in texts:
            if several and (len(several) == GATHERED or sum(map(len, several)) + len(text) > GATHERED_BYTES):
                self.connection.send_text(b"[" + b",".join(several) + b"]")
                several = []
            several.append(text)
        if several:
            self.connection.send_text(b"[" + b",".join(several) + b"]")
