"""ComfyUI's menus, keys, settings and About page offer the extension, and a pause is visible wherever a person is."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from comfyui_uiapi.common.version import VERSION
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.programs import installed_client
from playwright.async_api import expect

from ....harness.browser.scripts import GRAPH, SET, TOGGLE
from ..conftest import Send

RUN = "id => app.extensionManager.command.execute(id)"
APP_MODE = "Comfy.ToggleLinear"
# Takes what is copied, since a headless browser has no clipboard to share.
KEEP_COPIES = """() => {
    window.copies = []
    Object.defineProperty(navigator, 'clipboard', {configurable: true,
        value: {writeText: async text => void window.copies.push(text)}})
}"""
HEIGHT = "() => app.rootGraph.nodes[0].widgets.find(({name}) => name === 'height').value"
SET_HEIGHT = "value => void (app.rootGraph.nodes[0].widgets.find(({name}) => name === 'height').value = value)"
# The middle of a node's widget on the page.
WIDGET_AT = """([title, name]) => {
    const node = app.rootGraph.nodes.find(node => node.title === title), { canvas, ds } = app.canvas
    const widget = node.widgets.find(widget => widget.name === name)
    const { left, top } = canvas.getBoundingClientRect()
    return [left + (node.pos[0] + 60 + ds.offset[0]) * ds.scale,
        top + (node.pos[1] + widget.last_y + 10 + ds.offset[1]) * ds.scale]
}"""
# The commands of our keys, and those of others with the same keys.
KEYS = """() => {
    const store = app.extensionManager._p._s.get('keybinding')
    const all = Object.values(store.keybindings)
    const text = ({combo: {key, ctrl, alt, shift}}) => [key.toLowerCase(), !!ctrl, !!alt, !!shift].join()
    const own = all.filter(({commandId}) => commandId.startsWith('uiapi.'))
    const others = all.filter(one => !own.includes(one) && own.some(mine => text(mine) === text(one)))
    return [own, others].map(list => list.map(({commandId}) => commandId))
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def shown(tab: Tab) -> AsyncIterator[Tab]:
    """The tab with one small graph on the old canvas, and what is copied kept in the page."""
    page = tab.page
    await tab.load_workflow(GRAPH)
    await page.evaluate(KEEP_COPIES)
    yield tab
    resume = page.locator(".uiapi-paused").get_by_role("button", name="Resume")
    if await resume.count():
        await resume.click()
    await paused(tab, on=False)
    assert tab.errors == []


async def paused(tab: Tab, *, on: bool) -> None:
    await expect(tab.page.locator(".uiapi-paused")).to_have_count(int(on))


async def test_a_pause_is_visible_and_reachable_on_the_canvas_and_in_app_mode(shown: Tab, refused: Send) -> None:
    page = shown.page
    icon = page.get_by_role("button", name="Programs are paused")
    await page.locator("#graph-canvas").focus()
    await page.keyboard.press("Alt+p")
    await paused(shown, on=True)
    await expect(icon.filter(has_text="II")).to_be_visible()
    assert (await refused("set_fields", fields=[["Canvas.width", 320]]))["code"] == "paused"
    await expect(page.get_by_text("A program's command was refused").first).to_be_visible()
    await page.get_by_role("button", name="Resume").click()
    await paused(shown, on=False)
    await expect(icon).to_have_count(0)
    await page.locator("#graph-canvas").focus()
    await page.keyboard.press("Shift+P")
    panel = page.locator(".uiapi:visible")
    await panel.get_by_role("tab", name="Downloads").click()
    await page.evaluate(RUN, "uiapi.pause")
    await expect(panel.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    await expect(panel.get_by_role("tab", name="Downloads")).to_have_attribute("aria-selected", "true")
    await page.evaluate(TOGGLE)
    await page.evaluate(RUN, APP_MODE)
    try:
        await expect(page.locator(".uiapi-paused")).to_be_visible()
        await page.evaluate(RUN, "uiapi.panel")
    finally:
        await page.evaluate(RUN, APP_MODE)
    # Whatever App mode has shown, the panel next to the canvas is up to date.
    await expect(panel.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    await page.evaluate(RUN, "uiapi.pause")
    await expect(panel.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    await page.evaluate(TOGGLE)
    await expect(panel).to_have_count(0)


async def test_the_keys_are_taken_by_nothing_else(shown: Tab) -> None:
    own, others = await shown.page.evaluate(KEYS)
    assert set(own) == {"uiapi.panel", "uiapi.pause", "uiapi.copyPath"}
    assert others == []


async def test_what_is_copied_from_the_menu_of_a_node_runs_as_it_is(shown: Tab, tmp_path: Path) -> None:
    page = shown.page

    async def copy(entry: str) -> str:
        """Right-click the height of the canvas and choose an entry of our submenu; returns what it copied."""
        row = page.locator("[data-widget-name=height]")
        if await row.count():
            await row.click(button="right")
        else:
            await page.mouse.click(*await page.evaluate(WIDGET_AT, ["Canvas", "height"]), button="right")
        menu = page.locator(".litemenu-entry, [role=menuitem]")
        await menu.filter(has_text="Programs").last.hover()
        await menu.filter(has_text="Programs").last.click()
        await menu.filter(has_text=entry).last.click()
        await page.wait_for_function("() => window.copies.length > 0")
        await expect(menu).to_have_count(0)
        return str(await page.evaluate("() => window.copies.pop()"))

    async def sets(height: int, *program: str) -> None:
        """Run a program that sets the height to what it was when it was copied, and see that it does."""
        await page.evaluate(SET_HEIGHT, 8)
        env = installed_client.environment(tmp_path, shown.comfy.url)
        done = await asyncio.to_thread(subprocess.run, program, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert await page.evaluate(HEIGHT) == height

    rows = page.locator(".lg-node-widget")
    try:
        for nodes in (False, True):
            await page.evaluate(SET, ["Comfy.VueNodes.Enabled", nodes])
            await expect(rows).to_have_count(5 if nodes else 0)
            if nodes and not await page.locator("[data-widget-name=height]").count():
                # Nodes 2.0 of 1.32 do not say which widget a row shows; the menu has all fields of the node.
                continue
            await page.evaluate(SET_HEIGHT, 96)
            assert await copy("Copy path: Canvas.height") == "Canvas.height"
            await sets(96, sys.executable, "-c", await copy("Copy as Python"))
            await page.evaluate(SET_HEIGHT, 128)
            await sets(128, "sh", "-c", await copy("Copy as curl"))
    finally:
        await page.evaluate(SET, ["Comfy.VueNodes.Enabled", False])


async def test_the_settings_open_at_their_category_in_order_and_the_version_is_in_about(shown: Tab) -> None:
    page = shown.page
    await page.evaluate(RUN, "uiapi.rules")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("Programs may read the workflow")).to_be_visible()
    order = ["What programs may do", "may read", "may change", "may run", "may download", "may load", "Notify me"]
    await expect(dialog).to_have_text(re.compile(".*".join(["", *order, ""]), re.DOTALL), use_inner_text=True)
    await dialog.locator('[data-nav-id="about"], [role=option][aria-label="About"]').click()
    badge = dialog.get_by_role("link", name=f"ComfyUI-uiapi v{VERSION}")
    await expect(badge).to_have_attribute("href", re.compile("/uiapi/docs$"))
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
