"""Loads, reads, writes and undoes every template workflow whose nodes ComfyUI has, on both frontends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Playwright

from ..harness.browser.sweep import sweep, templates, workflow_of
from ..harness.browser.tab import Chromium, Tab
from ..harness.comfy.process import ComfyProcess
from ..tools import build
from ..tools.steps import say
from .runner import Row


async def measure(playwright: Playwright) -> list[Row]:
    """Rows with the number of templates, and of those that differ after the undo."""
    rows = []
    for version in build.FRONTENDS:
        with tempfile.TemporaryDirectory() as folder:
            comfy = ComfyProcess(Path(folder) / "comfy", frontend=version)
            browser = Chromium(Path(folder) / "chromium")
            try:
                await asyncio.to_thread(comfy.start)
                await browser.start(playwright)
                rows += await _frontend(version, await browser.open(comfy))
            finally:
                browser.kill()
                comfy.kill()
    return rows


async def _frontend(version: str, tab: Tab) -> list[Row]:
    known = set(await asyncio.to_thread(tab.comfy.get, "/object_info"))
    paths = templates(known)
    broken = 0
    for path in paths:
        found = await sweep(_sender(tab), tab, workflow_of(path))
        broken += bool(found)
        for line in found[:3]:
            say(f"    {version} {path.name}: {line}")
        await tab.clear()
    return [
        Row(f"templates swept, {version}", len(paths), "workflows"),
        Row(f"templates with a difference, {version}", broken, "workflows", 0),
    ]


def _sender(tab: Tab) -> Callable[..., Awaitable[Any]]:
    async def send(command: str, **data: Any) -> Any:
        envelope = await asyncio.to_thread(tab.comfy.post, f"/uiapi/{command}", {"timeout": 120, **data}, 150.0)
        if envelope["status"] != "ok":
            raise RuntimeError(f"{command}: {envelope['error']}")
        return envelope.get("response", envelope)

    return send
