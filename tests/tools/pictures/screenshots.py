"""`dev.py screenshots`: takes the pictures of the documentation on a real ComfyUI."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import async_playwright

from ...harness.browser.tab import Chromium, Tab
from ...harness.comfy.process import ComfyProcess
from ...harness.models.model_host import Host
from .. import build
from ..demo import WORKFLOW
from ..steps import say
from . import dashboard, moving_picture, programs, web_page
from .programs import few_colors, keep

# After `moving_picture`, which makes it importable.
from uiapi import Client, contact_sheet  # isort: skip

PLACE = build.ROOT / ".assets"
OPEN_PANEL = "() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.uiapi')"
NO_WARNING = "() => app.extensionManager.setting.set('Comfy.Workflow.ShowMissingModelsWarning', false)"
# Moves the graph next to the panel, which covers the left of the canvas.
NEXT_TO_PANEL = """() => {
    app.canvas.ds.scale = 0.85
    app.canvas.ds.offset = [365, 180]
    app.canvas.setDirty(true, true)
}"""
LOADERS = [
    ("UpscaleModelLoader", "model_name", "4x-upscaler.safetensors"),
    ("VAELoader", "vae_name", "vae-ft.safetensors"),
]
MISSING = {
    str(at): {"class_type": kind, "inputs": {name: file}, "_meta": {"title": title}}
    for at, (title, (kind, name, file)) in enumerate(zip(("Upscaler", "VAE"), LOADERS, strict=True), 1)
}
# The path of the first model on a host that replaces Hugging Face, and its size in bytes.
REPOSITORY = "/example/upscalers/resolve/main/4x-upscaler.safetensors"
MODEL_SIZE = 67_000_000

# The fields of the moving picture's workflow that the contact sheet shows.
SWEPT = {"Poster.colors": [256, 12, 5], "Mix.blend_factor": [0.0, 0.3, 0.6, 0.9]}

Ask = Callable[[str, str, dict[str, Any]], Awaitable[Any]]


def main() -> None:
    """Write the pictures to `.assets/`."""
    asyncio.run(_take())


async def _take() -> None:
    hub = await Host().start()
    hub.offer(REPOSITORY, bytes(MODEL_SIZE))
    try:
        with tempfile.TemporaryDirectory(dir=build.STACK, prefix="pictures-") as folder:
            base, env = Path(folder) / "base", dict.fromkeys(("HF_ENDPOINT", "CIVITAI_ENDPOINT"), hub.url(""))
            with ComfyProcess(base, frontend=build.FRONTENDS[-1], env=env) as comfy:
                async with async_playwright() as playwright:
                    chromium = await Chromium(Path(folder) / "chromium").start(playwright)
                    try:
                        tab = await chromium.open(comfy)
                        await _pose(tab)
                        await tab.close()
                        tab = await chromium.open(comfy)
                        await programs.take(tab, PLACE)
                        await tab.close()
                        tab = await chromium.open(comfy)
                        await web_page.take(tab, await chromium.new_page(), PLACE / "web-page.png")
                        await tab.close()
                        (base / "input" / "evening.png").write_bytes(moving_picture.evening())
                        tab = await chromium.open(comfy)
                        await moving_picture.take(tab, PLACE / "turning.webp")
                        say(f"  {PLACE / 'turning.webp'}: {(PLACE / 'turning.webp').stat().st_size / 1000:.0f} kB")
                        await _sheet(tab)
                        await dashboard.take(playwright, PLACE / "farm.png")
                    finally:
                        chromium.kill()
    finally:
        await hub.close()


async def _pose(tab: Tab) -> None:
    page = tab.page

    async def ask(name: str, command: str, data: dict[str, Any]) -> Any:
        return await asyncio.to_thread(tab.comfy.post, f"/uiapi/{command}", data, 120, name)

    await page.evaluate(NO_WARNING)
    await page.evaluate(OPEN_PANEL)
    await ask("Blender", "load_workflow", {"workflow": WORKFLOW})
    await _settle(tab)
    await ask("Blender", "set_fields", {"fields": [["Canvas.width", 640], ["Canvas.color", 0xE87C0E]]})
    await ask("render.py", "query_fields", {})
    await ask("render.py", "run", {"fields": [["Result.filename_prefix", "evening"]]})
    await ask("Blender", "set_fields", {"fields": [["Canvas.height", 400]]})
    await _keep(tab, "panel")
    offered = json.loads(json.dumps(WORKFLOW))
    offered["1"]["inputs"].update(width=1024, height=768)
    offered["4"] = {"class_type": "PreviewImage", "_meta": {"title": "Preview"}, "inputs": {"images": ["2", 0]}}
    message = {"title": "A larger canvas", "message": "1024 by 768, with a preview next to the saved picture."}
    await _dialog(tab, ask, "render.py", "send_workflow", {"workflow": offered, **message}, "offer")
    await ask("render.py", "load_workflow", {"workflow": MISSING})
    await _settle(tab)
    await page.locator(".uiapi-notice").get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("textbox").first.fill(f"https://huggingface.co{REPOSITORY}")
    await _keep(tab, "models")


async def _dialog(tab: Tab, ask: Ask, name: str, command: str, data: dict[str, Any], picture: str) -> None:
    """Send a command that opens a dialog, take the picture, and close the dialog."""
    asked = asyncio.ensure_future(ask(name, command, data))
    await tab.page.get_by_role("dialog").wait_for()
    await _keep(tab, picture)
    await tab.page.keyboard.press("Escape")
    await asked


async def _sheet(tab: Tab) -> None:
    """Sweep two fields of the workflow of the moving picture, and write the contact sheet."""
    path = PLACE / "sweep.png"

    def swept() -> None:
        with Client(tab.comfy.url, name="render.py") as client:
            items = [*client.sweep(SWEPT)]
        contact_sheet(items, path, thumb=200)

    await asyncio.to_thread(swept)
    few_colors(Image.open(path), path)


async def _settle(tab: Tab) -> None:
    """Move the graph next to the panel, after the page has brought the whole graph into view."""
    await tab.page.wait_for_timeout(2000)
    await tab.page.evaluate(NEXT_TO_PANEL)


async def _keep(tab: Tab, name: str) -> None:
    await keep(tab, PLACE, name)
