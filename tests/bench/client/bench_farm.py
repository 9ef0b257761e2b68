"""Time of a sweep on a farm of stand-in ComfyUIs: how it grows with their number, and what a slow one costs."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from playwright.async_api import Playwright

from ....client.farm.sweep import run
from ...harness.fakes.standin_comfyui import StandIn, prompt_of
from ..runner import Row, ratio

# Seconds of a prompt, and prompts for each ComfyUI.
SECONDS, EACH = 0.2, 10
# How many times slower the slow ComfyUI is.
SLOWER = 10


async def measure(playwright: Playwright) -> list[Row]:
    """Rows; a browser is not needed."""
    rate = {count: EACH * count / await _seconds([SECONDS] * count, EACH * count) for count in (1, 8, 16)}
    rows = [
        ratio(f"prompts per second of {count} ComfyUIs, to one", rate[count], rate[1], limit, unit="/s", at_least=True)
        for count, limit in ((8, 7.2), (16, 12.8))
    ]
    alone = await _seconds([SECONDS] * 4, EACH * 4)
    together = await _seconds([SECONDS * SLOWER, *[SECONDS] * 4], EACH * 4)
    compared = f"{together:.2f} s, the others alone {alone:.2f} s"
    name = f"delay by a ComfyUI that is {SLOWER} times slower, at most one of its prompts"
    return [*rows, Row(name, together - alone, "s", SECONDS * SLOWER, compared=compared)]


async def _seconds(each: list[float], prompts: int) -> float:
    """Return the time from the first prompt to the last result, of ComfyUIs that take so long for each."""
    async with AsyncExitStack() as stack:
        farm = [await stack.enter_async_context(StandIn(seconds)) for seconds in each]
        begun = [asyncio.create_task(_time_of(one.begun)) for one in farm]
        ended = await asyncio.to_thread(_swept, [one.url for one in farm], prompts)
        return ended - min(await asyncio.gather(*begun))


async def _time_of(event: asyncio.Event) -> float:
    await event.wait()
    return time.perf_counter()


def _swept(urls: list[str], prompts: int) -> float:
    def export(variations: list[list[list[object]]]) -> list[dict[str, object]]:
        return [{"prompt": prompt_of(writes[0][1]), "fields": []} for writes in variations]

    def read(path: str) -> bytes:
        return b"{}"

    for item in run(export, [[["Canvas.value", number]] for number in range(prompts)], urls, read=read):
        if item.error is not None:
            raise item.error
    return time.perf_counter()
