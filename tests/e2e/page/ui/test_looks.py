"""The panel and the questions have the background, font, radius and colours of the frontend's own, in each palette.

Sheets with ours next to the frontend's are kept as the test's output.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import LARGE, SMALL, Tab
from comfyui_uiapi.tests.tools import build
from PIL import Image
from playwright.async_api import FloatRect, Locator, expect

from ....harness.browser.scripts import GRAPH, SET
from ....harness.browser.views import CANVAS, NODES_2, shown_as

SHEETS = build.STACK / "screens"
SHOW = "id => app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${id}`)"
ASK = """() => void app.extensionManager.dialog.confirm(
    {title: 'The page asks', message: 'Shall it?', type: 'default', itemList: []})"""
# Waits until nothing moves or fades, and returns what is seen of an element: an inherited background is that of an
# ancestor.
LOOK = """async (element, properties) => {
    const now = () => {
        const own = getComputedStyle(element)
        const ground = of => getComputedStyle(of).backgroundColor
        let behind = element
        while (behind.parentElement && ground(behind).endsWith(', 0)')) behind = behind.parentElement
        const look = {backgroundColor: ground(behind)}
        return Object.fromEntries(properties.map(name => [name, look[name] ?? own[name]]))
    }
    await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => undefined)))
    return now()
}"""
SURFACE = ("backgroundColor", "color", "fontFamily")
BUTTON = (*SURFACE, "fontSize", "fontWeight", "borderTopLeftRadius", "height")
# The ring around what has the focus, as [colour, width, distance]: an outline, or a shadow without blur.
RING = """async element => {
    await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => undefined)))
    const {outlineStyle, outlineColor, outlineWidth, outlineOffset, boxShadow} = getComputedStyle(element)
    if (outlineStyle !== 'none') return [outlineColor, outlineWidth, outlineOffset]
    const ring = /(rgba?\\([^)]*\\)) 0px 0px 0px ([1-9]\\d*px)/.exec(boxShadow)
    return ring ? [ring[1], ring[2], '0px'] : null
}"""
IS_FOCUSED = "element => element === document.activeElement"
# WCAG's contrast between the text and the background of an element.
CONTRAST = """element => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(part => part / 255)
        const part = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }
    const {color, backgroundColor} = getComputedStyle(element)
    const [low, high] = [light(color), light(backgroundColor)].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
}"""


@pytest_asyncio.fixture(loop_scope="session", params=[("dark", CANVAS), ("light", CANVAS), ("light", NODES_2)])
async def palette(request: pytest.FixtureRequest, tab: Tab) -> AsyncIterator[str]:
    """A palette, in which the page is shown; the name says as well whether that is with Nodes 2.0."""
    name, view = request.param
    await tab.page.evaluate(SET, ["Comfy.ColorPalette", name])
    await tab.load_workflow(GRAPH)
    # Ours without the URLs that other tests have had saved, and the frontend's own of workflows show their empty state.
    for url in (await asyncio.to_thread(tab.comfy.get, "/uiapi/model_urls"))["response"]["urls"]:
        await asyncio.to_thread(tab.comfy.post, "/uiapi/remove_model_url", {"model_name": url})
    await asyncio.to_thread(shutil.rmtree, tab.comfy.base / "user/default/workflows", ignore_errors=True)
    await tab.page.evaluate("() => app.extensionManager.workflow.syncWorkflows()")
    try:
        async with shown_as(view, tab):
            yield name if view == CANVAS else f"{name}-nodes-2.0"
    finally:
        await restore(tab)


async def restore(tab: Tab) -> None:
    """Show the page as the other tests expect it."""
    await tab.page.evaluate(SET, ["uiapi.rules.change", "allow"])
    await tab.page.evaluate(SET, ["Comfy.ColorPalette", "dark"])
    await tab.page.set_viewport_size(SMALL)


async def look(element: Locator, properties: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = await element.evaluate(LOOK, list(properties))
    return found


async def height(element: Locator) -> float:
    box = await element.bounding_box()
    assert box is not None
    return box["height"]


async def ring(tab: Tab, element: Locator) -> list[str] | None:
    """The ring around an element once the keyboard has reached it."""
    for _ in range(10):
        await tab.page.keyboard.press("Tab")
        if await element.evaluate(IS_FOCUSED):
            break
    await expect(element).to_be_focused()
    found: list[str] | None = await element.evaluate(RING)
    return found


async def keep(tab: Tab, name: str, pictures: list[bytes]) -> None:
    """Keep pictures side by side."""
    opened = [Image.open(BytesIO(picture)) for picture in pictures]
    sheet = Image.new("RGB", (sum(each.width for each in opened), max(each.height for each in opened)))
    left = 0
    for each in opened:
        sheet.paste(each, (left, 0))
        left += each.width
    SHEETS.mkdir(parents=True, exist_ok=True)
    sheet.save(SHEETS / f"sheet-{name}-{await tab.page.evaluate('__COMFYUI_FRONTEND_VERSION__')}.png")


async def test_the_panel_looks_like_the_frontends_own(tab: Tab, palette: str) -> None:
    for size in (LARGE, SMALL):
        pictures = []
        await tab.page.set_viewport_size(size)
        shot: FloatRect = {"x": 0, "y": 0, "width": size["width"] // 3, "height": size["height"]}
        await tab.page.evaluate(SHOW, "workflows")
        native = tab.page.locator(".comfy-vue-side-bar-container")
        await expect(native.locator("h3")).to_be_visible()
        expected = {
            "panel": await look(native, SURFACE),
            "title": await look(native.locator("[title]").first, (*SURFACE, "fontSize", "fontWeight")),
            "empty": await look(native.locator("h3"), (*SURFACE, "fontWeight", "marginTop", "marginBottom")),
            "hint": await look(native.locator("h3 + p"), (*SURFACE, "fontSize", "marginTop")),
        }
        field = native.locator("input")
        # In 1.58 the field's background and its height belong to the element around it.
        expected["search"] = await look(field, (*SURFACE, "fontSize"))
        heights = [await height(field.locator(".."))]
        boxes = [await native.locator(".comfy-vue-side-bar-header > div").first.bounding_box()]
        pictures.append(await tab.page.screenshot(clip=shot))
        await tab.page.evaluate(SHOW, "uiapi")
        panel = tab.page.locator(".uiapi")
        await expect(panel).to_contain_text("this is tab")
        await panel.get_by_role("tab", name="URLs").click()
        found = {
            "panel": await look(panel, SURFACE),
            "title": await look(panel.locator("h2"), (*SURFACE, "fontSize", "fontWeight")),
            "empty": await look(
                panel.locator("h3").locator("visible=true"), (*SURFACE, "fontWeight", "marginTop", "marginBottom")
            ),
            "hint": await look(panel.locator("h3 + p").locator("visible=true"), (*SURFACE, "fontSize", "marginTop")),
            "search": await look(panel.get_by_role("searchbox"), (*SURFACE, "fontSize")),
        }
        heights.append(await height(panel.get_by_role("searchbox")))
        boxes.append(await panel.locator(".uiapi-toolbar").bounding_box())
        pictures.append(await tab.page.screenshot(clip=shot))
        await tab.page.evaluate(SHOW, "uiapi")
        await keep(tab, f"panel-{palette}-{size['width']}", pictures)
        assert found == expected
        assert abs(heights[0] - heights[1]) <= 1
        assert boxes[0] is not None and boxes[1] is not None
        assert abs(boxes[0]["height"] - boxes[1]["height"]) <= 1


async def test_a_question_looks_like_the_frontends_own(tab: Tab, palette: str) -> None:
    dialog = tab.page.get_by_role("dialog")
    pictures = []
    await tab.page.evaluate(ASK)
    await expect(dialog).to_contain_text("Shall it?")
    buttons = {name: dialog.get_by_role("button", name=name) for name in ("Cancel", "Confirm")}
    expected = {"message": await look(dialog.get_by_text("Shall it?"), (*SURFACE, "fontSize"))}
    expected["secondary"] = await look(buttons["Cancel"], BUTTON)
    primary = await look(buttons["Confirm"], BUTTON)
    pictures.append(await tab.page.screenshot())
    rings = [await ring(tab, buttons[name]) for name in ("Cancel", "Confirm")]
    await buttons["Cancel"].click()
    await expect(dialog).to_have_count(0)
    await tab.page.evaluate(SET, ["uiapi.rules.change", "always"])
    data = {"fields": [["Canvas.width", 640]]}
    asked = asyncio.create_task(asyncio.to_thread(tab.comfy.post, "/uiapi/set_fields", data))
    await expect(dialog).to_contain_text("Canvas.width")
    found: dict[str, Any] = {"message": await look(dialog.locator("dd").first, (*SURFACE, "fontSize"))}
    found["secondary"] = await look(dialog.locator(".uiapi-button").first, BUTTON)
    accept = dialog.locator(".uiapi-primary")
    ours = await look(accept, BUTTON)
    contrast = await accept.evaluate(CONTRAST)
    pictures.append(await tab.page.screenshot())
    assert [await ring(tab, dialog.locator(".uiapi-button").first), await ring(tab, accept)] == rings
    await tab.page.keyboard.press("Escape")
    await asked
    await expect(dialog).to_have_count(0)
    await keep(tab, f"question-{palette}", pictures)
    assert found == expected
    # The frontend's own text on its blue is too pale for small text in some palettes.
    assert {**ours, "color": ""} == {**primary, "color": ""}
    assert contrast >= 4.5
