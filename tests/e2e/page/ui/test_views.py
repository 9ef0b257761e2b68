"""What programs do is as visible, and a question as easy to answer, with Nodes 2.0 and in App mode as on the canvas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import node, seeded
from ....harness.browser.scripts import INTERRUPTED, PREVIEW, SET, TOGGLE
from ....harness.browser.views import APP_MODE, NODES_2, shown_as
from ..conftest import Send

SCREENS = build.STACK / "screens"
RUN = "id => app.extensionManager.command.execute(id)"
# Keeps the ids of the nodes whose elements glow, and the radius of the glow.
WATCH_GLOWS = """() => {
    window.glows = []
    const animate = Element.prototype.animate
    Element.prototype.animate = function (frames, options) {
        const {nodeId} = this.dataset, first = frames?.[0]
        if (nodeId && first?.outline) window.glows.push([nodeId, first.borderRadius])
        return animate.call(this, frames, options)
    }
}"""
# Whether the middle of an element is covered by nothing else.
ON_TOP = """element => {
    const {left, top, width, height} = element.getBoundingClientRect()
    const found = document.elementsFromPoint(left + width / 2, top + height / 2)
    const passes = getComputedStyle(element).pointerEvents === 'none'
    return passes || element.contains(found[0])
}"""


@pytest_asyncio.fixture(loop_scope="session", params=[NODES_2, APP_MODE])
async def view(request: pytest.FixtureRequest, tab: Tab) -> AsyncIterator[str]:
    """One of the ways to look at a workflow that can run."""
    workflow = seeded("fixed")
    workflow["nodes"].append(node(5, "CLIPTextEncode", "Prompt", ["a cat"], pos=[300, 320]))
    await tab.load_workflow(workflow)
    async with shown_as(request.param, tab):
        yield request.param
        await tab.page.evaluate(SET, ["uiapi.rules.change", "allow"])


async def on_top(element: Locator) -> None:
    """Wait until an element is covered by nothing; a toast of an earlier test goes away by itself."""

    async def uncovered() -> bool:
        return bool(await element.evaluate(ON_TOP))

    await until(uncovered, "nothing in front of it", PATIENCE)


async def keep(tab: Tab, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(SCREENS / f"view-{name.replace(' ', '-')}.png")


async def test_a_change_is_asked_about_and_shown_in_every_view(view: str, tab: Tab, send: Send) -> None:
    page = tab.page
    await page.evaluate(RUN, "uiapi.panel")
    panel = page.locator(".uiapi:visible")
    await expect(panel).to_contain_text("this is tab")
    await page.evaluate(SET, ["uiapi.rules.change", "always"])
    # What the person is typing in: a widget of a node, or else a field of the page.
    field = page.locator("[data-node-id] textarea") if view == NODES_2 else panel.get_by_role("combobox").first
    await field.focus()
    await page.evaluate(WATCH_GLOWS)
    asked = asyncio.ensure_future(send("set_fields", fields=[["Canvas.width", 640]]))
    dialog, badge = page.get_by_role("dialog"), page.locator(".uiapi-badge").first
    await expect(dialog).to_contain_text("Canvas.width")
    await expect(badge).to_contain_text("waiting for your answer")
    await expect(dialog.get_by_role("button", name="Deny")).to_be_focused()
    await keep(tab, f"question-{view}")
    await dialog.get_by_role("button", name="Change", exact=True).press("Enter")
    await asked
    await expect(dialog).to_have_count(0)
    await expect(badge).to_be_hidden()
    await expect(field).to_be_focused()
    if view == NODES_2:
        await page.wait_for_function("() => window.glows.length > 0")
        await keep(tab, f"glow-{view}")
        [glow] = await page.evaluate("() => window.glows")
        # Round as the node is.
        assert glow[0] == "1" and glow[1] not in ("", "0px")
        row = page.locator("[data-node-id='1'] [data-widget-name=width]")
        await expect(row.locator("input").first).to_have_value("640")
    log = panel.get_by_role("list", name="Log")
    await expect(log).to_contain_text("16 → 640")
    await log.get_by_role("button", name="Canvas.width").first.click()
    await page.wait_for_function("() => [...app.canvas.selectedItems].map(({ title }) => title).join() === 'Canvas'")
    await page.evaluate(RUN, "uiapi.pause")
    mark = page.locator(".uiapi-paused")
    await expect(mark).to_be_visible()
    await on_top(mark)
    await keep(tab, f"pause-{view}")
    await panel.get_by_role("switch").click()
    await expect(mark).to_have_count(0)
    await page.evaluate(TOGGLE)
    await expect(panel).to_have_count(0)


async def test_a_run_and_its_preview_are_shown_in_every_view(view: str, tab: Tab, send: Send, attempt: Send) -> None:
    # Another seed than in the other view, or ComfyUI would have its result already.
    await send("set_fields", fields=[["Slow.seconds", 600], ["Slow.seed", len(view)]])
    badge = tab.page.locator(".uiapi-badge")
    run = asyncio.ensure_future(attempt("run"))
    await expect(badge).to_contain_text("running this workflow")
    await tab.page.evaluate(PREVIEW)
    await expect(badge.locator("img")).to_be_visible()
    await on_top(badge)
    await keep(tab, f"run-{view}")
    await tab.page.wait_for_function(INTERRUPTED)
    await run
