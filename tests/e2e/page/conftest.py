"""Fixtures for the JS extension in a real page: commands of programs, and a fake server in place of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from playwright.async_api import expect

from ...harness.browser.fake_server import FakeServer

Send = Callable[..., Awaitable[dict[str, Any]]]
Played = tuple[FakeServer, Tab]


@pytest.fixture
def attempt(tab: Tab) -> Send:
    """`await attempt(command, **data)` sends a command over HTTP that may fail, and returns the whole envelope."""

    async def post(command: str, **data: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await asyncio.to_thread(tab.comfy.post, f"/uiapi/{command}", data)
        return answer

    return post


@pytest.fixture
def send(attempt: Send) -> Send:
    """`await send(command, **data)` sends a command that must succeed, and returns its response."""

    async def post(command: str, **data: Any) -> Any:
        envelope = await attempt(command, **data)
        assert envelope["status"] == "ok", envelope
        return envelope.get("response", envelope)

    return post


@pytest.fixture
def refused(attempt: Send) -> Send:
    """`await refused(command, **data)` sends a command that must fail, and returns its error envelope."""

    async def post(command: str, **data: Any) -> dict[str, Any]:
        envelope = await attempt(command, **data)
        assert envelope["status"] == "error", envelope
        return envelope

    return post


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def played_page(browser: Chromium, comfy: ComfyProcess) -> AsyncIterator[Played]:
    """The page that `played` reuses between tests.

    It has a User-Agent of its own: the server takes any websocket of the same browser for one of a page that has only
    ComfyUI's websocket, and this page stays open while other tests open pages like that.
    """
    server = FakeServer()
    page = Tab(await browser.new_page(), comfy)
    devtools = await page.page.context.new_cdp_session(page.page)
    agent = await page.page.evaluate("navigator.userAgent")
    await devtools.send("Network.setUserAgentOverride", {"userAgent": f"{agent} Played"})
    await server.take_over(page)
    yield server, page
    await page.close()


@pytest_asyncio.fixture(loop_scope="session")
async def played(played_page: Played) -> AsyncIterator[Played]:
    """An empty tab whose server is played by the test. The test has to leave no open dialogs."""
    server, page = played_page
    await page.clear()
    yield server, page
    await expect(page.page.get_by_role("dialog")).to_have_count(0)
    assert page.errors == []
