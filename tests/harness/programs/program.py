"""A program for tests, which sends requests over HTTP or the websocket and receives events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import ClientSession, ClientTimeout, ClientWebSocketResponse, WSMsgType

from ..comfy.process import ComfyProcess

# Seconds after which a test stops waiting and fails; not a limit of the package.
PATIENCE = 60.0
# The maximum size of frames that a program receives; some contain pictures.
MAX_FRAME = 64 * 1024 * 1024

Envelope = dict[str, Any]
T = TypeVar("T")


class Program:
    """Sends requests over HTTP; use it with `async with`.

    Args:
        comfy: the ComfyUI to ask.
    """

    def __init__(self, comfy: ComfyProcess) -> None:
        self.comfy = comfy
        self._session: ClientSession | None = None
        self._sockets: list[Socket] = []
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Program:
        self._session = ClientSession(timeout=ClientTimeout(total=2 * PATIENCE))
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._sockets:
            await socket.close()
        await self.http.close()

    @property
    def http(self) -> ClientSession:
        """The session, for requests that the methods below do not cover."""
        if self._session is None:
            raise RuntimeError("enter this program first")
        return self._session

    def url(self, path: str) -> str:
        """Return the full URL of a path of this ComfyUI."""
        return self.comfy.url + path

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in the background; it is cancelled when this program closes."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def post(self, command: str, body: Any = None) -> tuple[int, Envelope]:
        """POST a command's request and return HTTP status and envelope."""
        async with self.http.post(self.url(f"/uiapi/{command}"), json={} if body is None else body) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, Envelope]:
        """GET a path below /uiapi/ and return HTTP status and envelope."""
        async with self.http.get(self.url(f"/uiapi/{path}")) as response:
            return response.status, await response.json()

    async def ok(self, command: str, body: Any = None) -> Any:
        """POST a request that must succeed and return its response."""
        status, envelope = await self.post(command, body)
        assert (status, envelope["status"]) == (200, "ok"), envelope
        return envelope.get("response", envelope)

    async def page_key(self) -> str:
        """Return the page key of this ComfyUI, requested as the page's scripts do."""
        async with self.http.post(self.url("/uiapi/page_key"), headers={"Origin": self.comfy.url}) as response:
            return str((await response.json())["response"]["page_key"])

    async def file(self, url: str) -> bytes:
        """Return the bytes that ComfyUI serves at this path."""
        async with self.http.get(self.url(url)) as response:
            assert response.status == 200
            return await response.read()

    async def comfy_post(self, path: str, body: Any = None) -> None:
        """POST to a route of ComfyUI and ignore the answer."""
        async with self.http.post(self.url(path), json=body or {}) as response:
            assert response.status == 200

    async def queue_prompt(self, prompt: dict[str, Any]) -> str:
        """Queue an API-format workflow directly at ComfyUI and return its id once it runs."""
        async with self.http.post(self.url("/prompt"), json={"prompt": prompt, "client_id": "test"}) as response:
            prompt_id = str((await response.json())["prompt_id"])

        async def until_it_runs() -> None:
            while prompt_id not in (await self.queue())[0]:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.02)

        await asyncio.wait_for(until_it_runs(), PATIENCE)
        return prompt_id

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return ComfyUI's history entry of a finished prompt; None before it has finished."""
        async with self.http.get(self.url(f"/history/{prompt_id}")) as response:
            entry: dict[str, Any] | None = (await response.json()).get(prompt_id)
        return entry

    async def queue(self) -> tuple[list[str], list[str]]:
        """Return the ids of running and of waiting prompts."""
        async with self.http.get(self.url("/queue")) as response:
            queue = await response.json()
        return [item[1] for item in queue["queue_running"]], [item[1] for item in queue["queue_pending"]]

    async def socket(self) -> Socket:
        """Open a websocket of this program and say hello."""
        socket = Socket(*await self.raw_socket())
        self._sockets.append(socket)
        return socket

    async def raw_socket(self) -> tuple[ClientWebSocketResponse, dict[str, Any]]:
        """Open a bare websocket, say hello, and return it with the welcome frame."""
        ws = await self.http.ws_connect(self.url("/uiapi/ws"), max_msg_size=MAX_FRAME)
        await ws.send_json({"type": "hello", "role": "client", "protocol": 1, "name": "test"})
        welcome = await ws.receive_json(timeout=PATIENCE)
        assert welcome["type"] == "welcome", welcome
        return ws, welcome


class Socket:
    """A program's websocket: any number of concurrent requests, and the received events.

    Attributes:
        welcome: the server's first frame.
        events: every event frame so far.
    """

    def __init__(self, ws: ClientWebSocketResponse, welcome: dict[str, Any]) -> None:
        self.ws = ws
        self.welcome = welcome
        self.events: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[Envelope]] = {}
        self._last_id = 0
        self._reader = asyncio.create_task(self._read(), name="reader of a program's websocket")

    def start(self, command: str, data: Any = None, request_id: str | None = None) -> asyncio.Future[Envelope]:
        """Send a request; the future returns its response frame without type and id."""
        self._last_id += 1
        request_id = request_id or f"request {self._last_id}"
        answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        frame = {"type": "request", "id": request_id, "command": command, "data": data or {}}
        self._sending = asyncio.create_task(self.ws.send_json(frame), name="a program's request")
        return answer

    async def request(self, command: str, data: Any = None) -> Envelope:
        """Send a request and return its response."""
        return await asyncio.wait_for(self.start(command, data), PATIENCE)

    async def event(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first matching event, received already or later."""

        async def look() -> dict[str, Any]:
            while True:
                self._changed.clear()
                for event in self.events:
                    if fits(event):
                        return event
                await self._changed.wait()

        return await asyncio.wait_for(look(), PATIENCE)

    async def close(self) -> None:
        """Close the websocket; unanswered requests are cancelled."""
        await self.ws.close()
        await asyncio.wait_for(self._reader, PATIENCE)

    async def _read(self) -> None:
        async for message in self.ws:
            if message.type is not WSMsgType.TEXT:
                continue
            frames = json.loads(message.data)
            # Of a tab, those of one turn of the event loop arrive as a list.
            for frame in frames if isinstance(frames, list) else [frames]:
                self._take(frame)
        for answer in self._waiting.values():
            answer.cancel()

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame.pop("type")
        if kind == "event":
            self.events.append(frame)
            self._changed.set()
        elif kind == "response":
            answer = self._waiting.pop(frame.pop("id"))
            if not answer.done():
                answer.set_result(frame)
