"""The front door: binds every declared command and the websocket to ComfyUI's PromptServer; no logic of its own."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from .bridge import (
    editing,  # noqa: F401 - importing declares its commands, as below
    execution,  # noqa: F401
    graph,  # noqa: F401
    knowledge,  # noqa: F401
    pages,  # noqa: F401
    presence,  # noqa: F401
)
from .bridge.access import Guard
from .bridge.comfy import Comfy
from .bridge.commands import COMMANDS, DEFAULT_TIMEOUT
from .bridge.http import fallback_handler, http_handler, page_handler, page_key_handler
from .bridge.hub import Bridge
from .bridge.manager import WebuiManager
from .bridge.socket import websocket_handler
from .downloads import commands as _model_commands  # noqa: F401 - as above
from .downloads import person as _model_decisions  # noqa: F401
from .downloads.registry import (
    TASK_CLEANUP_AGE,
    _handle_task_exception,
    cleanup_old_pending_downloads,
    cleanup_old_tasks,
    download_tasks,
    pending_downloads,
)
from .downloads.room import Room
from .downloads.urlmap import load_stored_urlmap, save_model_urls

__all__ = [
    "DEFAULT_TIMEOUT",
    "TASK_CLEANUP_AGE",
    "Bridge",
    "WebuiManager",
    "_handle_task_exception",
    "cleanup_old_pending_downloads",
    "cleanup_old_tasks",
    "download_tasks",
    "load_stored_urlmap",
    "pending_downloads",
    "save_model_urls",
    "setup",
]


def setup(prompt_server: Any) -> Bridge:
    """Serve /uiapi/* from a PromptServer whose application has not started yet."""
    comfy = Comfy(prompt_server)
    bridge = Bridge(comfy, Guard.from_environment(comfy.beyond_loopback))
    bridge.downloads = Room(bridge)
    add_routes(prompt_server.routes, bridge)

    async def start(_: web.Application) -> None:
        await bridge.start()

    async def close(_: web.Application) -> None:
        await bridge.close()

    prompt_server.app.on_response_prepare.append(bridge.on_response_prepare)
    prompt_server.app.on_startup.append(start)
    prompt_server.app.on_shutdown.append(close)
    return bridge


def add_routes(routes: web.RouteTableDef, bridge: Bridge) -> None:
    """Add a route for every command, the websocket and its pages' key, the documents, and the rest of /uiapi/."""
    for command in COMMANDS.values():
        if command.route:
            routes.route(command.method, f"/uiapi/{command.path}")(http_handler(bridge, command))
    routes.post("/uiapi/page_key")(page_key_handler(bridge))
    routes.get("/uiapi/ws")(websocket_handler(bridge))
    routes.get("/uiapi/openapi.json")(page_handler(bridge, _document, "application/json"))
    routes.get("/uiapi/docs")(page_handler(bridge, _page, "text/html"))
    # (?s:…), since a path may hold an encoded end of a line.
    routes.route("*", "/uiapi/{name:(?s:.*)}")(fallback_handler(bridge))


def _document() -> str:
    # At first use, as below: ComfyUI waits for every extension to import.
    from .bridge.openapi import document_text

    return document_text()


def _page() -> str:
    from .bridge.docs import page

    return page()
