"""Import time of this package at ComfyUI's start, compared with a fresh import of aiohttp."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from statistics import median

from playwright.async_api import Playwright

from ..harness.comfy.import_time import SHARE, measured
from .runner import Row, ratio

ROUNDS = 3


async def measure(_: Playwright) -> list[Row]:
    """Two rows of processor time."""

    def all_of_them() -> tuple[float, float, float]:
        first: list[float] = []
        own: list[float] = []
        measures: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(ROUNDS):
                first.append(measured(Path(folder) / f"{number} first", compiled=False)[0])
                for found, times in zip(measured(Path(folder) / str(number)), (own, measures), strict=True):
                    times.append(found)
        return median(first), median(own), median(measures)

    first, own, measure = await asyncio.to_thread(all_of_them)
    return [
        ratio("import inside ComfyUI / a fresh import of aiohttp", own, measure, SHARE, unit="s"),
        ratio("the same at the first start, when it is compiled", first, measure, None, unit="s"),
    ]
