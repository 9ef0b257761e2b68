"""Actions of a person at the browser, and the requests that reach a page."""

from __future__ import annotations

import json

from playwright.async_api import Page

# Milliseconds to wait for a dialog.
DIALOG_DEADLINE = 120_000


async def answer_dialog(page: Page, title: str, *texts: str, button: str = "Confirm") -> None:
    """Wait for the dialog with that title, fill in its text boxes in order, and press one of its buttons."""
    dialog = page.get_by_role("dialog", name=title)
    await dialog.wait_for(timeout=DIALOG_DEADLINE)
    for at, text in enumerate(texts):
        await dialog.get_by_role("textbox").nth(at).fill(text)
    await dialog.get_by_role("button", name=button).click()


async def dialogs(page: Page) -> int:
    """How many dialogs are open."""
    return await page.get_by_role("dialog").count()


class FrameWatch:
    """The requests that reach a page over the websocket, as the browser received them.

    Attributes:
        requests: the command of each.
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
            if one.get("type") == "request":
                self.requests.append(one["command"])
