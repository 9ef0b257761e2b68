"""How long ComfyUI waits for this package when it starts, beside a fresh import of aiohttp."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from statistics import median

from playwright.async_api import Playwright

from ..stack.test_import_time import SHARE, fresh_aiohttp, own_import
from .runner import Row, ratio

ROUNDS = 3


async def measure(_: Playwright) -> list[Row]:
    """One row, of processor time."""

    def both() -> tuple[float, float]:
        own, measures = [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(ROUNDS):
                measures.append(fresh_aiohttp())
                own.append(own_import(Path(folder) / str(number)))
        return median(own), median(measures)

    own, measure = await asyncio.to_thread(both)
    return [ratio("import inside ComfyUI / a fresh import of aiohttp", own, measure, SHARE, unit="s")]
