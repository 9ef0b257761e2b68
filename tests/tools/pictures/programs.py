"""Pictures of the page while the examples for Blender and TouchDesigner use it, in stand-ins for these programs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
from comfyui_uiapi.tests.harness.programs import installed_client  # noqa: F401 - makes `uiapi` importable
from PIL import Image, ImageFilter

from ...harness.browser.tab import Tab
from ...harness.programs.stand_ins import Blender, Datablock, ScriptTop
from ..steps import say
from . import moving_picture

# After `installed_client`, by which it finds the client.
from ....client.examples import blender_uiapi, touchdesigner_uiapi  # isort: skip

OPEN_PANEL = "() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.uiapi')"
# Moves the graph next to the panel, which covers the left of the canvas.
LOOK = """() => {
    app.canvas.ds.scale = 0.8
    app.canvas.ds.offset = [480, 150]
    app.canvas.setDirty(true, true)
}"""
# (class, title, inputs, position, size).
NODES: list[tuple[str, str, dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    ("LoadImage", "Photo", {"image": "evening.png"}, (0, 0), (320, 360)),
    ("ImageInvert", "Invert", {"image": ["1", 0]}, (360, 120), (160, 60)),
    ("SaveImage", "Result", {"images": ["2", 0], "filename_prefix": "program"}, (560, 0), (380, 360)),
]
WORKFLOW = {
    str(number): {"class_type": kind, "_meta": {"title": title}, "inputs": inputs}
    for number, (kind, title, inputs, _, _) in enumerate(NODES, 1)
}
PLACES: list[Any] = [
    {"command": "set_node", "data": {"node": f"#{number}", "pos": pos, "size": size}}
    for number, (_, _, _, pos, size) in enumerate(NODES, 1)
]
# Seconds for a result.
LONGEST = 60


async def take(tab: Tab, place: Path) -> None:
    """Write blender.png and touchdesigner.png to `place`."""
    (tab.comfy.base / "input" / "evening.png").write_bytes(moving_picture.evening())
    for command, data in (("load_workflow", {"workflow": WORKFLOW, "name": "invert"}), ("batch", {"commands": PLACES})):
        await asyncio.to_thread(tab.comfy.post, f"/uiapi/{command}", data, 120, "screenshots")
    await tab.page.evaluate(OPEN_PANEL)
    await tab.page.wait_for_timeout(2000)
    await tab.page.evaluate(LOOK)
    with Image.open(BytesIO(moving_picture.evening())) as picture:
        sky = picture.convert("RGBA")
    await _blender(tab, sky)
    await keep(tab, place, "blender")
    await _touchdesigner(tab, sky)
    await keep(tab, place, "touchdesigner")


async def _blender(tab: Tab, picture: Image.Image) -> None:
    """Press the add-on's button."""
    blender = Blender()
    sys.modules["bpy"] = blender.module  # type: ignore[assignment]
    os.environ["COMFYUI_URL"] = tab.comfy.url
    blender_uiapi.register()
    try:
        blender.press("image.uiapi_run", Datablock.of("Render Result", _rows(picture)), "Photo.image")
        await _until(blender.is_idle)
    finally:
        blender_uiapi.unregister()
        del os.environ["COMFYUI_URL"], sys.modules["bpy"]
    if blender.popups:
        raise RuntimeError(blender.popups[0])


async def _touchdesigner(tab: Tab, picture: Image.Image) -> None:
    """Show a few frames, each different, and wait for the result of each."""
    top = ScriptTop(tab.comfy.url, "Photo.image", _rows(picture))

    def is_shown() -> bool:
        top.cook(touchdesigner_uiapi.onCook)
        return top.shown is not None

    try:
        for radius in (4, 8, 16):
            top.picture, top.shown = _rows(picture.filter(ImageFilter.GaussianBlur(radius))), None
            await _until(is_shown)
    finally:
        touchdesigner_uiapi.WORKERS.pop(top.path).end()


def _rows(picture: Image.Image) -> numpy.ndarray[Any, Any]:
    """Returns RGBA floats, the bottom row first."""
    return numpy.asarray(picture, numpy.float32)[::-1] / 255


async def _until(condition: Callable[[], bool]) -> None:
    async def spin() -> None:
        while not condition():  # noqa: ASYNC110 - the stand-ins set no event
            await asyncio.sleep(0.05)

    await asyncio.wait_for(spin(), LONGEST)


async def keep(tab: Tab, place: Path, name: str) -> None:
    """Save a screenshot of the page."""
    # Changed nodes are highlighted for a moment, and dialogs fade in.
    await tab.page.wait_for_timeout(2000)
    few_colors(Image.open(BytesIO(await tab.page.screenshot())), place / f"{name}.png")


def few_colors(picture: Image.Image, path: Path) -> None:
    """Save a picture as a PNG with few colours, which is much smaller."""
    with picture:
        few = picture.convert("RGB").quantize(128)
    few.save(path, optimize=True)
    say(f"  {path}: {path.stat().st_size / 1000:.0f} kB")
