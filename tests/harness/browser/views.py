"""The ways in which a person may look at a workflow: the canvas, Nodes 2.0, which are elements, and App mode's form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .scripts import SET
from .tab import Tab

CANVAS, NODES_2, APP_MODE = "canvas", "nodes 2.0", "app mode"
TOGGLE_APP_MODE = "() => app.extensionManager.command.execute('Comfy.ToggleLinear')"
CANVAS_IS_SHOWN = "shown => app.canvas.canvas.clientWidth > 0 === shown"
# There is an element for each node.
NODES_ARE_SHOWN = "() => document.querySelectorAll('[data-node-id]').length >= app.rootGraph.nodes.length"
NO_NODES_ARE_SHOWN = "() => document.querySelector('[data-node-id]') === null"
# The early Nodes 2.0 and App modes are unfinished.
UNFINISHED = ("1.32.9",)


@asynccontextmanager
async def shown_as(view: str, tab: Tab) -> AsyncIterator[None]:
    """Show the open workflow in this way meanwhile; skips the test if the frontend's is unfinished."""
    page = tab.page
    if view == CANVAS:
        yield
        return
    if await page.evaluate("__COMFYUI_FRONTEND_VERSION__") in UNFINISHED:
        pytest.skip(f"this frontend's {view} is unfinished")
    if view == NODES_2:
        try:
            await page.evaluate(SET, ["Comfy.VueNodes.Enabled", True])
            await page.wait_for_function(NODES_ARE_SHOWN)
            yield
        finally:
            await page.evaluate(SET, ["Comfy.VueNodes.Enabled", False])
            await page.wait_for_function(NO_NODES_ARE_SHOWN)
    else:
        try:
            await page.evaluate(TOGGLE_APP_MODE)
            await page.wait_for_function(CANVAS_IS_SHOWN, arg=False)
            yield
        finally:
            await page.evaluate(TOGGLE_APP_MODE)
            await page.wait_for_function(CANVAS_IS_SHOWN, arg=True)
