"""Questions on top of dialogs of the page: both stay usable, and commands are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from comfyui_uiapi.tests.harness.browser.person import escape, settled
from comfyui_uiapi.tests.harness.browser.tab import Tab
from playwright.async_api import Locator, expect

from ....harness.browser.fake_server import FakeServer
from ....harness.browser.graphs import empty_to_save
from ..conftest import Played

# A dialog of another extension around its own element.
EXTENSION = """() => {
    const component = {
        render: () => null,
        mounted() {
            this.$el.parentNode.insertBefore(document.createElement('input'), this.$el)
        },
    }
    app.extensionManager.dialog.showExtensionDialog({key: 'their-manager', title: 'Their manager', component})
}"""
# Only URLs of known hosts are accepted.
ADDRESS = "https://huggingface.co/some/repository/resolve/main/new.safetensors"
TUTORIAL = "done => app.extensionManager.setting.set('Comfy.TutorialCompleted', done)"
TAKES_ESCAPE = """() => app.extensionManager._p._s.get('dialog').dialogStack
    .every(({dialogComponentProps}) => dialogComponentProps.closable !== false)"""


async def templates(tab: Tab) -> None:
    """The dialog that a fresh ComfyUI opens by itself."""
    await tab.page.evaluate("() => void app.extensionManager.command.execute('Comfy.BrowseTemplates')")


async def settings(tab: Tab) -> None:
    await tab.page.evaluate("() => void app.extensionManager.command.execute('Comfy.ShowSettingsDialog')")


async def extension(tab: Tab) -> None:
    await tab.page.evaluate(EXTENSION)


async def error(tab: Tab) -> None:
    await tab.page.evaluate("() => void app.extensionManager.dialog.showErrorDialog(new Error('theirs'))")


DIALOGS = [templates, settings, extension, error]


def ours(tab: Tab) -> Locator:
    """The dialog of this extension."""
    return tab.page.get_by_role("dialog").filter(has=tab.page.locator(".uiapi-dialog"))


async def close(tab: Tab) -> None:
    """Close the page's dialog by its button, since the templates of 1.32 ignore Escape."""
    if await tab.page.evaluate(TAKES_ESCAPE):
        await tab.page.keyboard.press("Escape")
    else:
        await tab.page.get_by_role("dialog").locator("button:has(.pi-times)").first.click()


async def ask_and_answer(server: FakeServer, tab: Tab) -> None:
    """Ask for URLs, which the person types, and to open a workflow, which they decline."""
    ident = server.request("get_model_url", ckpt_names=["a.safetensors", "b.safetensors"])
    box = ours(tab).get_by_role("textbox", name="URL of a.safetensors")
    await expect(box).to_be_focused()
    # A dialog may take the focus once it is open, late on a busy machine; another test covers that.
    await settled(tab.page)
    assert (await server.call("get_fields", fields=[]))["response"] == {}
    await tab.page.keyboard.type("https://example.com/a")
    second = ours(tab).get_by_role("textbox", name="URL of b.safetensors")
    await second.click()
    await tab.page.keyboard.type("https://example.com/b")
    await expect(box).to_have_value("https://example.com/a")
    await expect(second).to_be_focused()
    await ours(tab).get_by_role("button", name="Confirm").click()
    urls = {"a.safetensors": "https://example.com/a", "b.safetensors": "https://example.com/b"}
    assert (await server.answer(ident))["response"] == {"urls": urls}
    ident = server.request("send_workflow", workflow=empty_to_save())
    await expect(ours(tab).get_by_role("button", name="Deny")).to_be_focused()
    await escape(tab.page)
    assert (await server.answer(ident))["response"]["accepted"] is False
    await expect(ours(tab)).to_have_count(0)


@pytest.mark.parametrize("opened", DIALOGS)
async def test_a_question_over_a_dialog_of_the_page_leaves_both_usable(
    played: Played, opened: Callable[[Tab], Awaitable[None]]
) -> None:
    server, tab = played
    await opened(tab)
    theirs = tab.page.get_by_role("dialog")
    await expect(theirs).to_have_count(1)
    box = theirs.locator("input:visible").first
    writes = opened is not error
    if writes:
        await box.click()
        await expect(box).to_be_focused()
    await ask_and_answer(server, tab)
    await expect(theirs).to_have_count(1)
    if writes:
        await box.click()
        await tab.page.keyboard.type("x")
        await expect(box).to_have_value("x")
    await close(tab)
    await expect(theirs).to_have_count(0)
    assert (await server.call("get_fields", fields=[]))["response"] == {}


# The element that the page's dialog focuses once it is open, which is late on a busy machine.
TAKES_FOCUS = "() => document.querySelector('[role=dialog]:not(:has(.uiapi-dialog)) button').focus()"


async def asked_over_an_error(server: FakeServer, tab: Tab) -> tuple[str, Locator]:
    """Ask for a URL on top of the error dialog of the page; return the id of the request and the focused text box."""
    await error(tab)
    await expect(tab.page.get_by_role("dialog")).to_have_count(1)
    ident = server.request("get_model_url", ckpt_name="a.safetensors")
    box = ours(tab).get_by_role("textbox")
    await expect(box).to_be_focused()
    await settled(tab.page)
    return ident, box


async def withdraw(server: FakeServer, tab: Tab, ident: str) -> None:
    """Close the question and the page's dialog."""
    server.cancel(ident)
    await expect(ours(tab)).to_have_count(0)
    await close(tab)


async def test_what_a_person_types_is_kept_when_a_dialog_below_takes_the_focus(played: Played) -> None:
    server, tab = played
    ident, box = await asked_over_an_error(server, tab)
    for piece in ("https:/", "/exam", "ple.com/a"):
        await tab.page.keyboard.type(piece)
        await tab.page.evaluate(TAKES_FOCUS)
    await tab.page.keyboard.press("Home")
    await tab.page.evaluate(TAKES_FOCUS)
    await expect(box).to_have_value("https://example.com/a")
    await withdraw(server, tab, ident)


async def test_a_person_at_a_fresh_comfyui_can_be_asked(tab: Tab, open_tab: Callable[..., Awaitable[Tab]]) -> None:
    await tab.page.evaluate(TUTORIAL, False)
    try:
        fresh = await open_tab(tab.comfy, clear=False)
        theirs = fresh.page.get_by_role("dialog")
        await expect(theirs.locator("input:visible").first).to_be_visible()
        question = {"ckpt_name": "new.safetensors", "webui": fresh.webui}
        asked = asyncio.create_task(asyncio.to_thread(tab.comfy.post, "/uiapi/get_model_url", question, 120))
        box = ours(fresh).get_by_role("textbox")
        await expect(box).to_be_focused()
        await settled(fresh.page)
        await expect(box).to_be_focused()
        await fresh.page.keyboard.type(ADDRESS)
        await ours(fresh).get_by_role("button", name="Confirm").click()
        answer = await asked
        assert answer.get("url") == ADDRESS, answer
        await expect(ours(fresh)).to_have_count(0)
        await close(fresh)
        await expect(theirs).to_have_count(0)
    finally:
        await tab.page.evaluate(TUTORIAL, True)
        await asyncio.to_thread(tab.comfy.post, "/uiapi/remove_model_url", {"model_name": "new.safetensors"})
