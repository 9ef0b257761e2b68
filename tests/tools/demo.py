"""`dev.py demo` and `dev.py run`: start ComfyUI with this extension and a tab, and for the demo drive it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from ..harness.browser.tab import Chromium, Tab
from ..harness.comfy.process import ComfyProcess
from . import build
from .steps import Stop, say

RESULTS = build.STACK / "demo"
# Seconds between two checks whether ComfyUI is running.
WATCH_EVERY = 0.5

# A picture of one colour, inverted and saved, in API format; needs no model.
WORKFLOW: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "_meta": {"title": "Canvas"},
        "inputs": {"width": 512, "height": 320, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "ImageInvert", "_meta": {"title": "Invert"}, "inputs": {"image": ["1", 0]}},
    "3": {
        "class_type": "SaveImage",
        "_meta": {"title": "Result"},
        "inputs": {"images": ["2", 0], "filename_prefix": "uiapi"},
    },
}


class Narrator:
    """Prints each step with its duration in seconds."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    def report(self, step: str) -> None:
        now = time.monotonic()
        say(f"  {now - self.last:7.3f} s  {step}")
        self.last = now


async def demo(frontend: str) -> None:
    """Drive the open tab over HTTP, and write the picture and a screenshot to RESULTS.

    Raises:
        Stop: a step failed.
    """
    narrator = Narrator()
    say(f"ComfyUI {build.COMFYUI_VERSION} with frontend {frontend}:")
    with (
        tempfile.TemporaryDirectory(dir=build.STACK, prefix="demo-") as folder,
        ComfyProcess(Path(folder) / "base", frontend=frontend) as comfy,
    ):
        narrator.report(f"ComfyUI runs at {comfy.url}")
        async with _open_tab(comfy, Path(folder)) as tab:
            narrator.report(f"the tab is open and connected as webui {tab.webui}")
            picture = await asyncio.to_thread(_program, comfy, narrator)
            _write("demo.png", picture)
            await tab.page.wait_for_timeout(500)
            await tab.screenshot(_result("tab.png"))
            narrator.report("took a screenshot of the tab")
            if tab.errors:
                raise Stop(f"The extension wrote errors to the browser's console: {tab.errors}")
    say(f"Picture: {RESULTS / 'demo.png'}\nTab:     {RESULTS / 'tab.png'}")
    say(f"Done in {time.monotonic() - narrator.started:.1f} s.")


def _program(comfy: ComfyProcess, narrator: Narrator) -> bytes:
    """Load, edit and run a workflow as any program can; returns the picture."""
    _call(comfy, "load_workflow", {"workflow": WORKFLOW})
    narrator.report("load_workflow: EmptyImage, ImageInvert, SaveImage are in the open tab")
    before = _call(comfy, "get_fields", {"fields": ["Canvas.width", "Canvas.color", "Result.filename_prefix"]})
    narrator.report(f"get_fields: {json.dumps(before['response'])}")
    # 0xRRGGBB; inverted it is ComfyUI's blue.
    fields = [["Canvas.width", 640], ["Canvas.color", 0xE87C0E], ["Result.filename_prefix", "demo"]]
    set_answer = _call(comfy, "set_fields", {"fields": fields})
    now = {path: entry["value"] for path, entry in set_answer["response"].items()}
    narrator.report(f"set_fields: {json.dumps(now)}")
    answer = _call(comfy, "run", {"outputs": "base64"})
    [output] = answer["response"]["outputs"]
    narrator.report(f"run: {output['title']} saved {output['filename']}")
    return base64.b64decode(output["base64"])


def _call(comfy: ComfyProcess, command: str, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = comfy.post(f"/uiapi/{command}", request)
    if answer.get("status") != "ok":
        raise Stop(f"{command} failed with {answer.get('code')}: {answer.get('error')}")
    return answer


def _result(name: str) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS / name


def _write(name: str, content: bytes) -> None:
    _result(name).write_bytes(content)


@asynccontextmanager
async def _open_tab(comfy: ComfyProcess, folder: Path) -> AsyncIterator[Tab]:
    async with async_playwright() as playwright:
        chromium = await Chromium(folder / "chromium").start(playwright)
        try:
            yield await chromium.open(comfy)
        finally:
            chromium.kill()


async def serve(port: int, frontend: str, browser: bool) -> None:
    """Start ComfyUI, optionally open a tab, and run until ComfyUI ends.

    The base directory of ComfyUI is kept for the next call.
    """
    with ComfyProcess(build.STACK / "run", frontend=frontend, port=port) as comfy:
        say(f"ComfyUI {build.COMFYUI_VERSION} with frontend {frontend}: {comfy.url}\nIts log: {comfy.log}")
        say("Press Ctrl-C to stop it.")
        if browser and _has_screen():
            webbrowser.open(comfy.url)
        elif browser:
            with tempfile.TemporaryDirectory(dir=build.STACK, prefix="run-") as folder:
                async with _open_tab(comfy, Path(folder)) as tab:
                    say(f"No display was found; a headless Chromium has it open as webui {tab.webui}.")
                    await _until_it_ends(comfy)
        await _until_it_ends(comfy)


def _has_screen() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def _until_it_ends(comfy: ComfyProcess) -> None:
    while comfy.is_alive():  # noqa: ASYNC110 - the end of a process sets no event
        await asyncio.sleep(WATCH_EVERY)
    raise Stop(f"ComfyUI ended unexpectedly; the end of its log:\n{comfy.log_text()[-2000:]}")
