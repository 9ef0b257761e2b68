"""A stand-in for ComfyUI-Manager, if UIAPI_TEST_MANAGER names a kind of its routes: "tasks" or "queue".

It installs every pack after a moment by writing one with a node type into custom_nodes, refuses packs whose name
contains "forbidden", and restarts ComfyUI.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from server import PromptServer

KIND = os.environ.get("UIAPI_TEST_MANAGER", "")
# The type that every installed pack has, and the pack that the list names for it.
TYPE, PACK = "UiapiInstalled", "https://github.com/example/Installed-Pack"
NODE = f"""
class Installed:
    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{}}}}

    def run(self):
        return (1,)

NODE_CLASS_MAPPINGS = {{"{TYPE}": Installed}}
"""
TAKES = 0.2


class Manager:
    """The queue."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, dict[str, Any]]] = []
        self.results: dict[str, str] = {}
        self.task: asyncio.Task[None] | None = None

    async def mappings(self, request: web.Request) -> web.Response:
        return web.json_response({PACK: [[TYPE], {"title_aux": "Installed Pack"}]})

    async def queue_task(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.waiting.append((asked["ui_id"], asked["params"]))
        return web.Response()

    async def queue_install(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if "forbidden" in asked["id"]:
            return web.Response(status=403, text="A security error has occurred. Please check the terminal logs")
        self.waiting.append((asked["ui_id"], asked))
        return web.Response()

    async def start(self, request: web.Request) -> web.Response:
        self.task = asyncio.create_task(self._work())
        return web.Response()

    async def _work(self) -> None:
        while self.waiting:
            await asyncio.sleep(TAKES)
            ident, asked = self.waiting.pop(0)
            self.results[ident] = self._install(str(asked["id"]))
        done = {"status": "done", "nodepack_result": self.results}
        PromptServer.instance.send_sync("cm-queue-status", done)

    def _install(self, name: str) -> str:
        if "forbidden" in name:
            return "failed"
        folder = Path(folder_paths.get_folder_paths("custom_nodes")[0], name)
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text(NODE)
        return "success"

    async def status(self, request: web.Request) -> web.Response:
        busy = self.task is not None and not self.task.done()
        return web.json_response({"total_count": 0, "done_count": 0, "is_processing": busy})

    async def history(self, request: web.Request) -> web.Response:
        ident = request.query["ui_id"]
        known = self.results.get(ident)
        entry = {} if known is None else {"ui_id": ident, "result": known, "status": {"completed": True}}
        return web.json_response({"history": entry})

    async def reboot(self, request: web.Request) -> web.Response:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - as ComfyUI-Manager does


def add_routes() -> None:
    """Add the routes of that kind, and the list that this package reads."""
    routes, manager = PromptServer.instance.routes, Manager()
    base = "/v2" if KIND == "tasks" else ""
    routes.get(f"{base}/customnode/getmappings")(manager.mappings)
    routes.get(f"{base}/manager/queue/status")(manager.status)
    routes.post(f"{base}/manager/queue/start")(manager.start)
    routes.post(f"{base}/manager/reboot")(manager.reboot)
    if KIND == "tasks":
        routes.post("/v2/manager/queue/task")(manager.queue_task)
        routes.get("/v2/manager/queue/history")(manager.history)
    else:
        routes.post("/manager/queue/install")(manager.queue_install)
    lists = Path(folder_paths.get_user_directory(), "__manager", "cache")
    lists.mkdir(parents=True, exist_ok=True)
    known = {PACK: [[TYPE], {"title_aux": "Installed Pack"}], f"{PACK}-forbidden": [["UiapiForbidden"], {}]}
    (lists / "1_extension-node-map.json").write_text(json.dumps(known))


if KIND:
    add_routes()
