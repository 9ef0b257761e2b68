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
from ..conftest import FAILED

Send = Callable[..., Awaitable[dict[str, Any]]]
Played = tuple[FakeServer, Tab]
# Whether the test is the last in a row of tests that use `played`.
LAST = pytest.StashKey[bool]()


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.stash[LAST] = "played" not in getattr(nextitem, "fixturenames", ())


async def open_played(browser: Chromium, comfy: ComfyProcess) -> Played:
    """Open a page for `played`.

    It has a User-Agent of its own: the server takes any websocket of the same browser for one of a page that has only
    ComfyUI's websocket, and this page stays open while other tests open pages like that.
    """
    server = FakeServer()
    page = Tab(await browser.new_page(), comfy)
    devtools = await page.page.context.new_cdp_session(page.page)
    agent = await page.page.evaluate("navigator.userAgent")
    await devtools.send("Network.setUserAgentOverride", {"userAgent": f"{agent} Played"})
    await server.take_over(page)
    return server, page


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kept_played(browser: Chromium, comfy: ComfyProcess) -> AsyncIterator[list[Played]]:
    """The page that `played` passes from test to test, in a list that is empty while none is open."""
    kept: list[Played] = []
    yield kept
    for _, page in kept:
        await page.close()


@pytest_asyncio.fixture(loop_scope="session")
async def played(
    request: pytest.FixtureRequest, kept_played: list[Played], browser: Chromium, comfy: ComfyProcess
) -> AsyncIterator[Played]:
    """An empty tab whose server is played by the test. The test has to leave no open dialogs.

    The page is reused, because a frontend takes seconds to load, unless the test failed or the next uses none.
    """
    if not kept_played:
        kept_played.append(await open_played(browser, comfy))
    [(server, page)] = kept_played
    await page.clear()
    yield server, page
    fit = False
    try:
        await expect(page.page.get_by_role("dialog")).to_have_count(0)
        assert page.errors == []
        fit = not request.node.stash.get(FAILED, False)
    finally:
        if not fit or request.node.stash[LAST]:
            kept_played.clear()
            await page.close()
