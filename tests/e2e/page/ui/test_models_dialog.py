"""The dialog about missing models never closes without a word, and helps where a host is refused."""

from __future__ import annotations

from playwright.async_api import expect

from ..conftest import Played


async def test_confirming_nothing_says_so_and_stays_open(played: Played) -> None:
    server, tab = played
    ident = server.request("get_model_url", ckpt_names=["folder/flux dev.safetensors", "b.safetensors"])
    dialog = tab.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Confirm").click()
    await expect(dialog.get_by_role("status").filter(has_text="Nothing is entered yet")).to_be_visible()
    await expect(dialog.get_by_role("textbox").first).to_be_focused()
    assert not server.answered(ident)
    links = dialog.get_by_role("link")
    await expect(links).to_have_text(["Search Hugging Face", "Search CivitAI"] * 2)
    await expect(links.first).to_have_attribute("href", "https://huggingface.co/models?search=flux%20dev")
    await dialog.get_by_role("textbox").first.fill("https://example.com/a")
    await dialog.get_by_role("button", name="Confirm").click()
    urls = (await server.answer(ident))["response"]["urls"]
    assert urls == {"folder/flux dev.safetensors": "https://example.com/a"}
