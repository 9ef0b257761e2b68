"""Time of a sweep compared with the same prompts sent straight to ComfyUI, how long it holds the page, and its memory.

The prompts to be sent straight are exported before, so that only queueing and running them is measured. Both are
measured in turn.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Playwright

from ..harness.browser.tab import Tab
from ..harness.comfy.process import ComfyProcess
from ..tools import build
from .bench_run import GRAPH
from .runner import Row, percentile, ratio
from .support.opened import opened_tab

VARIATIONS = 24
MANY = 1000
NODES = 100
# How much longer a variation may take than the same prompt sent straight, on two nodes and on NODES. The rounds of the
# small graph differ from each other by more than that, so there are many.
SMALL_BOUND, LARGE_BOUND = 1.3, 1.5
SMALL_ROUNDS, LARGE_ROUNDS = 21, 5
HELD_BOUND = 30.0
HELD_ROUNDS = 5
# MB by which a sweep of MANY variations may grow the server, and the page, more than the same prompts sent straight.
GROWTH_BOUND = 10.0

# Returns once the page has nothing to do, within 10 s: after some runs it may have to draw for seconds.
REST = """async () => {
    const latest = performance.now() + 10_000
    for (let calm = 0; calm < 10 && performance.now() < latest;) {
        const began = performance.now()
        await new Promise(resolve => setTimeout(resolve, 20))
        calm = performance.now() - began < 30 ? calm + 1 : 0
    }
}"""
# Measures how long the page is held at a time: a message to itself is late by that.
WATCH = """() => {
    const {port1, port2} = new MessageChannel()
    window.held = []
    let last = performance.now()
    port1.onmessage = () => {
        const now = performance.now()
        held.push(now - last)
        last = now
        if (window.held) port2.postMessage(null)
    }
    port2.postMessage(null)
}"""
STOP = "() => { const all = window.held; window.held = null; return all }"


async def measure(playwright: Playwright) -> list[Row]:
    """Rows for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with opened_tab(playwright, frontend) as tab:
            sid = await tab.page.evaluate("app.api.clientId")
            line = Line(tab.comfy, sid)
            small, large = (GRAPH, 2, SMALL_BOUND, SMALL_ROUNDS), (_large(), NODES, LARGE_BOUND, LARGE_ROUNDS)
            for graph, nodes, bound, rounds in (small, large):
                await tab.load_workflow(graph)
                # First: after large prompts that are sent straight, 1.32 has requests of its own to handle for minutes.
                rows.append(await _held(tab, line, nodes))
                mine, bare = await _both(tab, line, rounds)
                name = f"sweep, a variation of {nodes} nodes, to the same prompt sent straight, p50, {frontend}"
                rows.append(ratio(name, percentile(mine, 50), percentile(bare, 50), bound))
            await tab.load_workflow(GRAPH)
            rows += await _memory(tab, line)
    return rows


