"""Time of a batch of a hundred writes compared with a single write, on a graph of as many nodes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from playwright.async_api import Playwright

from ..harness.comfy.process import ComfyProcess
from ..tools import build
from .runner import Row, percentile, ratio
from .support.opened import opened_tab

WRITES = 100
TIMES = 20
BOUND = 5.0


async def measure(playwright: Playwright) -> list[Row]:
    """A row for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with opened_tab(playwright, frontend) as tab:
            await tab.load_workflow(_graph())
            one, many = await asyncio.to_thread(_both, tab.comfy)
        name = f"batch of {WRITES} writes to one write, p50, {frontend}"
        rows.append(ratio(name, percentile(many, 50), percentile(one, 50), BOUND))
    return rows


def _graph() -> dict[str, Any]:
    nodes = [
        {
            "id": at + 1,
            "type": "EmptyImage",
            "pos": [at % 10 * 300, at // 10 * 200],
            "size": [250, 130],
            "widgets_values": [64, 64, 1, 0],
        }
        for at in range(WRITES)
    ]
    return {"nodes": nodes, "links": [], "version": 0.4}


def _both(comfy: ComfyProcess) -> tuple[list[float], list[float]]:
    """Milliseconds of single writes and of batches, in turn."""
    one, many = [], []
    for number in range(TIMES):
        one.append(_took(comfy, "set_fields", {"fields": [["#1.width", 200 + number]]}))
        writes = [[[f"#{at + 1}.width", 300 + number]] for at in range(WRITES)]
        parts = [{"command": "set_fields", "data": {"fields": fields}} for fields in writes]
        many.append(_took(comfy, "batch", {"commands": parts}))
    return one, many


def _took(comfy: ComfyProcess, command: str, body: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = comfy.post(f"/uiapi/{command}", body)
    if answer["status"] != "ok":
        raise RuntimeError(str(answer))
    return (time.perf_counter() - started) * 1e3
