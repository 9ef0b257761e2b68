"""Takes the picture of Dask's dashboard while a farm of stand-in ComfyUIs works on a sweep."""

from __future__ import annotations

import asyncio
import io
import tempfile
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Playwright

from ...harness.fakes.standin_comfyui import StandIn, prompt_of
from ...harness.programs import installed_client  # noqa: F401 - makes `uiapi` importable
from ...harness.programs.farms import started
from .. import build, chromium
from ..steps import say

# After `installed_client`: the workers know it by the name under which it is installed.
from uiapi.farm.sweep import run  # isort: skip

# Seconds that the ComfyUIs take for a prompt; one is much slower than the others.
SPEEDS = (0.4, 0.5, 0.6, 0.7, 2.5)
# Results after which the picture is taken.
RESULTS = 60


async def take(playwright: Playwright, target: Path) -> None:
    """Write the picture to a file."""
    async with AsyncExitStack() as stack:
        farm = [await stack.enter_async_context(StandIn(seconds)) for seconds in SPEEDS]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=build.STACK, prefix="dashboard-")))
        words = [word for one in farm for word in ("--comfyui", one.url)]
        made = await stack.enter_async_context(started(folder, "--port", "0", "--dashboard-port", "0", *words))
        browser = await playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        try:
            page = await browser.new_page(viewport={"width": 1200, "height": 640})
            await page.goto(made["dashboard"])
            stop, middle = threading.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            sweeping = asyncio.ensure_future(asyncio.to_thread(_sweep, made["address"], stop, loop, middle))
            await middle.wait()
            # The dashboard is updated a few times a second.
            await page.wait_for_timeout(1000)
            content = await page.screenshot()
            stop.set()
            await sweeping
        finally:
            await browser.close()
    await asyncio.to_thread(_save, content, target)


def _save(content: bytes, target: Path) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        picture.convert("RGB").quantize(128).save(target, optimize=True)
    say(f"  {target}: {target.stat().st_size / 1000:.0f} kB")


def _sweep(address: str, stop: threading.Event, loop: asyncio.AbstractEventLoop, middle: asyncio.Event) -> None:
    def export(variations: list[Any]) -> list[dict[str, Any]]:
        return [{"prompt": prompt_of(writes[0][1]), "fields": []} for writes in variations]

    variations = [[["Canvas.value", number]] for number in range(10 * RESULTS)]
    for count, _ in enumerate(run(export, variations, address, read=lambda path: b"{}", stop=stop)):
        if count == RESULTS:
            loop.call_soon_threadsafe(middle.set)
