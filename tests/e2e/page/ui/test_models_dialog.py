"""The dialog about missing models never closes without a word, and helps where a host is refused."""

from __future__ import annotations

import asyncio

from comfyui_uiapi.tests.harness.browser.person import fill
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import expect

from ....harness.browser.graphs import node, ui
from ..conftest import Played, Send


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
    await fill(dialog.get_by_role("textbox").first, "https://example.com/a")
    await dialog.get_by_role("button", name="Confirm").click()
    urls = (await server.answer(ident))["response"]["urls"]
    assert urls == {"folder/flux dev.safetensors": "https://example.com/a"}


async def test_a_download_that_asks_by_itself_is_marked_and_gets_the_folder_that_the_person_chooses(
    tab: Tab, attempt: Send
) -> None:
    page, name = tab.page, "my_lora.safetensors"
    nobody_knows = {"1": {"class_type": "NoSuchLoader", "inputs": {"file": name}}}
    begun = await attempt("download_models", workflow=nobody_knows)
    dialog, badge = page.get_by_role("dialog"), page.locator(".uiapi-badge").first
    # What is behind the dialog is hidden from screen readers.
    icon = page.get_by_role("button", name="waiting for your answer", include_hidden=True)
    await expect(badge).to_contain_text("tests: waiting for your answer")
    await expect(icon.filter(has_text="?")).to_be_visible()
    choice = dialog.get_by_role("combobox", name=f"Folder of {name}")
    await expect(choice.locator("optgroup")).to_have_count(2)
    await expect(choice.locator("optgroup[label=Likely] option")).to_have_text(["loras"])
    await fill(dialog.get_by_role("textbox"), "https://models.example.invalid/my_lora.safetensors")
    confirm = dialog.get_by_role("button", name="Confirm")
    await confirm.press("Enter")
    await expect(choice).to_be_focused()
    await expect(choice).to_have_attribute("aria-invalid", "true")
    await expect(dialog.get_by_role("row").filter(has_text="Choose the folder")).to_be_visible()
    await choice.press("ArrowDown")
    await expect(choice).to_have_value("loras")
    await expect(choice).to_have_attribute("aria-invalid", "false")
    await confirm.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(badge).to_be_hidden()
    await expect(icon).to_have_count(0)

    async def failed() -> str | None:
        path = f"/uiapi/download_status/{begun['download_id']}"
        model = (await asyncio.to_thread(tab.comfy.get, path))["progress"][name]
        return str(model["code"]) if model["status"] == "error" else None

    # The server has got as far as the host, for which it needs the folder first.
    assert await until(failed, "the end of the download", PATIENCE) == "host_refused"


async def test_a_refused_host_is_allowed_where_it_was_refused(tab: Tab, attempt: Send) -> None:
    url = "https://models.allowed-here.example/a.safetensors"
    page = tab.page
    known = {"models": [{"name": "a.safetensors", "directory": "upscale_models"}]}
    await tab.load_workflow(ui([node(1, "UpscaleModelLoader", "Upscaler", ["a.safetensors"], properties=known)]))
    asked = asyncio.ensure_future(attempt("get_model_url", model_names=["a.safetensors"]))
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_role("textbox").first
    await fill(field, url)
    allow = dialog.get_by_role("button", name="Allow models.allowed-here.example")
    await expect(allow).to_be_visible()
    refused = await dialog.locator(".uiapi-bad").first.inner_text()
    assert "models.allowed-here.example" in refused
    await allow.press("Enter")
    await expect(allow).to_be_hidden()
    await expect(field).to_be_focused()
    await dialog.get_by_role("button", name="Confirm").click()
    # The server takes a URL of a host that it refuses from nobody.
    answer = await asked
    assert answer["status"] == "ok", answer
    assert answer["urls"] == {"a.safetensors": url}
    assert (await attempt("remove_model_url", model_name="a.safetensors"))["status"] == "ok"
