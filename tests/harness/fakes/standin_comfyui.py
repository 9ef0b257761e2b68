"""A small server that stands in for ComfyUI: its queue, history, websocket, files and uploads, without any nodes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from aiohttp import web

from ..comfy.process import free_port

# What /object_info lists by default.
NODES: dict[str, Any] = {
    "Canvas": {"input": {"required": {"value": ["INT", {"default": 0}]}}},
    "Save": {"input": {"required": {"images": ["IMAGE"]}}},
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
    "Loader": {"input": {"required": {"name": [["here.safetensors"], {}]}}},
    "Failing": {"input": {"required": {}}},
}


def prompt_of(value: Any, **more: Any) -> dict[str, Any]:
    """Returns a prompt whose picture shows a value; `more` are further nodes, as {name: (type, inputs)}."""
    nodes = {"1": ("Canvas", {"value": value}), "2": ("Save", {"images": ["1", 0]}), **more}
    return {node_id: {"class_type": kind, "inputs": inputs} for node_id, (kind, inputs) in nodes.items()}


class StandIn:
    """The server. Use it in `async with`.

    Args:
        seconds: how long a prompt takes.

    Attributes:
        seconds: how long a prompt takes; None until `go` is set.
        go: releases prompts that take None seconds.
        nodes: what /object_info lists.
        refuses: errors of nodes with which every prompt is refused.
        ran: the IDs of the prompts that ran to their end, in order.
        values: what their pictures show.
        interrupted: the IDs that were interrupted.
        headers: those of every request.
        inputs: the uploaded files, by name.
        uploads: the names of all uploads, in order.
        shows: files that /view serves, by name; what prompts save is added. Several can share it, as an output folder.
        prompted: how many prompts were sent.
        deaf: whether websockets are refused.
        statuses: the HTTP statuses with which the next requests for a path are answered instead, by path.
        held: requests for a path wait until its event is set, by path.
        asked: set when one of them waits.
        deadly: the ID of a node that ends it.
        verdict: of plan_downloads; None for a ComfyUI without this extension.
        downloaded: the models that it was sent for.
    """

    def __init__(self, seconds: float | None = 0.0) -> None:
        self.seconds = seconds
        self.go = asyncio.Event()
        self.nodes = {kind: dict(info) for kind, info in NODES.items()}
        self.refuses: dict[str, Any] = {}
        self.ran: list[str] = []
        self.values: list[Any] = []
        self.interrupted: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.inputs: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.shows: dict[str, bytes] = {}
        self.prompted = 0
        self.deaf = False
        self.statuses: dict[str, list[int]] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.asked = asyncio.Event()
        self.deadly: str | None = None
        self.verdict: str | None = None
        self.downloaded: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.begun = asyncio.Event()
        self.port = free_port()
        self._runner: web.AppRunner | None = None
        self._empty()

    def _empty(self) -> None:
        self.waiting: list[dict[str, Any]] = []
        self.running: dict[str, Any] | None = None
        self.history: dict[str, Any] = {}
        self._interrupt = asyncio.Event()
        self._arrived = asyncio.Event()

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> StandIn:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, with an empty queue and history."""
        self._empty()
        app = web.Application(middlewares=[self._note], client_max_size=2**26)
        app.add_routes(
            [
                web.get("/system_stats", self._info),
                web.get("/object_info", self._info),
                web.get("/object_info/{kind}", self._node),
                web.get("/ws", self._socket),
                web.post("/prompt", self._prompt),
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/interrupt", self._stop),
                web.get("/history/{prompt_id}", self._history),
                web.get("/view", self._view),
                web.post("/upload/image", self._upload),
                web.post("/uiapi/plan_downloads", self._plan),
                web.post("/uiapi/download_models", self._download),
                web.get("/uiapi/download_status/{download_id}", self._downloads),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self._working = asyncio.create_task(self._work(), name="stand-in")

    async def kill(self) -> None:
        """End it as SIGKILL does: every connection breaks, and the queue is lost."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._working.cancel()
        with suppress(asyncio.CancelledError):
            await self._working
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._runner is not None

    def enqueue(self, value: Any) -> str:
        """Queue a prompt as somebody else does; returns its ID."""
        prompt_id = str(uuid4())
        self._put({"prompt_id": prompt_id, "prompt": prompt_of(value)})
        return prompt_id

    def queued(self) -> list[str]:
        """Returns the IDs of the prompts that run or wait."""
        return [one["prompt_id"] for one in (*([self.running] if self.running else []), *self.waiting)]

    async def cut(self) -> None:
        """Close every websocket."""
        for socket in [*self.sockets]:
            await socket.close()

    def _put(self, item: dict[str, Any]) -> None:
        self.waiting.append(item)
        self._arrived.set()

    async def _work(self) -> None:
        while True:
            while not self.waiting:
                self._arrived.clear()
                await self._arrived.wait()
            self.running = item = self.waiting.pop(0)
            self._interrupt.clear()
            self.begun.set()
            if self.deadly in item["prompt"]:
                self._dying = asyncio.create_task(self.kill())
                return
            prompt_id = item["prompt_id"]
            # Chosen before it is written, as by ComfyUI.
            prefix = item["prompt"].get("2", {}).get("inputs", {}).get("filename_prefix")
            name = f"{prompt_id}.png" if prefix is None else self._free_name(prefix)
            status = await self._execute(item)
            shown = item["prompt"].get("1", {}).get("inputs", {}).get("value")
            outputs = {}
            if status == "success":
                self.ran.append(prompt_id)
                self.values.append(shown)
                self.shows[name] = json.dumps(shown).encode()
                outputs = {"2": {"images": [{"filename": name, "subfolder": "", "type": "output"}]}}
            message = {"node_id": "9", "node_type": "Failing", "exception_message": "it fails"}
            self.history[prompt_id] = {
                "prompt": [0, prompt_id, item["prompt"], {}, ["2"]],
                "outputs": outputs,
                "status": {
                    "status_str": "success" if status == "success" else "error",
                    "messages": [[status, message]],
                },
            }
            self.running = None
            await self._send({"type": "executing", "data": {"node": None, "prompt_id": prompt_id}})

    def _free_name(self, prefix: str) -> str:
        return next(name for at in itertools.count(1) if (name := f"{prefix}_{at:05d}_.png") not in self.shows)

    async def _execute(self, item: dict[str, Any]) -> str:
        """Returns how a prompt ended."""
        if any(node["class_type"] == "Failing" for node in item["prompt"].values()):
            return "execution_error"
        ended = asyncio.create_task(asyncio.sleep(self.seconds) if self.seconds is not None else self.go.wait())
        stopped = asyncio.create_task(self._interrupt.wait())
        try:
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return "execution_interrupted" if stopped.done() else "success"
        finally:
            ended.cancel()
            stopped.cancel()

    async def _send(self, message: Any) -> None:
        for socket in [*self.sockets]:
            with suppress(ConnectionError):
                await socket.send_json(message)

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.headers.append(request.headers)
        if request.path in self.held:
            self.asked.set()
            await self.held[request.path].wait()
        if self.statuses.get(request.path):
            return web.Response(status=self.statuses[request.path].pop(0))
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(self.nodes)

    async def _node(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return web.json_response({kind: self.nodes[kind]} if kind in self.nodes else {})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.deaf:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            async for _ in socket:
                pass
        finally:
            self.sockets.remove(socket)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.prompted += 1
        if self.refuses:
            error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
            return web.json_response({"error": error, "node_errors": self.refuses}, status=400)
        self._put(body)
        return web.json_response({"prompt_id": body["prompt_id"], "number": 0, "node_errors": {}})

    async def _queue(self, request: web.Request) -> web.Response:
        waiting = [[0, one["prompt_id"], one["prompt"], {}, []] for one in self.waiting]
        running = [[0, self.running["prompt_id"], self.running["prompt"], {}, []]] if self.running else []
        return web.json_response({"queue_running": running, "queue_pending": waiting})

    async def _delete(self, request: web.Request) -> web.Response:
        ids = (await request.json())["delete"]
        self.waiting = [one for one in self.waiting if one["prompt_id"] not in ids]
        return web.Response()

    async def _stop(self, request: web.Request) -> web.Response:
        prompt_id = (await request.json())["prompt_id"]
        # Once for each run, which ends only a moment later.
        if self.running and self.running["prompt_id"] == prompt_id and not self._interrupt.is_set():
            self.interrupted.append(prompt_id)
            self._interrupt.set()
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        return web.json_response({prompt_id: self.history[prompt_id]} if prompt_id in self.history else {})

    async def _view(self, request: web.Request) -> web.Response:
        content = self.shows.get(request.query["filename"])
        return web.Response(body=content) if content is not None else web.Response(status=404)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        self.uploads.append(image.filename)
        self.inputs[image.filename] = image.file.read()
        return web.json_response({"name": image.filename, "subfolder": form["subfolder"], "type": "input"})

    async def _plan(self, request: web.Request) -> web.Response:
        if self.verdict is None:
            return web.Response(status=404)
        return web.json_response({"status": "ok", "response": {"verdict": self.verdict}})

    async def _download(self, request: web.Request) -> web.Response:
        self.downloaded += (await request.json())["only"]
        self.nodes["Loader"] = {"input": {"required": {"name": [["here.safetensors", *self.downloaded], {}]}}}
        return web.json_response({"status": "ok", "download_id": "1"})

    async def _downloads(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "completed", "completed": True, "progress": {}})
