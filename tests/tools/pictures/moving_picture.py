"""Makes the README's animation: a program changes fields of the open graph, and each run gives a new picture."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
from comfyui_uiapi.tests.harness.programs import installed_client  # noqa: F401 - makes `uiapi` importable
from PIL import Image

from ...harness.browser.tab import Tab

# After `installed_client`, which makes it importable.
from uiapi import Client  # isort: skip

# Pixels of the picture, and the duration of its frames in milliseconds: after a line is written, after its run, and of
# the last frame.
SIZE = (960, 600)
WRITTEN, DONE, LAST = 450, 800, 2500
QUALITY = 72

# (class, title, inputs, position, size).
NODES: list[tuple[str, str, dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    ("LoadImage", "Photo", {"image": "evening.png"}, (0, 0), (240, 300)),
    ("EmptyImage", "Tint", {"width": 480, "height": 300, "batch_size": 1, "color": 0xC02060}, (0, 350), (240, 135)),
    (
        "ImageBlend",
        "Mix",
        {"image1": ["1", 0], "image2": ["2", 0], "blend_factor": 0.0, "blend_mode": "screen"},
        (280, 140),
        (240, 120),
    ),
    ("ImageQuantize", "Poster", {"image": ["3", 0], "colors": 256, "dither": "none"}, (560, 140), (240, 90)),
    ("SaveImage", "Result", {"images": ["4", 0], "filename_prefix": "evening"}, (840, 0), (400, 420)),
]
WORKFLOW = {
    str(number): {"class_type": kind, "_meta": {"title": title}, "inputs": inputs}
    for number, (kind, title, inputs, _, _) in enumerate(NODES, 1)
}
PLACES: list[Any] = [
    {"command": "set_node", "data": {"node": f"#{number}", "pos": pos, "size": size}}
    for number, (_, _, _, pos, size) in enumerate(NODES, 1)
]
TURNS: list[tuple[str, Any]] = [
    *(("Mix.blend_factor", factor) for factor in (0.2, 0.4, 0.6, 0.8)),
    *(("Tint.color", color) for color in (0xD06010, 0x1050C0, 0x108060)),
    *(("Poster.colors", colors) for colors in (24, 12, 6, 3)),
]
BEGINNING = [">>> from uiapi import Client", ">>> client = Client()"]
LINES_SHOWN = 5

# Shows the whole graph, and a terminal in front of it.
LOOK = """() => {
    app.canvas.ds.scale = 0.94
    app.canvas.ds.offset = [85, 130]
    app.canvas.setDirty(true, true)
    const terminal = document.createElement('pre')
    terminal.id = 'terminal'
    terminal.style.cssText = `position: fixed; left: 60px; right: 0; bottom: 0; height: 158px; margin: 0; z-index: 9999;
        padding: 14px 24px; background: #0d1117; color: #d6deeb; border-top: 1px solid #444c56;
        font: 17px/1.45 monospace; white-space: pre; overflow: hidden`
    document.body.append(terminal)
}"""
WRITE = "text => { document.getElementById('terminal').textContent = text }"


def evening(width: int = 480, height: int = 300) -> bytes:
    """Returns a PNG of a landscape: a low sun over three ridges."""
    down, right = numpy.mgrid[0:height, 0:width].astype(float)
    down, right = down / height, right / width
    sky = numpy.stack([60 + 190 * down, 70 + 90 * down, 130 + 10 * down], -1)
    sun = numpy.exp(-(((right - 0.66) * 1.6) ** 2 + (down - 0.52) ** 2) * 60)[..., None]
    picture = sky + sun * numpy.array([190, 170, 90])
    for ridge, (base, steep) in enumerate([(0.58, 0.06), (0.7, 0.08), (0.84, 0.05)]):
        line = base + steep * numpy.sin(right * (5 + 3 * ridge) + ridge) + steep / 3 * numpy.sin(right * 23 + 2 * ridge)
        shade = numpy.array([110, 70, 100]) * (1 - 0.33 * ridge)
        picture = numpy.where((down > line)[..., None], shade + 40 * (down - line)[..., None], picture)
    out = BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(numpy.uint8)).save(out, "PNG")
    return out.getvalue()


async def take(tab: Tab, path: Path) -> None:
    """Drive the tab and write the animation. ComfyUI's input folder must contain `evening` as evening.png."""
    frames: list[Image.Image] = []
    durations: list[int] = []
    lines = [*BEGINNING]

    async def shoot(milliseconds: int) -> None:
        await tab.page.evaluate(WRITE, "\n".join(lines[-LINES_SHOWN:]))
        with Image.open(BytesIO(await tab.page.screenshot())) as picture:
            frames.append(picture.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS))
        durations.append(milliseconds)

    with Client(tab.comfy.url, name="Python") as client:
        await asyncio.to_thread(client.load, WORKFLOW, "evening")
        await asyncio.to_thread(client.commands.batch, PLACES)
        await asyncio.to_thread(client.run)
        # By then the page has brought the whole graph into view and hidden the message that a run is queued.
        await tab.page.wait_for_timeout(6000)
        await tab.page.evaluate(LOOK)
        await shoot(DONE)
        for field, value in TURNS:
            shown = f"0x{value:06X}" if field.endswith("color") else json.dumps(value)
            lines.append(f'>>> client.run({{"{field}": {shown}}})')
            await shoot(WRITTEN)
            done = await asyncio.to_thread(client.run, {field: value})
            lines.append(f"{done.image.filename}  {done.execution_time:.2f} s")
            # The page needs time to load and draw the new picture.
            await tab.page.wait_for_timeout(700)
            await shoot(DONE)
    durations[-1] = LAST
    first, *others = frames
    how = {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    first.save(path, "WEBP", quality=QUALITY, method=6, **how)