def _large() -> dict[str, Any]:
    """A chain of NODES nodes."""
    images = {"name": "IMAGE", "type": "IMAGE"}
    nodes = [{**GRAPH["nodes"][0], "outputs": [{**images, "links": [1]}]}]
    for at in range(2, NODES):
        inputs = [{"name": "image", "type": "IMAGE", "link": at - 1}]
        place = {"pos": [at % 10 * 300, at // 10 * 200], "size": [200, 60]}
        nodes.append(
            {"id": at, "type": "ImageInvert", **place, "inputs": inputs, "outputs": [{**images, "links": [at]}]}
        )
    nodes.append({**GRAPH["nodes"][1], "id": NODES, "inputs": [{"name": "images", "type": "IMAGE", "link": NODES - 1}]})
    links = [[at, at, 0, at + 1, 0, "IMAGE"] for at in range(1, NODES)]
    return {"nodes": nodes, "links": links, "version": 0.4}


class Line:
    """Runs variations of the open graph in both ways; none has been run before, since ComfyUI keeps results."""

    def __init__(self, comfy: ComfyProcess, sid: str) -> None:
        self.comfy = comfy
        self._sid = sid
        self._colors: Iterator[int] = itertools.count(1)

    def sweep(self, count: int) -> float:
        """Return the milliseconds that each variation of a sweep took."""
        body = {"grid": {"Canvas.color": self.colors(count)}, "timeout": 3600}
        started = time.perf_counter()
        answer = self.comfy.post("/uiapi/sweep", body, timeout=600)
        taken = time.perf_counter() - started
        if answer["response"]["done"] != count:
            raise RuntimeError(str(answer)[:2000])
        return taken * 1e3 / count

    def straight(self, count: int) -> float:
        """Return the milliseconds that each of the same prompts took, sent one after the other as fast as possible."""
        bodies = [*self._bodies(count)]
        connection = http.client.HTTPConnection("127.0.0.1", self.comfy.port)
        started = time.perf_counter()
        for body in bodies:
            connection.request("POST", "/prompt", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise RuntimeError(str(answer))
        while self._left(connection):
            time.sleep(0.005)
        taken = time.perf_counter() - started
        connection.close()
        return taken * 1e3 / count

    def colors(self, count: int) -> list[int]:
        """Return values that no run has had."""
        return [*itertools.islice(self._colors, count)]

    def _bodies(self, count: int) -> Iterator[bytes]:
        for colors in _parts(self.colors(count), 50):
            answer = self.comfy.post("/uiapi/export_prompts", {"grid": {"Canvas.color": colors}})
            for prompt in answer["response"]["prompts"]:
                extra = {"extra_pnginfo": {"workflow": prompt["workflow"]}}
                content = {"client_id": self._sid, "prompt": prompt["prompt"], "extra_data": extra}
                yield json.dumps(content).encode()

    @staticmethod
    def _left(connection: http.client.HTTPConnection) -> int:
        """How many prompts are in ComfyUI's queue."""
        connection.request("GET", "/prompt")
        return int(json.loads(connection.getresponse().read())["exec_info"]["queue_remaining"])


def _parts(items: Sequence[int], size: int) -> Iterator[list[int]]:
    for at in range(0, len(items), size):
        yield [*items[at : at + size]]


async def _both(tab: Tab, line: Line, rounds: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds that each variation took, of sweeps and of prompts sent straight."""
    mine, bare = [], []
    for number in range(rounds + 1):
        taken = []
        for work in (line.sweep, line.straight):
            await tab.page.evaluate(REST)
            taken.append(await asyncio.to_thread(work, VARIATIONS))
        if number:
            mine.append(taken[0])
            bare.append(taken[1])
    return mine, bare


async def _held(tab: Tab, line: Line, nodes: int) -> Row:
    """How long an export holds the page at a time, in the quietest of some rounds: other processes only add to it.

    Nothing runs meanwhile, so that the page has nothing else to do.
    """
    longest = []
    for _ in range(HELD_ROUNDS):
        body = {"grid": {"Canvas.color": line.colors(VARIATIONS)}}
        await tab.page.evaluate(REST)
        await tab.page.evaluate(WATCH)
        await asyncio.to_thread(tab.comfy.post, "/uiapi/export_prompts", body)
        longest.append(max(await tab.page.evaluate(STOP)))
    name = f"the longest that a sweep holds the page, {nodes} nodes, {tab.comfy.frontend}"
    return Row(name, min(longest), "ms", HELD_BOUND, compared=f"{max(longest):.3g} ms in the worst of {HELD_ROUNDS}")


async def _memory(tab: Tab, line: Line) -> list[Row]:
    """How much more memory a sweep of MANY variations takes than the same prompts sent straight."""
    devtools = await tab.page.context.new_cdp_session(tab.page)
    await devtools.send("Performance.enable")
    grown = {}
    for name, work in (("warm", line.sweep), ("straight", line.straight), ("sweep", line.sweep)):
        before = _rss(line.comfy), await _heap(devtools)
        await asyncio.to_thread(work, 100 if name == "warm" else MANY)
        after = _rss(line.comfy), await _heap(devtools)
        grown[name] = [late - early for early, late in zip(before, after, strict=True)]
    rows = []
    for at, place in enumerate(("the server", "the page")):
        straight, swept = grown["straight"][at], grown["sweep"][at]
        name = f"memory that {MANY} variations take of {place} beyond that of the prompts, {line.comfy.frontend}"
        rows.append(Row(name, swept - straight, "MB", GROWTH_BOUND, compared=f"{swept:.3g} MB to {straight:.3g} MB"))
    return rows


def _rss(comfy: ComfyProcess) -> float:
    status = Path(f"/proc/{comfy.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def _heap(devtools: CDPSession) -> float:
    await devtools.send("HeapProfiler.collectGarbage")
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    return float(next(item["value"] for item in metrics if item["name"] == "JSHeapUsedSize")) / 2**20
