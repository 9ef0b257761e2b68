"""The reference of all commands at /uiapi/docs, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.workflows import picture
from playwright.async_api import Page, expect

TITLE = "ComfyUI-uiapi commands"


class Docs:
    """The opened page, with what it has asked the server for and what its console has shown."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest_asyncio.fixture(loop_scope="session")
async def docs(tab: Tab) -> AsyncIterator[Docs]:
    """The reference in a page of its own, beside the tab."""
    docs = Docs(await tab.page.context.new_page(), f"{tab.comfy.url}/uiapi/docs")
    answer = await docs.page.goto(docs.address)
    assert answer is not None and "default-src 'self'" in (await answer.all_headers())["content-security-policy"]
    await expect(docs.page).to_have_title(TITLE)
    yield docs
    await docs.page.close()
    # Chromium reports an answer with an error's status by itself.
    assert [text for text in docs.complaints if not text.startswith("Failed to load resource")] == []


async def test_the_page_opens_under_comfyuis_own_policy_and_loads_nothing_else(docs: Docs) -> None:
    command = docs.page.locator("#get_fields")
    await expect(command.locator("pre:visible").first).to_contain_text(f"curl {docs.address[:-5]}/get_fields")
    await command.get_by_role("button", name="Python").click()
    await expect(command.locator("pre:visible").first).to_contain_text(f'Client("{docs.address[:-11]}")')
    await expect(command).to_contain_text("unknown_path")
    assert [url for url in docs.requests if not url.startswith("data:")] == [docs.address]
    results = await Axe().run(docs.page)
    grave = [one for one in results.response["violations"] if one["impact"] in ("serious", "critical")]
    assert grave == []


async def test_a_request_is_found_and_tried_out_with_the_keyboard_alone(docs: Docs, tab: Tab) -> None:
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": picture(width=56)})
    keyboard = docs.page.keyboard
    await keyboard.press("/")
    await keyboard.type("set fields revision_changed")
    await expect(docs.page.locator("#found")).to_contain_text(" of ")
    await expect(docs.page.locator("#list_tabs")).to_be_hidden()
    await keyboard.press("Enter")
    await expect(docs.page.locator("nav a[aria-current]")).to_have_text("set_fields")
    form = docs.page.locator("#set_fields form")
    await form.locator("textarea").focus()
    await keyboard.press("Control+Enter")
    await expect(form.locator(".outcome")).to_contain_text("200 OK")
    await expect(form.locator(".answer")).to_contain_text('"value": 640')
    width = "app.rootGraph.nodes.find(node => node.title === 'Canvas').widgets[0].value"
    assert await tab.page.evaluate(width) == 640
    await form.locator("textarea").fill('{"field": ["Nobody.width", 1]}')
    await keyboard.press("Control+Enter")
    await expect(form.locator(".outcome")).to_contain_text("404")
    await expect(form.locator(".answer")).to_contain_text('"unknown_path"')


async def test_parameters_and_the_token_are_sent_and_large_numbers_shown_as_they_came(docs: Docs) -> None:
    sent: list[tuple[str, str | None]] = []

    async def answer(route, request) -> None:  # type: ignore[no-untyped-def]
        sent.append((request.url, await request.header_value("authorization")))
        await route.fulfill(body='{"seed":18446744073709551615,"name":"a, {b}","empty":[]}')

    await docs.page.route("**/model_status/**", answer)
    await docs.page.fill("#token", "secret")
    form = docs.page.locator("#model_status form")
    await form.locator("input[name=model_name]").fill("sub/one two.safetensors")
    await form.get_by_role("button", name="Send").click()
    shown = form.locator(".answer")
    await expect(shown).to_have_text('{\n  "seed": 18446744073709551615,\n  "name": "a, {b}",\n  "empty": []\n}')
    assert sent == [(f"{docs.address[:-4]}model_status/sub%2Fone%20two.safetensors", "Bearer secret")]
