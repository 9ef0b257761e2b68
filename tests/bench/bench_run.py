"""Time that `run` adds to ComfyUI's own execution, on a graph of two nodes.

ComfyUI's own time is measured from the create_time of the prompt to its success event.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Playwright

from ..harness.browser.tab import Chromium
from ..harness.comfy.process import ComfyProcess
from ..tools import build
from .runner import Row, percentile

RUNS = 60
BOUND = 10.0

GRAPH: dict[str, Any] = {
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "title": "Canvas",
            "pos": [50, 100],
            "size": [250, 130],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "widgets_values": [64, 64, 1, 0],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "title": "Result",
            "pos": [400, 100],
            "size": [250, 250],
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "widgets_values": ["bench"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "version": 0.4,
}


async def measure(playwright: Playwright) -> list[Row]:
    """A row for each frontend."""
    rows = []
    for frontend in build.FRONTENDS:
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            chromium = Chromium(base / "chromium")
            with ComfyProcess(base / "comfy", frontend=frontend) as comfy:
                try:
                    tab = await (await chromium.start(playwright)).open(comfy)
                    await tab.load_workflow(GRAPH)
                    added = await asyncio.to_thread(_run_all, comfy)
                finally:
                    chromium.kill()
        compared = f"p10 {percentile(added, 10):.1f} ms, p90 {percentile(added, 90):.1f} ms over {RUNS} runs"
        rows.append(
            Row(f"run adds to the execution, p50, {frontend}", percentile(added, 50), "ms", BOUND, compared=compared)
        )
    return rows


def _run_all(comfy: ComfyProcess) -> list[float]:
    """Return the milliseconds each run took beyond ComfyUI's own time."""
    added = []
    for number in range(RUNS + 5):
        body = {"fields": [["Canvas.color", number + 1]]}
        started = time.perf_counter()
        answer = comfy.post("/uiapi/run", body)
        wall = (time.perf_counter() - started) * 1e3
        if answer["status"] != "ok":
            raise RuntimeError(str(answer))
        entry = comfy.get(f"/history/{answer['response']['prompt_id']}")[answer["response"]["prompt_id"]]
        messages = dict(entry["status"]["messages"])
        added.append(wall - (messages["execution_success"]["timestamp"] - entry["prompt"][3]["create_time"]))
        # Lets the page finish drawing, as between two runs of a person.
        time.sleep(0.2)
    return added[5:]
