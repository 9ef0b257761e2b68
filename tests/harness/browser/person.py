"""Actions of a person at the browser, and the requests that reach a page."""

from __future__ import annotations

import json

from playwright.async_api import Locator, Page, expect

# Milliseconds to wait for a dialog.
DIALOG_DEADLINE = 120_000
FOCUS_IN_DIALOG = """() => [...document.querySelectorAll('[role=dialog]')]
    .some(dialog => dialog.contains(document.activeElement))"""


async def answer_dialog(page: Page, title: str, *texts: str, button: str = "Confirm") -> None:
    """Wait for the dialog with that title, fill in its text boxes in order, and press one of its buttons."""
    dialog = page.get_by_role("dialog", name=title)
    await dialog.wait_for(timeout=DIALOG_DEADLINE)
    for at, text in enumerate(texts):
        await fill(dialog.get_by_role("textbox").nth(at), text)
    shown = await dialog.element_handle()
    await dialog.get_by_role("button", name=button).click()
    # Another one of that title may follow, and this one is still seen while it fades out.
    await shown.wait_for_element_state("hidden", timeout=DIALOG_DEADLINE)


async def settled(page: Page) -> None:
    """Wait until the open dialog has the focus and no longer moves it by itself, so that it takes keys."""
    await page.wait_for_function(FOCUS_IN_DIALOG, timeout=DIALOG_DEADLINE)
    await expect(page.locator(".p-dialog-enter-active")).to_have_count(0, timeout=DIALOG_DEADLINE)
    await page.wait_for_function(FOCUS_IN_DIALOG, timeout=DIALOG_DEADLINE)


async def fill(field: Locator, text: str) -> None:
    """Fill in a text box of the open dialog, once the focus stays where the person puts it."""
    await settled(field.page)
    await field.fill(text)


async def escape(page: Page) -> None:
    """Press Escape once the open dialog takes it."""
    await settled(page)
    await page.keyboard.press("Escape")


async def dialogs(page: Page) -> int:
    """How many dialogs are open."""
    return await page.get_by_role("dialog").count()


class FrameWatch:
    """The requests that reach a page over the websocket, as the browser received them.

    Attributes:
        requests: the command of each, without those that follow a download of an earlier test.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def on(self, page: Page) -> FrameWatch:
        """Watch this page, whether it is connected already or not."""
        session = await page.context.new_cdp_session(page)
        session.on("Network.webSocketFrameReceived", self._received)
        await session.send("Network.enable")
        return self

    def _received(self, event: dict[str, dict[str, str]]) -> None:
        try:
            frame = json.loads(event["response"]["payloadData"])
        except ValueError:
            # ComfyUI's own socket sends previews in binary.
            return
        # Requests of one turn of the event loop arrive as a list.
        for one in frame if isinstance(frame, list) else [frame]:
            if one.get("type") == "request" and one["command"] != "refresh_models":
                self.requests.append(one["command"])
