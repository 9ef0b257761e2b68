"""A scripted ComfyUI over HTTP and the websocket, which records the requests it receives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

# How a request is answered: the `response` of an envelope, a whole answer, or a function of the request.
Answer = dict[str, Any] | web.StreamResponse | Callable[[web.Request], Any]


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection in the middle of an answer."""
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"status"')
    assert request.transport is not None
    request.transport.close()
    return response


async def silence(request: web.Request) -> web.Response:
    """Send no answer while the test lasts."""
    await asyncio.Event().wait()
    return web.Response()


class Scripted:
    """The server.

    Attributes:
        answers: by the last part of a path, such as "run" or "view"; other paths return an empty response.
        seen: every request; the bodies are in `bodies` in the same order.
        frames: what came over the websocket after the hello.
        streams: by command, the frames that answer one; after one of type "bye" the websocket is closed.
        greeting: the answer to a hello; None for silence.
        heads: the requests that websockets began with.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[web.Request] = []
        self.bodies: list[Any] = []
        self.frames: list[dict[str, Any]] = []
        self.streams: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {}
        self.greeting: dict[str, Any] | None = {"type": "welcome", "protocol": 1}
        self.heads: list[web.Request] = []
        self.sockets: list[tuple[web.WebSocketResponse, asyncio.Transport]] = []
        self._server: TestServer | None = None
        self._port = 0
        self._kept: socket.socket | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application()
        app.router.add_get("/uiapi/ws", self._socket)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(app, port=self._port or None)
        await self._server.start_server(shutdown_timeout=0.1)
        self._port = self._server.port or 0
        self._release()

    async def stop(self) -> None:
        """Stop listening; until `close`, no other program gets the port."""
        await self._end()
        if self._kept is None:
            self._kept = socket.socket()
            # Without listening, so that connections are refused, and a server may still take it.
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(("127.0.0.1", self._port))

    async def close(self) -> None:
        """Stop for good."""
        await self._end()
        self._release()

    async def _end(self) -> None:
        self.drop()
        if self._server is not None:
            await self._server.close()

    def _release(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def drop(self) -> None:
        """Drop every websocket connection."""
        for _, transport in self.sockets:
            transport.abort()
        self.sockets.clear()

    async def say(self, frame: str | dict[str, Any]) -> None:
        """Send a frame, or any text, over every websocket that is open."""
        for ws, _ in [*self.sockets]:
            with contextlib.suppress(ConnectionError):
                await ws.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    def authorizations(self) -> list[str | None]:
        """The Authorization header of every request and websocket."""
        return [request.headers.get("Authorization") for request in [*self.seen, *self.heads]]

    def commands(self) -> list[str]:
        """The commands of the received frames."""
        return [str(frame.get("command")) for frame in self.frames]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        name = request.path.rpartition("/")[2]
        answer = self.answers.get(name, {})
        if callable(answer) and not isinstance(answer, web.StreamResponse):
            answer = answer(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        if isinstance(answer, web.StreamResponse):
            return answer
        # Some commands return their fields next to `status` instead of under `response`.
        return web.json_response({"status": "ok", "response": answer, **answer})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.heads.append(request)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive_json()
        if self.greeting is not None:
            await ws.send_json(self.greeting)
        assert request.transport is not None
        self.sockets.append((ws, request.transport))
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                frame = json.loads(message.data)
                self.frames.append(frame)
                answers = self.streams.get(str(frame.get("command")))
                for sent in answers(frame) if answers else [{"status": "ok", "response": {}}]:
                    await ws.send_json({"type": "response", "id": frame.get("id"), **sent})
                    if sent.get("type") == "bye":
                        await ws.close()
        return ws
