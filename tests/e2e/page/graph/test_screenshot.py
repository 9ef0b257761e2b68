"""Screenshots of the canvas and of nodes: their contents, and the errors if nothing can be shown."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from PIL import Image

from ....harness.browser.graphs import Json, node, ui
from ....harness.browser.scripts import HOLD_GLOWS
from ..conftest import Send

RED, GREEN = (255, 0, 0), (0, 255, 0)
GLOWS = "glows => Boolean(app.rootGraph.nodes[0].strokeStyles?.uiapi) === glows"
# In App mode the page shows a form instead of its canvas.
APP_MODE = """async () => {
    const {command} = app.extensionManager
    if (!command.commands.some(({id}) => id === 'Comfy.ToggleLinear')) return false
    await command.execute('Comfy.ToggleLinear')
    return true
}"""
CANVAS_IS_SHOWN = "shown => app.canvas.canvas.clientWidth > 0 === shown"


def opened(answer: Json) -> Image.Image:
    """The picture in a response."""
    return Image.open(BytesIO(base64.b64decode(answer["png"]))).convert("RGB")


def plain(color: tuple[int, int, int]) -> Json:
    """A picture of one colour, as set_fields accepts it."""
    buffer = BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, "PNG")
    return {"type": "image_base64", "data": base64.b64encode(buffer.getvalue()).decode()}


def share(picture: Image.Image, color: tuple[int, int, int]) -> float:
    """The share of a picture that has nearly this colour, from 0 to 1."""
    size = picture.width * picture.height
    colors: list[tuple[int, Any]] = picture.getcolors(size) or []
    near = (count for count, seen in colors if max(abs(a - b) for a, b in zip(seen, color, strict=True)) < 8)
    return sum(near) / size


async def test_a_picture_shows_the_pictures_on_nodes(send: Send) -> None:
    inputs = {"width": 64, "height": 64, "batch_size": 1, "color": 0xFF0000}
    workflow = {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}, "_meta": {"title": "Preview"}},
        "3": {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Photo"}},
    }
    await send("load_workflow", workflow=workflow)
    await send("set_fields", fields=[["Photo.image", plain(GREEN)]])
    await send("execute", wait=True)
    for title, color in (("Photo", GREEN), ("Preview", RED)):

        async def is_seen(title: str = title, color: tuple[int, int, int] = color) -> bool:
            return share(opened(await send("screenshot", nodes=[title])), color) > 0.02

        # The page fetches a picture after the run that made it.
        await until(is_seen, f"the picture on {title}", PATIENCE)


async def test_a_picture_shows_no_glow(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0])]))
    await tab.drawn()
    await tab.page.evaluate(HOLD_GLOWS)
    await send("set_fields", fields=[["Canvas.width", 128]])
    await tab.page.wait_for_function(GLOWS, arg=True)
    glowing = opened(await send("screenshot", nodes=["Canvas"]))
    await tab.page.evaluate("() => window.letGlowsEnd()")
    await tab.page.wait_for_function(GLOWS, arg=False)
    assert glowing.tobytes() == opened(await send("screenshot", nodes=["Canvas"])).tobytes()


async def test_a_canvas_that_is_not_shown_is_no_picture_but_its_nodes_are(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0])]))
    await tab.drawn()
    before = opened(await send("screenshot", nodes=["Canvas"]))
    if not await tab.page.evaluate(APP_MODE):
        pytest.skip("this frontend has no App mode")
    try:
        await tab.page.wait_for_function(CANVAS_IS_SHOWN, arg=False)
        answer = await refused("screenshot")
        assert answer["code"] == "conflict" and "App mode" in answer["error"]
        assert opened(await send("screenshot", nodes=["Canvas"])).tobytes() == before.tobytes()
    finally:
        await tab.page.evaluate(APP_MODE)
        await tab.page.wait_for_function(CANVAS_IS_SHOWN, arg=True)
