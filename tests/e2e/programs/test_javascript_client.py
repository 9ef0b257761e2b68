"""The JavaScript client in a real web page on another port, by its example, and the same package in Node.js."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from comfyui_uiapi.tests.harness.browser.person import answer_dialog
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab
from comfyui_uiapi.tests.harness.comfy.workflows import picture
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from comfyui_uiapi.tests.tools import build
from comfyui_uiapi.tests.tools.lint.checks import node
from playwright.async_api import Page, expect

PACKAGE = build.ROOT / "client" / "js"
QUESTION = "May this web page use ComfyUI?"
# Sets a field, runs, sweeps, and prints what came of it.
PROGRAM = """
import { connect } from "PACKAGE/index.js";
const comfy = await connect();
const { value } = await comfy.set("Canvas.width", 24);
const { images } = await comfy.run();
const sizes = [];
for await (const item of comfy.sweep({ "Canvas.width": [32, 40] })) sizes.push(item.images.length);
console.log(value, images[0].blob.type, images[0].blob.size > 50, sizes.join(), await comfy.get("Canvas.width"));
comfy.close();
"""


@pytest_asyncio.fixture(loop_scope="session")
async def example(browser: Chromium) -> AsyncIterator[Page]:
    """The example page, served as `python -m http.server` would."""
    app = web.Application()
    app.router.add_static("/", PACKAGE)
    async with TestServer(app) as other:
        page = await browser.new_page()
        await page.goto(str(other.make_url("/example/index.html")))
        yield page
        await page.context.close()


async def test_the_example_page_shows_a_live_picture_once_the_person_has_allowed_it(tab: Tab, example: Page) -> None:
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": picture()})
    await example.fill("#url", tab.comfy.url)
    await example.locator("#value").focus()
    await example.keyboard.press("ArrowLeft")
    await answer_dialog(tab.page, QUESTION, button="Allow")
    news, shown = example.locator("#news"), example.locator("#picture")
    await expect(news).to_have_text("Canvas.height = 448", timeout=PATIENCE * 1000)
    assert await shown.evaluate("image => image.decode().then(() => image.naturalHeight)") == 448
    # Without another question.
    await example.keyboard.press("ArrowLeft")
    await expect(news).to_have_text("Canvas.height = 384", timeout=PATIENCE * 1000)
    assert await shown.evaluate("image => image.decode().then(() => image.naturalHeight)") == 384
    await expect(tab.page.get_by_role("dialog", name=QUESTION)).to_have_count(0, timeout=PATIENCE * 1000)


async def test_a_program_in_node_sets_runs_and_sweeps(tab: Tab) -> None:
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": picture()})
    process = await asyncio.create_subprocess_exec(
        *(node(), "--input-type=module", "--eval", PROGRAM.replace("PACKAGE", PACKAGE.as_uri())),
        env={"COMFYUI_URL": tab.comfy.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert out.decode().split() == ["24", "image/png", "true", "1,1", "24"]
