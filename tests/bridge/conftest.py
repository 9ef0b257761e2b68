"""Fixtures: a fake ComfyUI, a served bridge and scripted tabs; the real ones are tested in tests/e2e."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from comfyui_uiapi import server as extension
from comfyui_uiapi.bridge.app.bridge import Bridge
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.tests.harness.fakes.loop_clock import LoopClock


class FakeQueue:
    """The parts of ComfyUI's PromptQueue that the bridge reads."""

    def __init__(self) -> None:
        self.running: list[tuple[Any, ...]] = []
        self.waiting: list[tuple[Any, ...]] = []
        self.history: dict[str, Any] = {}
        self.mutex = threading.RLock()

    def get_current_queue_volatile(self) -> tuple[list[Any], list[Any]]:
        return [*self.running], [*self.waiting]


class FakePromptServer:
    """The parts of ComfyUI's PromptServer that the bridge uses, including its /ws."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.routes = web.RouteTableDef()
        self.app = web.Application(client_max_size=100 * 2**20, middlewares=[self._origin_only])
        self.seen_by_middleware: deque[web.Request] = deque(maxlen=1)
        self.refuses_origins = False
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.prompt_queue = FakeQueue()
        self.last_prompt_id: str | None = None
        self.routes.get("/ws")(self._ws)

    @web.middleware
    async def _origin_only(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuse a foreign Origin before any route is reached, as ComfyUI does on loopback; if a test wants it."""
        self.seen_by_middleware.append(request)
        origin = request.headers.get("Origin")
        if self.refuses_origins and origin is not None and not origin.endswith(request.headers["Host"]):
            return web.Response(status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        sid = request.query["clientId"]
        self.sockets[sid] = ws
        try:
            async for _ in ws:
                pass
        finally:
            self.sockets.pop(sid, None)
        return ws

    async def send_json(self, event: str, data: Any, sid: str | None = None) -> None:
        for key, ws in [*self.sockets.items()]:
            if sid in (None, key):
                with suppress(ConnectionError):
                    await ws.send_json({"type": event, "data": data})

    def send_sync(self, event: Any, data: Any, sid: str | None = None) -> None:
        """Send an event, as ComfyUI's executor thread does; only the tap listens."""


class Server:
    """A served bridge and a client for it."""

    def __init__(self, prompt_server: FakePromptServer, bridge: Bridge, http: TestServer, folders: Any) -> None:
        self.comfy = prompt_server
        self.bridge = bridge
        self.http = http
        self.folders = folders
        self.session = aiohttp.ClientSession()
        self.tabs: list[FakeTab] = []

    def url(self, path: str) -> str:
        return str(self.http.make_url(path))

    async def post(self, command: str, body: Any = None, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        async with self.session.post(self.url(f"/uiapi/{command}"), json=body or {}, **kwargs) as response:
            return response.status, await response.json()

    async def get(self, path: str, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.url(f"/uiapi/{path}"), **kwargs) as response:
            return response.status, await response.json()

    async def socket(self, hello: dict[str, Any] | None = None, **kwargs: Any) -> aiohttp.ClientWebSocketResponse:
        ws: aiohttp.ClientWebSocketResponse = await self.session.ws_connect(self.url("/uiapi/ws"), **kwargs)
        if hello is not None:
            await ws.send_json({"type": "hello", "protocol": 1, "page_key": self.bridge.guard.page_key, **hello})
        return ws

    async def program(self, **hello: Any) -> aiohttp.ClientWebSocketResponse:
        ws = await self.socket({"role": "client", **hello})
        assert (await ws.receive_json(timeout=60))["type"] == "welcome"
        return ws

    async def program_of(self, origin: str, **hello: Any) -> aiohttp.ClientWebSocketResponse:
        """A websocket of a web app with that origin, after its welcome."""
        ws = await self.socket({"role": "client", **hello}, headers={"Origin": origin})
        assert (await ws.receive_json(timeout=60))["type"] == "welcome"
        return ws

    async def tab(self, **hello: Any) -> FakeTab:
        tab = FakeTab(await self.socket({"role": "webui", **hello}))
        tab.welcome = await tab.ws.receive_json(timeout=60)
        assert tab.welcome["type"] == "welcome", tab.welcome
        tab.start()
        self.tabs.append(tab)
        return tab


Answerer = Callable[[dict[str, Any]], Any]


class FakeTab:
    """A tab with scripted answers; commands without one stay pending.

    Unless it has a scripted answer, `refresh_models` is answered and not recorded: ComfyUI asks every tab for it when a
    download ends, which may be one of an earlier test.
    """

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.welcome: dict[str, Any] = {}
        self.answers: dict[str, Answerer] = {}
        self.seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.requests: list[dict[str, Any]] = []
        # How many frames each message had.
        self.messages: list[int] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def client_id(self) -> int:
        return int(self.welcome["client_id"])

    def on(self, command: str, answer: Any) -> None:
        """Answer that command with a value, or with the result of a function of its data."""
        self.answers[command] = answer if callable(answer) else lambda data: answer

    def refuse(self, command: str, code: str) -> None:
        """Answer that command with an error of that code."""
        self.answers[command] = lambda data: UiapiError(code, f"The page says {code}.")

    async def next(self, kind: str = "request") -> dict[str, Any]:
        """Return the next frame of that type."""
        while True:
            frame = await asyncio.wait_for(self.seen.get(), 60)
            if frame["type"] == kind:
                return frame

    async def respond(self, request_id: str, response: Any = None, **envelope: Any) -> None:
        frame = {"type": "response", "id": request_id, "status": "ok", "response": response}
        await self.ws.send_json({**frame, **envelope})

    def start(self) -> None:
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        await self.ws.close()
        if self._task is not None:
            await asyncio.wait_for(self._task, 60)

    async def _read(self) -> None:
        async for message in self.ws:
            if message.type is not WSMsgType.TEXT:
                return
            frames = json.loads(message.data)
            frames = frames if isinstance(frames, list) else [frames]
            self.messages.append(len(frames))
            for frame in frames:
                await self._take(frame)

    async def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "request":
            if frame["command"] == "refresh_models" and "refresh_models" not in self.answers:
                return await self.respond(frame["id"], {"refreshed": True, "changed": []})
            self.requests.append(frame)
            answerer = self.answers.get(frame["command"])
            if answerer is not None:
                answer = answerer(frame["data"])
                if isinstance(answer, UiapiError):
                    await self.respond(frame["id"], **answer.envelope())
                else:
                    await self.respond(frame["id"], answer)
        self.seen.put_nowait(frame)


PROMPT = {"9": {"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Result"}}}


class Executor:
    """Changes the fake queue as ComfyUI's executor does, also from a thread."""

    def __init__(self, server: Any) -> None:
        self.server = server.comfy
        self.queue = server.comfy.prompt_queue

    def put(self, prompt_id: str = "p1") -> None:
        self.queue.waiting.append((1, prompt_id, PROMPT, {}, []))
        self.say("status", {})

    def take(self, prompt_id: str = "p1") -> None:
        self.queue.waiting = [item for item in self.queue.waiting if item[1] != prompt_id]
        self.say("status", {})

    def finish(
        self,
        prompt_id: str = "p1",
        status: str = "success",
        messages: Any = (),
        images: Any = None,
        made: bool | None = None,
    ) -> None:
        """End a prompt, with its outputs if it succeeded or `made` is set."""
        if images is None:
            images = [{"filename": "a_1.png", "subfolder": "s", "type": "output"}]
        if made is None:
            made = status == "success"
        item = next(item for item in self.queue.waiting if item[1] == prompt_id)
        self.queue.waiting.remove(item)
        self.queue.history[prompt_id] = {
            "prompt": item,
            "outputs": {"9": {"images": images, "animated": [False]}} if made else {},
            "status": {"status_str": status, "completed": status == "success", "messages": [*messages]},
        }
        self.say("status", {})

    def say(self, event: Any, data: Any) -> None:
        thread = threading.Thread(target=self.server.send_sync, args=(event, data))
        thread.start()
        thread.join()


@pytest.fixture
def guard() -> Guard:
    """Loopback without a token; a test may override it."""
    return Guard(beyond_loopback=False)


@pytest.fixture
def folders(tmp_path: Any) -> SimpleNamespace:
    """The parts of ComfyUI's folder_paths that the bridge uses."""
    for name in ("input", "output", "temp", "user", "custom_nodes"):
        (tmp_path / name).mkdir()
    return SimpleNamespace(
        get_input_directory=lambda: str(tmp_path / "input"),
        get_output_directory=lambda: str(tmp_path / "output"),
        get_temp_directory=lambda: str(tmp_path / "temp"),
        get_user_directory=lambda: str(tmp_path / "user"),
        get_folder_paths=lambda name: [str(tmp_path / name)],
    )


@asynccontextmanager
async def served(prompt_server: FakePromptServer, bridge: Bridge, folders: Any) -> AsyncIterator[Server]:
    """A bridge on a free port; closed at the end."""
    extension.add_routes(prompt_server.routes, bridge)
    extension.add_middlewares(prompt_server.app, bridge)
    prompt_server.app.add_routes(prompt_server.routes)
    http = TestServer(prompt_server.app)
    await http.start_server()
    await bridge.start()
    server = Server(prompt_server, bridge, http, folders)
    yield server
    for tab in server.tabs:
        await tab.close()
    await server.session.close()
    await bridge.close()
    await http.close()


@pytest.fixture
async def server(guard: Guard, folders: SimpleNamespace) -> AsyncIterator[Server]:
    """The bridge, served."""
    prompt_server = FakePromptServer()
    async with served(prompt_server, Bridge(Comfy(prompt_server, folders), guard), folders) as server:
        yield server


@pytest.fixture
async def clock() -> LoopClock:
    """The loop's time, which passes faster when the test says so."""
    return LoopClock()


@pytest.fixture
def executor(server: Any) -> Executor:
    """The executor of the fake queue."""
    return Executor(server)


class Person(FakeTab):
    """A tab with a panel, which sends requests and records events."""

    async def send(self, command: str, **data: Any) -> dict[str, Any]:
        self.count = getattr(self, "count", 0) + 1
        await self.ws.send_json({"type": "request", "id": f"own {self.count}", "command": command, "data": data})
        return await self.next("response")

    async def event(self, name: str, fits: Callable[[dict[str, Any]], Any] = bool) -> dict[str, Any]:
        while True:
            frame = await self.next("event")
            if frame["event"] == name and fits(frame["data"]):
                return dict(frame["data"])


async def tab_of_person(server: Server) -> Person:
    """Connect a tab with a panel."""
    tab = await server.tab(capabilities=["panel", "watch"])
    tab.__class__ = Person
    assert isinstance(tab, Person)
    tab.on("get_fields", {"Canvas.width": 64})
    return tab


@pytest.fixture
async def person(server: Server) -> Person:
    tab = await tab_of_person(server)
    tab.on("set_fields", {"Canvas.width": {"requested": 640, "value": 640, "warnings": []}})
    return tab
