"""What a person at the browser does to a page, and what the server asks of it, seen on the wire."""

from __future__ import annotations

import json

from playwright.async_api import Page

# Milliseconds after which a dialog is not going to come any more.
DIALOG_DEADLINE = 30_000


async def answer_dialog(page: Page, title: str, *texts: str, button: str = "Confirm") -> None:
    """Wait for the dialog with that title, fill in its boxes from the first on, and press one of its buttons."""
    dialog = page.get_by_role("dialog", name=title)
    await dialog.wait_for(timeout=DIALOG_DEADLINE)
    for at, text in enumerate(texts):
        await dialog.get_by_role("textbox").nth(at).fill(text)
    await dialog.get_by_role("button", name=button).click()


async def dialogs(page: Page) -> int:
    """How many dialogs are open."""
    return await page.get_by_role("dialog").count()


class FrameWatch:
    """The requests that reach a page over the websocket, as the browser itself saw them come in.

    Attributes:
        requests: the command of each.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []

    async def on(self, page: Page) -> FrameWatch:
        """Begin to watch this page, connected already or not."""
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
        # What a tab is asked in one turn of the loop comes gathered in a list.
        for one in frame if isinstance(frame, list) else [frame]:
            if one.get("type") == "request":
                self.requests.append(one["command"])
