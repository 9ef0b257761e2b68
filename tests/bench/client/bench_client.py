"""Time of the Python client compared with a bare requests.Session, and in addition to ComfyUI's execution time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import requests
from playwright.async_api import Playwright

from ....client import Client
from ...harness.browser.tab import Tab
from ...tools import build
from ...tools.demo import WORKFLOW
from ..bench_roundtrip import FIELDS, Block, alternate
from ..runner import Row, percentile, ratio
from ..support.opened import opened_tab

# The frames of an animation, one run after the other.
RUNS = 24
PATH = FIELDS["fields"][0]
# The same runs without this package: the page's own Run button, its events, and the picture.
BY_THE_PAGE = """async ({runs, color}) => {
    const {api} = app
    const widget = app.rootGraph.nodes.find(node => node.title === 'Canvas').widgets.find(({name}) => name === 'color')
    const event = name => new Promise(resume => api.addEventListener(name, ({detail}) => resume(detail), {once: true}))
    const began = performance.now()
    let executing = 0
    for (let run = 0; run < runs; run++) {
        widget.value = color + run
        const events = Promise.all(['execution_start', 'executed', 'execution_success'].map(event))
        await app.queuePrompt(0, 1)
        const [start, {output}, success] = await events
        executing += success.timestamp - start.timestamp
        await (await api.fetchApi(`/view?${new URLSearchParams(output.images[0])}`)).blob()
    }
    return (performance.now() - began - executing) / runs
}"""


async def measure(playwright: Playwright) -> list[Row]:
    """Rows for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with AsyncExitStack() as stack:
            tab = await stack.enter_async_context(opened_tab(playwright, frontend))
            client = stack.enter_context(Client(tab.comfy.url))
            await asyncio.to_thread(client.load, WORKFLOW)
            rows += await _rows(frontend, tab, client, stack.enter_context(requests.Session()))
    return rows


async def _rows(frontend: str, tab: Tab, client: Client, session: requests.Session) -> list[Row]:
    mine, bare = await alternate(_timed(lambda: client.get(PATH)), _timed(lambda: _bare(session, client.url)))
    # The first frames load what ComfyUI needs.
    await asyncio.to_thread(_above, client)
    above = await asyncio.to_thread(_above, client)
    page: float = await tab.page.evaluate(BY_THE_PAGE, {"runs": RUNS, "color": int(time.time()) % 2**20})
    compared = f"the page's own Run button, without a bridge: {page:.1f} ms"
    return [
        ratio(f"client.get, p50, {frontend}", percentile(mine, 50), percentile(bare, 50), 1.2),
        Row(f"{RUNS} runs by the client, each above ComfyUI's time, {frontend}", above, "ms", 20.0, compared=compared),
    ]


def _bare(session: requests.Session, url: str) -> object:
    return session.post(f"{url}/uiapi/get_fields", json=FIELDS, timeout=30).json()["response"][PATH]


def _timed(call: Callable[[], object]) -> Block:
    def run(count: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            call()
            times.append((time.perf_counter() - started) * 1e3)
        return times

    return lambda count: asyncio.to_thread(run, count)


def _above(client: Client) -> float:
    """Return the average milliseconds a run with its picture takes beyond ComfyUI's execution time."""
    started, executing = time.perf_counter(), 0.0
    for number in range(RUNS):
        done = client.run({"Canvas.color": int(time.time() * 1000) % 2**23 + number})
        if not done.image.data or done.execution_time is None:
            raise RuntimeError("the run answered no picture or no time")
        executing += done.execution_time
    return (time.perf_counter() - started - executing) / RUNS * 1e3
