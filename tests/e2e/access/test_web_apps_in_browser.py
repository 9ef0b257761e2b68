"""A real page on another port: refused before consent, asked about once, works then, and is refused once revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from comfyui_uiapi.tests.harness.browser.person import answer_dialog, dialogs
from comfyui_uiapi.tests.harness.browser.scripts import TOGGLE
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import Page, expect

TOKEN = "correct-horse"  # noqa: S105 - a test's own
SERVERS: dict[str, dict[str, Any]] = {
    "loopback": {},
    "network": {"args": ("--listen", "0.0.0.0"), "env": {"UIAPI_TOKEN": TOKEN}},  # noqa: S104 - what is tested
}
QUESTION = "May this web page use ComfyUI?"
# Answers the status of a command, and the code of its error or "ok".
ASK = """async ([url, token]) => {
    const headers = {'Content-Type': 'application/json', ...(token ? {Authorization: `Bearer ${token}`} : {})}
    const answer = await fetch(`${url}/uiapi/query_fields`, {method: 'POST', headers, body: '{}'})
    return [answer.status, (await answer.json()).code ?? 'ok']
}"""
# Opens a websocket; answers the type of the first frame. `window.closeCode` becomes the code with which it is closed.
OPEN = """([url, token]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace('http', 'ws') + '/uiapi/ws')
    socket.onopen = () => socket.send(JSON.stringify({type: 'hello', role: 'client', protocol: 1, token}))
    socket.onmessage = ({data}) => resolve(JSON.parse(data).type)
    socket.onerror = () => resolve('nothing')
    socket.onclose = ({code}) => (window.closeCode = code)
})"""
# What a sandboxed frame of the page gets to see.
SANDBOXED = """url => new Promise(resolve => {
    window.onmessage = ({data}) => resolve(data)
    const frame = document.createElement('iframe')
    frame.setAttribute('sandbox', 'allow-scripts')
    frame.srcdoc = `<script>fetch('${url}/uiapi/webuis').then(() => 'seen', () => 'nothing')
        .then(seen => parent.postMessage(seen, '*'))</script>`
    document.body.append(frame)
})"""
READ = "url => fetch(url).then(answer => answer.status, () => 'nothing')"


@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere() -> AsyncIterator[str]:
    """The origin of an empty page on another port; `/to?url=` there redirects to any URL."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title><body>", content_type="text/html")

    async def away(request: web.Request) -> web.Response:
        headers = {"Location": request.query["url"], "Access-Control-Allow-Origin": "*"}
        return web.Response(status=307, headers=headers)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/to", away)
    async with TestServer(app) as other:
        yield str(other.make_url("/").origin())


@pytest_asyncio.fixture(loop_scope="session")
async def pages(browser: Chromium) -> AsyncIterator[Callable[[str], Any]]:
    """Opens a URL in a page of its own."""
    opened: list[Page] = []

    async def visit(url: str) -> Page:
        page = await browser.new_page()
        opened.append(page)
        await page.goto(url)
        return page

    yield visit
    for page in opened:
        await page.context.close()


async def asks(page: Page, *given: Any) -> Any:
    return await asyncio.wait_for(page.evaluate(ASK, [*given]), PATIENCE)


@pytest.mark.parametrize("where", SERVERS)
async def test_a_page_from_another_port_works_from_consent_until_it_is_revoked(
    where: str,
    new_comfy: Callable[..., ComfyProcess],
    browser: Chromium,
    elsewhere: str,
    pages: Callable[[str], Any],
) -> None:
    comfy = await asyncio.to_thread(lambda: new_comfy(**SERVERS[where]))
    token = TOKEN if where == "network" else ""
    page, other = await pages(elsewhere), await pages(elsewhere.replace("127.0.0.1", "localhost"))
    # Nobody is there to be asked.
    assert await asks(page, comfy.url, token) == [403, "waiting_for_person"]
    assert await page.evaluate(OPEN, [comfy.url, token]) == "nothing"

    tab = Tab(await browser.new_page(), comfy)
    await tab.load(clear=False, connected=False)
    if token:
        await answer_dialog(tab.page, "token", token)

    async def connected() -> Any:
        # Only a request with the token raises the question, and one before the tab is there is refused.
        return await dialogs(tab.page) or [await asks(page, comfy.url, "")] == [[403, "token_required"]]

    if token:
        await until(connected, "the answer to a request without the token", PATIENCE)
        assert await dialogs(tab.page) == 0

    async def decided(page: Page) -> Any:
        """The answer to a request once the person has decided about the page."""

        async def decision() -> Any:
            answer = await asks(page, comfy.url, token)
            return answer if answer[1] != "waiting_for_person" else None

        return await until(decision, "the person's answer", 2 * PATIENCE)

    waiting = asyncio.create_task(decided(page))
    dialog = tab.page.get_by_role("dialog", name=QUESTION)
    await expect(dialog).to_contain_text(elsewhere, timeout=PATIENCE * 1000)
    await answer_dialog(tab.page, QUESTION, button="Allow")
    assert await waiting == [200, "ok"]
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)
    assert await asks(page, comfy.url, token) == [200, "ok"]
    assert await page.evaluate(OPEN, [comfy.url, token]) == "welcome"
    if token:
        assert await asks(page, comfy.url, "") == [403, "token_required"]
        assert await page.evaluate(OPEN, [comfy.url, ""]) == "error"

    # Another name of the same machine is another page. So is what a page puts into a sandbox, or redirects.
    refused = asyncio.create_task(decided(other))
    await expect(dialog).to_contain_text("http://localhost:", timeout=PATIENCE * 1000)
    await answer_dialog(tab.page, QUESTION, button="Deny")
    assert await refused == [403, "web_app_refused"]
    assert await other.evaluate(OPEN, [comfy.url, token]) == "nothing"
    assert await page.evaluate(SANDBOXED, comfy.url) == "nothing"
    away = f"{elsewhere.replace('127.0.0.1', 'localhost')}/to?url={comfy.url}/uiapi/webuis"
    assert await page.evaluate(READ, away) == "nothing"
    # Only /uiapi is open to it.
    assert await page.evaluate(READ, f"{comfy.url}/queue") == "nothing"

    await page.evaluate("window.closeCode = 0")
    await tab.page.evaluate(TOGGLE)
    await tab.page.get_by_label(f"What {elsewhere} may do").select_option("refuse")

    async def closed() -> Any:
        return await page.evaluate("window.closeCode")

    assert await until(closed, "the websocket to be closed", PATIENCE) == 4403
    assert await asks(page, comfy.url, token) == [403, "web_app_refused"]
    assert await page.evaluate(OPEN, [comfy.url, token]) == "nothing"
    assert await dialogs(tab.page) == 0
    await tab.close()
