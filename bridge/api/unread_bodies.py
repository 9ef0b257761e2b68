"""Ends the connections of requests that were answered before their compressed body was read to its end.

aiohttp reads the rest of a body, so that the client sees the response, and decompresses it on ComfyUI's loop, where a
few megabytes may become gigabytes. Here the rest is dropped as it is.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Middleware

from .replies import HttpHandler

PREFIX = "/uiapi/"
# Seconds for which the rest of a body is received.
DRAIN_TIME = 10.0


def unread_body_middleware() -> Middleware:
    """Return the middleware, which ignores requests outside /uiapi and those that are not compressed."""

    @web.middleware
    async def middleware(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        response = await handler(request)
        compressed = "Content-Encoding" in request.headers and request.path.startswith(PREFIX)
        if compressed and not request.content.is_eof():
            await _end(request, response)
        return response

    return middleware


async def _end(request: web.Request, response: web.StreamResponse) -> None:
    """Send the response, and let nobody but `_Drain` receive what follows."""
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    transport = request.transport
    if transport is None or transport.is_closing():
        return
    served = request.protocol
    transport.set_protocol(_Drain(transport))
    # To aiohttp the connection is lost. It would close a transport that it still has, and the rest of the body would
    # then cause a reset, with which the client may lose the response.
    served.transport = None
    served.connection_lost(None)


class _Drain(asyncio.Protocol):
    """Drops what it receives until the client closes the connection, for DRAIN_TIME at most."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(DRAIN_TIME, transport.abort)
        if transport.can_write_eof():
            transport.write_eof()
        # aiohttp may have paused it because of what it had not read.
        transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the time limit."""
        self._timer.cancel()
