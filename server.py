"""The entry point: binds all declared commands and the websocket to ComfyUI's PromptServer."""

from __future__ import annotations

from typing import Any

from aiohttp import web

# Importing a module declares its commands; the documents list them in this order.
# isort: off
from .bridge.commands import fields as _fields, editing as _editing, execution as _execution  # noqa: F401
from .bridge.commands import sweeps as _sweeps, nodes_and_queue as _nodes_and_queue  # noqa: F401
from .bridge.commands import workflow_tabs as _workflow_tabs  # noqa: F401
from .bridge.commands import missing_nodes as _missing_nodes, system as _system  # noqa: F401
from .bridge.commands import connections as _connections, panel as _panel  # noqa: F401
from .downloads.api import commands as _models, doctor as _doctor, panel_commands as _panel_models  # noqa: F401
from .downloads.api import templates as _templates  # noqa: F401

# isort: on
from .bridge.api.http import fallback_handler, http_handler, page_handler, page_key_handler
from .bridge.api.replies import HttpHandler
from .bridge.api.unread_bodies import unread_body_middleware
from .bridge.api.web_app_requests import web_app_middleware
from .bridge.api.websocket import websocket_handler
from .bridge.app.bridge import Bridge
from .bridge.app.dispatch import OF_PAGES
from .bridge.comfyui.adapter import Comfy
from .bridge.policy.access import Guard
from .bridge.protocol.command_spec import COMMANDS, DEFAULT_TIMEOUT
from .bridge.tabs.tab import WebuiManager
from .common.garbage import spare_startup_objects
from .downloads.api.lazy_loader import LazyDownloads
from .downloads.jobs.registry import (
    TASK_CLEANUP_AGE,
    _handle_task_exception,
    cleanup_old_pending_downloads,
    cleanup_old_tasks,
    download_tasks,
    pending_downloads,
)
from .downloads.storage.url_map import load_stored_urlmap, save_model_urls

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
    """Add /uiapi/* to a PromptServer whose application has not started yet."""
    comfy = Comfy(prompt_server)
    bridge = Bridge(comfy, Guard.from_environment(comfy.beyond_loopback))
    bridge.downloads = LazyDownloads(bridge)
    add_routes(prompt_server.routes, bridge)
    add_middlewares(prompt_server.app, bridge)

    async def start(_: web.Application) -> None:
        await bridge.start()
        # Last, so that it includes what the start has loaded.
        spare_startup_objects()

    async def close(_: web.Application) -> None:
        await bridge.close()

    prompt_server.app.on_response_prepare.append(bridge.on_response_prepare)
    prompt_server.app.on_startup.append(start)
    prompt_server.app.on_shutdown.append(close)
    return bridge


def add_middlewares(app: web.Application, bridge: Bridge) -> None:
    """Add the middlewares before ComfyUI's own, which refuse web apps that the person has allowed."""
    app.middlewares[:0] = [unread_body_middleware(), web_app_middleware(bridge)]


def add_routes(routes: web.RouteTableDef, bridge: Bridge) -> None:
    """Add the routes of all commands, the websocket, the page key, the documents, and the fallback for /uiapi/."""

    def add(method: str, path: str, handler: HttpHandler, *, web_apps: bool = True) -> None:
        if web_apps:
            bridge.for_web_apps.add(handler)
        routes.route(method, f"/uiapi/{path}")(handler)

    for command in COMMANDS.values():
        if command.route:
            add(command.method, command.path, http_handler(bridge, command), web_apps=command.name not in OF_PAGES)
    add("POST", "page_key", page_key_handler(bridge), web_apps=False)
    add("GET", "ws", websocket_handler(bridge))
    add("GET", "openapi.json", page_handler(bridge, _document, "application/json"))
    add("GET", "docs", page_handler(bridge, _page, "text/html"))
    # (?s:…), since a path may contain an encoded newline.
    add("*", "{name:(?s:.*)}", fallback_handler(bridge))


def _document() -> str:
    # Imported at first use, as below, since ComfyUI waits for every extension to import.
    from .bridge.api.openapi import document_text

    return document_text()


def _page() -> str:
    from .bridge.api.docs.page import page

    return page()
