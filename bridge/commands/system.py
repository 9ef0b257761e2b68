"""Commands about the running ComfyUI: versions, memory and log, and the page's lists of files."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from ..app.dispatch import Call
from ..protocol.command_spec import Kind, Request, Risk, command, tab_command
from ..protocol.lazy_types import LazyModule
from ..system import facts

schemas = LazyModule("..protocol.system_schemas", __package__)


class FreeMemory(Request):
    """What to free besides the models."""

    cache: bool = Field(True, description="Also forget the outputs of nodes, which the next run then computes anew.")


class Logs(Request):
    """How much of the log."""

    lines: int = Field(200, ge=1, le=1000, description="The most lines to return, the last ones.")


@command("system", response=schemas.System, risk=Risk.READ, method="GET")
async def system(call: Call, request: Request) -> dict[str, Any]:
    """Return the versions of ComfyUI, its frontend, this extension, Python and PyTorch, the memory, and the queue."""
    comfy = call.bridge.comfy
    versions, memory = await asyncio.gather(
        asyncio.to_thread(facts.versions, comfy), asyncio.to_thread(facts.memory, comfy)
    )
    tabs = [call.bridge.webuis.describe(manager) for manager in call.bridge.webuis.connected()]
    shown = next((tab["frontend_version"] for tab in tabs if tab["is_main"]), "")
    running, waiting = comfy.queued()
    return {
        **versions,
        "frontend_version": shown or versions["frontend_version"],
        **memory,
        "queue_running": len(running),
        "queue_waiting": len(waiting),
    }


@command("free_memory", response=schemas.Freed, risk=Risk.DRIVE, kind=Kind.RUN)
async def free_memory(call: Call, request: FreeMemory) -> dict[str, Any]:
    """Unload all models and forget cached outputs; if a prompt is running, ComfyUI does it afterwards."""
    comfy = call.bridge.comfy
    after = await facts.free_memory(comfy, cache=request.cache, timeout=call.timeout)
    done = "Unloaded all models and cleared the cache." if request.cache else "Unloaded all models."
    message = "ComfyUI frees its memory when the running prompt has ended." if after else done
    memory = await asyncio.to_thread(facts.memory, comfy)
    return {"freed": not after, "after": after, "message": message, **memory}


@command("logs", response=schemas.Log, risk=Risk.READ)
async def logs(call: Call, request: Logs) -> dict[str, Any]:
    """Return the last lines of ComfyUI's log, without tokens, passwords and home folders."""
    # Imported at first use, since ComfyUI waits for every extension to import.
    from ..system.log_tail import tail

    lines, total = await asyncio.to_thread(tail, call.bridge.comfy.log_entries(), request.lines)
    return {"lines": lines, "total": total}


tab_command(
    "refresh_models",
    "Make the page reload its lists of files, as R does; returns the lists that have changed.",
    response=schemas.Refreshed,
    risk=Risk.READ,
)
