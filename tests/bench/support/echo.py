"""An echo server as the floor for round trips: it passes each request to a bare websocket and waits for its echo.

`python echo.py PORT` serves POST /echo and the websocket /echo for programs, and the websocket /page that a page
opens and echoes on. Frames are passed on unchanged; each begins with its number, by which its echo is matched.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

from aiohttp import WSMsgType, web

# The script of the page at the other end, which does not parse the frames.
PAGE = """port => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/page`)
    socket.onmessage = event => socket.send(event.data)
    socket.onopen = () => resolve(true)
    socket.onerror = () => reject(new Error('the echo server cannot be reached'))
})"""


class Echo:
    """The server: one page, many clients."""

    def __init__(self) -> None:
        self.page: web.WebSocketResponse | None = None
        self.waiting: dict[str, asyncio.Future[str]] = {}
        self.numbers = itertools.count()

    async def round_trip(self, text: str) -> str:
        """Send the text to the page and return its echo."""
        if self.page is None:
            raise web.HTTPServiceUnavailable
        number = str(next(self.numbers))
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.page.send_str(f"{number} {text}")
        return await asyncio.wait_for(future, 30)

    async def over_http(self, request: web.Request) -> web.Response:
        """POST /echo."""
        return web.Response(text=await self.round_trip(await request.text()), content_type="application/json")

    async def over_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """The websocket /echo; any number of frames may be in progress."""
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        tasks: set[asyncio.Task[None]] = set()

        async def serve(text: str) -> None:
            await ws.send_str(await self.round_trip(text))

        async for message in ws:
            task = asyncio.create_task(serve(message.data))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return ws

    async def for_page(self, request: web.Request) -> web.WebSocketResponse:
        """The websocket /page."""
        ws = self.page = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                number, _, text = message.data.partition(" ")
                self.waiting.pop(number).set_result(text)
        return ws


def application() -> web.Application:
    """Return the application of the echo server."""
    echo = Echo()
    app = web.Application()
    routes: list[Any] = [
        web.post("/echo", echo.over_http),
        web.get("/echo", echo.over_websocket),
        web.get("/page", echo.for_page),
    ]
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, handler_cancellation=False)
