"""Starts a ComfyUI and a Chromium with a connected tab, for measurements."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Playwright

from ...harness.browser.tab import Chromium, Tab
from ...harness.comfy.process import ComfyProcess


@asynccontextmanager
async def opened_tab(playwright: Playwright, frontend: str) -> AsyncIterator[Tab]:
    """Yield a tab, whose `comfy` is the ComfyUI; both are closed afterwards."""
    with tempfile.TemporaryDirectory() as folder, ComfyProcess(Path(folder) / "comfy", frontend=frontend) as comfy:
        chromium = await Chromium(Path(folder) / "chromium").start(playwright)
        try:
            yield await chromium.open(comfy)
        finally:
            chromium.kill()
