"""What `dev.py demo` and `dev.py run` do: a ComfyUI with this extension, an open tab, and a program that drives it."""

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
from ..harness.comfy import ComfyProcess
from . import build
from .steps import Stop, say

RESULTS = build.STACK / "demo"
# Seconds between two looks at whether ComfyUI still runs.
WATCH_EVERY = 0.5

# A picture of one colour, inverted and saved: runs without any model. In ComfyUI's API format.
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
    """Prints each step with the seconds it took."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    def tell(self, step: str) -> None:
        now = time.monotonic()
        say(f"  {now - self.last:7.3f} s  {step}")
        self.last = now


async def demo(frontend: str) -> None:
    """Drive the open tab as any program would, over plain HTTP, and write picture and screenshot to RESULTS.

    Raises:
        Stop: a step failed; the sentence says which and why.
    """
    narrator = Narrator()
    say(f"ComfyUI {build.COMFYUI_VERSION} with frontend {frontend}:")
    with (
        tempfile.TemporaryDirectory(dir=build.STACK, prefix="demo-") as folder,
        ComfyProcess(Path(folder) / "base", frontend=frontend) as comfy,
    ):
        narrator.tell(f"ComfyUI answers at {comfy.url}")
        async with _open_tab(comfy, Path(folder)) as tab:
            narrator.tell(f"the tab is open and connected as webui {tab.webui}")
            picture = await asyncio.to_thread(_program, comfy, narrator)
            _write("demo.png", picture)
            await tab.page.wait_for_timeout(500)
            await tab.screenshot(_result("tab.png"))
            narrator.tell("took a screenshot of the tab")
            if tab.errors:
                raise Stop(f"The extension wrote errors to the browser's console: {tab.errors}")
    say(f"Picture: {RESULTS / 'demo.png'}\nTab:     {RESULTS / 'tab.png'}")
    say(f"Done in {time.monotonic() - narrator.started:.1f} s.")


def _program(comfy: ComfyProcess, narrator: Narrator) -> bytes:
    """The part that any program can do; returns the picture."""
    _call(comfy, "load_workflow", {"workflow": WORKFLOW})
    narrator.tell("load_workflow: EmptyImage, ImageInvert, SaveImage are in the open tab")
    before = _call(comfy, "get_fields", {"fields": ["Canvas.width", "Canvas.color", "Result.filename_prefix"]})
    narrator.tell(f"get_fields: {json.dumps(before['response'])}")
    # 0xRRGGBB; inverted it comes out as ComfyUI's blue.
    fields = [["Canvas.width", 640], ["Canvas.color", 0xE87C0E], ["Result.filename_prefix", "demo"]]
    set_answer = _call(comfy, "set_fields", {"fields": fields})
    now = {path: entry["value"] for path, entry in set_answer["response"].items()}
    narrator.tell(f"set_fields: {json.dumps(now)}")
    answer = _call(comfy, "run", {"outputs": "base64"})
    [output] = answer["response"]["outputs"]
    narrator.tell(f"run: {output['title']} saved {output['filename']}")
    return base64.b64decode(output["base64"])


def _call(comfy: ComfyProcess, command: str, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = comfy.post(f"/uiapi/{command}", request)
    if answer.get("status") != "ok":
        raise Stop(f"{command} answered {answer.get('code')}: {answer.get('error')}")
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
    """Start ComfyUI, open a tab if asked for, and return only when it has ended.

    Its base directory is kept from one call to the next, so that what was saved is there again.
    """
    with ComfyProcess(build.STACK / "run", frontend=frontend, port=port) as comfy:
        say(f"ComfyUI {build.COMFYUI_VERSION} with frontend {frontend}: {comfy.url}\nIts log: {comfy.log}")
        say("Ctrl-C ends it.")
        if browser and _has_screen():
            webbrowser.open(comfy.url)
        elif browser:
            with tempfile.TemporaryDirectory(dir=build.STACK, prefix="run-") as folder:
                async with _open_tab(comfy, Path(folder)) as tab:
                    say(f"There is no screen, so a headless Chromium has it open as webui {tab.webui}.")
                    await _until_it_ends(comfy)
        await _until_it_ends(comfy)


def _has_screen() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def _until_it_ends(comfy: ComfyProcess) -> None:
    while comfy.is_alive():  # noqa: ASYNC110 - another process' end sets no event
        await asyncio.sleep(WATCH_EVERY)
    raise Stop(f"ComfyUI ended by itself; the end of its log:\n{comfy.log_text()[-2000:]}")
