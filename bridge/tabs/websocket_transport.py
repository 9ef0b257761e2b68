"""The first transport of a tab: requests to it over our own websocket, several in a frame where they pile up."""

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
        self._gathered: list[bytes] | None = None

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
            self._gathered = []
            asyncio.get_running_loop().call_soon(self._flush)

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
