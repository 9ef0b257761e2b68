"""How a page starts to serve programs, and what is reported if it can't."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.tools import build

from ....harness.browser.graphs import Json
from ..conftest import Send

# A file of the extension that fails because the page is not as expected.
BROKEN = "export function createRevisions() { throw new Error('there is no graph in this page') }"
DEADLINE = 120.0
# Keeps the texts of all alerts that are seen, since they go away by themselves.
WATCH_ALERTS = """
    window.alerts = []
    new MutationObserver(() => {
        for (const alert of document.querySelectorAll('[role=alert]'))
            if (alert.checkVisibility()) window.alerts.push(alert.textContent)
    }).observe(document, {subtree: true, childList: true, characterData: true})
"""


async def no_webui(tab: Tab, words: str) -> Json:
    """Wait for an error with these words, and return it."""

    async def answer() -> Json | None:
        got: Json = await asyncio.to_thread(tab.comfy.post, "/uiapi/get_fields", {"fields": []})
        return got if words in got.get("error", "") else None

    got = await until(answer, f"an error with {words!r}", DEADLINE)
    assert got["code"] == "no_webui"
    return got


async def test_a_page_that_cannot_serve_programs_reports_why_to_the_person_and_to_programs(
    tab: Tab, attempt: Send
) -> None:
    await tab.page.route("**/revisions.js", lambda route: route.fulfill(content_type="text/javascript", body=BROKEN))
    await tab.page.add_init_script(WATCH_ALERTS)
    await tab.load(clear=False, connected=False)
    got = await no_webui(tab, "failed to start")
    version = await tab.page.evaluate("__COMFYUI_FRONTEND_VERSION__")
    assert got["error"].startswith(f"A tab with frontend {version} is open") and "no graph in this page" in got["error"]
    assert [page["frontend_version"] for page in got["details"]["unserved"]] == [version]
    await tab.page.wait_for_function("window.alerts.some(text => text.includes('failed to start'))")
    tab.errors.clear()
    await tab.page.goto("about:blank")
    await no_webui(tab, "No browser tab")


@pytest.mark.skipif(build.missing((build.TOO_OLD,)) is not None, reason="only dev.py compat builds it")
@pytest.mark.parametrize("frontend", [build.TOO_OLD], indirect=True, scope="session")
async def test_a_frontend_that_is_too_old_is_named(
    comfy: ComfyProcess, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    tab = await open_tab(comfy, clear=False, connected=False)
    got = await no_webui(tab, f"frontend {build.TOO_OLD} is open")
    assert build.FRONTENDS[0] in got["error"] and "update" in got["error"]
    assert tab.errors == []
