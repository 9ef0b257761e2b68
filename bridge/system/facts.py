"""The versions and memory of the running ComfyUI, and the release of that memory."""

from __future__ import annotations

import asyncio
import platform
from typing import Any

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ...common.version import VERSION
from ..comfyui.adapter import Comfy

# A flag without an effect, which the executor takes once it has carried out those before.
DONE_FLAG = "uiapi_done"
FLAGS = ("unload_models", "free_memory")
# Seconds between checks of the flags.
LOOK_EVERY = 0.02


def versions(comfy: Comfy) -> dict[str, str]:
    """Return the versions of ComfyUI and its parts, empty if unknown. It blocks on the disk."""
    return {
        "comfyui_version": comfy.version,
        "frontend_version": _installed("comfyui-frontend-package"),
        "extension_version": VERSION,
        "python_version": platform.python_version(),
        "torch_version": comfy.torch_version,
        "os": platform.system(),
    }


def memory(comfy: Comfy) -> dict[str, Any]:
    """Return the devices and the memory; it may block."""
    devices, main = comfy.devices()
    return {"devices": devices, "ram_total": main.get("ram_total"), "ram_free": main.get("ram_free")}


async def free_memory(comfy: Comfy, *, cache: bool, timeout: float) -> list[str]:
    """Unload all models, and with `cache` also forget the outputs of nodes.

    Returns:
        The ids of the running prompts, after which ComfyUI does it; none if it is done.

    Raises:
        UiapiError: `timeout` if ComfyUI does neither.
    """
    until = steady_time() + timeout
    for flag in FLAGS if cache else FLAGS[:1]:
        comfy.set_flag(flag)
    running = await _taken(comfy, FLAGS[0], until)
    if running:
        return running
    # It is taken once the others are carried out, or the executor has begun a prompt since.
    comfy.set_flag(DONE_FLAG)
    await _taken(comfy, DONE_FLAG, until)
    return []


async def _taken(comfy: Comfy, flag: str, until: float) -> list[str]:
    """Wait until the executor has taken a flag, or is busy with prompts, which are returned."""
    while comfy.is_flagged(flag):
        running, _ = comfy.queued()
        if running:
            return [item["prompt_id"] for item in running]
        if steady_time() > until:
            raise UiapiError("timeout", "ComfyUI has not freed its memory yet; look at its log, and try again.")
        # A flag that was set while the executor was still busy with others does not wake it; set again, it does.
        comfy.set_flag(flag)
        await asyncio.sleep(LOOK_EVERY)
    return []


def _installed(package: str) -> str:
    # Imported at first use, since ComfyUI waits for every extension to import.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
