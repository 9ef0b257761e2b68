"""A custom node for tests: reports how many tasks, files and registry entries this ComfyUI holds.

It is copied into custom_nodes as a single file and imports nothing of the package: it inspects the loaded modules.
Finished downloads are remembered for `AGE` seconds, or as many as the query says, instead of an hour, so that their
removal can be observed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from aiohttp import web

import server

NODE_CLASS_MAPPINGS: dict[str, type] = {}
# Seconds for which finished downloads are remembered.
AGE = 15


def _bridge() -> Any:
    """Return the package's Bridge, whose method is a hook of ComfyUI's web server."""
    hooks = server.PromptServer.instance.app.on_response_prepare
    return next(hook.__self__ for hook in hooks if type(getattr(hook, "__self__", None)).__name__ == "Bridge")


def _registry() -> Any:
    [module] = [module for name, module in sys.modules.items() if name.endswith(".downloads.jobs.registry")]
    return module


def _resident() -> float:
    """Return the resident memory in megabytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _unused(request: web.Request) -> int:
    """Return how many connections are kept open without a request.

    Each is a task and a descriptor. Browsers keep up to six for each page, as many as the page happened to need.
    """
    manager: Any = request.protocol._manager
    return sum(1 for connection in manager.connections if connection._current_request is None)


async def probe(request: web.Request) -> web.Response:
    """Return one sample."""
    bridge, registry, unused = _bridge(), _registry(), _unused(request)
    downloads = bridge.downloads.service
    registry.TASK_CLEANUP_AGE = float(request.query.get("age", AGE))
    managers = bridge.webuis.managers.values()
    held = {
        "tabs": len(managers),
        "pending": sum(len(manager._pending_requests) for manager in managers),
        "connections": len(bridge.connections),
        "subscribers": len(bridge.subscriptions._subscribers),
        "bridge tasks": len(bridge._tasks),
        "download entries": len(registry.download_tasks),
        "questions": len(registry.pending_downloads),
        "download runs": len(downloads._runs),
        "download tasks": len(downloads._tasks),
    }
    return web.json_response(
        {
            "memory": _resident(),
            "tasks": len(asyncio.all_tasks()) - unused,
            "descriptors": len(os.listdir("/proc/self/fd")) - unused,
            "held": held,
        }
    )


server.PromptServer.instance.routes.get("/soak_probe")(probe)
