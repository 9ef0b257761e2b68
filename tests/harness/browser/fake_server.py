"""A fake server for the tab's websocket: tests see every frame and send any."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import Tab
from playwright.async_api import WebSocketRoute

SOCKET = re.compile(r"/uiapi/ws$")
# Seconds, enough for a page on a busy machine.
DEADLINE = 120.0


class FakeServer:
    """Replaces /uiapi/ws in one page.

    Attributes:
        hellos: the hello of every socket so far, in order.
        infos: the data of every "info" event the tab sent.
        messages: how many messages with responses the tab sent, of one response or of several.
        events: every other event the tab sent, as (name, data).
        welcome: what the next hello is answered with; None to leave it unanswered.
    """

    def __init__(self) -> None:
        self.hellos: list[dict[str, Any]] = []
        self.infos: list[dict[str, Any]] = []
        self.messages = 0
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.welcome: dict[str, Any] | None = {"type": "welcome", "protocol": 1, "client_id": 7, "session": "s"}
        self.refusal: tuple[dict[str, Any], int] | None = None
        self._socket: WebSocketRoute | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._count = 0

    async def take_over(self, tab: Tab) -> None:
        """Load the page with this server, and wait for the hello."""
        await tab.page.route_web_socket(SOCKET, self._connected)
        await tab.load(connected=False)
        await self.hello(1)

    def _connected(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.on_message(lambda text: self._message(socket, json.loads(text)))

    def _message(self, socket: WebSocketRoute, frames: dict[str, Any] | list[dict[str, Any]]) -> None:
        together = frames if isinstance(frames, list) else [frames]
        self.messages += any(frame["type"] == "response" for frame in together)
        for frame in together:
            self._receive(socket, frame)

    def _receive(self, socket: WebSocketRoute, frame: dict[str, Any]) -> None:
        if frame["type"] == "hello":
            self.hellos.append(frame)
            if self.refusal is not None:
                error, code = self.refusal
                socket.send(json.dumps(error))
                self._close_later = asyncio.ensure_future(socket.close(code=code))
            elif self.welcome is not None:
                socket.send(json.dumps(self.welcome))
        elif frame["type"] == "response":
            self._answers.setdefault(frame["id"], asyncio.get_running_loop().create_future()).set_result(frame)
        elif frame["type"] == "event" and frame["event"] == "info":
            self.infos.append(frame["data"])
        elif frame["type"] == "event":
            self.events.append((frame["event"], frame["data"]))
        self._changed.set()

    async def hello(self, count: int) -> dict[str, Any]:
        """Wait for the hello of the `count`th socket, and return it."""
        await self.until(lambda: len(self.hellos) >= count)
        return self.hellos[count - 1]

    async def until(self, met: Any) -> None:
        """Wait until `met()` is true after a frame."""

        async def wait() -> None:
            while not met():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), DEADLINE)

    def send(self, frame: dict[str, Any] | list[dict[str, Any]] | str) -> None:
        """Send one frame to the tab, or several as one."""
        assert self._socket is not None
        self._socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def request(self, command: str, conditions: dict[str, Any] | None = None, **data: Any) -> str:
        """Send a request and return its id; `conditions` are its conditions on the graph."""
        frame = self._request(command, data)
        self.send({**frame, **(conditions or {})})
        return str(frame["id"])

    def request_together(self, requests: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """Send several requests, as (command, data), in one message and return their ids."""
        frames = [self._request(command, data) for command, data in requests]
        self.send(frames)
        return [str(frame["id"]) for frame in frames]

    def _request(self, command: str, data: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        ident = f"q{self._count}"
        self._answers[ident] = asyncio.get_running_loop().create_future()
        return {"type": "request", "id": ident, "command": command, "data": data}

    async def answer(self, ident: str) -> dict[str, Any]:
        """Wait for the response to a request, and return it."""
        return await asyncio.wait_for(self._answers[ident], DEADLINE)

    async def call(self, command: str, conditions: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
        """Send a command and return the response."""
        return await self.answer(self.request(command, conditions, **data))

    def watch(self, *events: str) -> None:
        """Subscribe to these events."""
        self.send({"type": "event", "event": "watch", "data": {"events": list(events)}})

    def cancel(self, ident: str) -> None:
        """Cancel a request."""
        self.send({"type": "cancel", "id": ident})

    def answered(self, ident: str) -> bool:
        """Whether the tab has responded to a request."""
        return self._answers[ident].done()

    async def close(self, code: int = 1001) -> None:
        """Close the tab's socket."""
        assert self._socket is not None
        await self._socket.close(code=code)
