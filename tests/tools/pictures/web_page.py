"""`dev.py screenshots`: the picture of the JavaScript client's example page at work."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, ViewportSize, expect

from ...harness.browser.person import answer_dialog
from ...harness.browser.tab import Tab
from ..build import ROOT
from ..demo import WORKFLOW

COLOR = 0xE87C0E
SIZE: ViewportSize = {"width": 640, "height": 660}


async def take(tab: Tab, page: Page, path: Path) -> None:
    """Move the slider of the example page, allow it in the tab, and save a screenshot with the picture of the run."""
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": WORKFLOW})
    await asyncio.to_thread(tab.comfy.post, "/uiapi/set_fields", {"fields": [["Canvas.color", COLOR]]})
    app = web.Application()
    app.router.add_static("/", ROOT / "client" / "js")
    async with TestServer(app) as server:
        await page.set_viewport_size(SIZE)
        await page.goto(str(server.make_url("/example/index.html")))
        await page.fill("#url", tab.comfy.url)
        await page.locator("#value").focus()
        await page.keyboard.press("ArrowLeft")
        await answer_dialog(tab.page, "May this web page use ComfyUI?", button="Allow")
        await expect(page.locator("#news")).to_have_text("Canvas.height = 448", timeout=60_000)
        await page.screenshot(path=path)
