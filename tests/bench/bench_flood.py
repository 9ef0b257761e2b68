"""Latency of connection_status while another program sends requests as fast as it can, and without that flood."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import AsyncExitStack

import aiohttp
from playwright.async_api import Playwright

from ..harness.programs.program import MAX_FRAME
from ..tools import build
from .bench_roundtrip import FIELDS, GRAPH
from .runner import Row, percentile
from .support.opened import opened_tab

# Concurrent requests of the flooding program, and the seconds of the flood.
UNDER_WAY, SECONDS = 2000, 8.0
# Seconds between two measured requests.
INTERVAL = 0.005


async def measure(playwright: Playwright) -> list[Row]:
    """Rows for the newest frontend."""
    async with AsyncExitStack() as stack:
        tab = await stack.enter_async_context(opened_tab(playwright, build.FRONTENDS[-1]))
        await tab.load_workflow(GRAPH)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        idle = await latencies(session, tab.comfy.url)
        flooding = asyncio.create_task(flood(session, tab.comfy.url))
        busy = await latencies(session, tab.comfy.url)
        asked = await flooding
    compared = f"idle: p99 {percentile(idle, 99):.2f} ms, max {max(idle):.2f} ms"
    return [
        Row("connection_status during a flood, p50", percentile(busy, 50), "ms", compared=f"{asked / SECONDS:.0f} /s"),
        Row("connection_status during a flood, p99", percentile(busy, 99), "ms", compared=compared),
        Row("connection_status during a flood, max", max(busy), "ms"),
    ]


async def latencies(session: aiohttp.ClientSession, url: str) -> list[float]:
    """Return the milliseconds of consecutive requests, for half the time of a flood."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS / 2
    while time.perf_counter() < end:
        began = time.perf_counter()
        async with session.get(f"{url}/uiapi/connection_status") as answer:
            await answer.read()
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(INTERVAL)
    return took


async def flood(session: aiohttp.ClientSession, url: str) -> int:
    """Keep the requests in progress for the flood and return how many were answered."""
    socket = await session.ws_connect(f"{url}/uiapi/ws", max_msg_size=MAX_FRAME)
    await socket.send_json({"type": "hello", "role": "client", "protocol": 1})
    await socket.receive_json()
    answered = 0
    with contextlib.suppress(asyncio.TimeoutError):
        async with asyncio.timeout(SECONDS):
            for number in range(UNDER_WAY):
                await socket.send_str(_frame(number))
            while True:
                await socket.receive_str()
                answered += 1
                await socket.send_str(_frame(UNDER_WAY + answered))
    await socket.close()
    return answered


def _frame(number: int) -> str:
    return json.dumps({"type": "request", "id": number, "command": "get_fields", "data": FIELDS})
