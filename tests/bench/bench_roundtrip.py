"""Round trips through a connected tab over HTTP and the websocket, compared with a bare echo through the page."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from playwright.async_api import Playwright

from ..harness import children
from ..harness.browser.tab import Tab, until
from ..harness.comfy.process import ComfyProcess, free_port, is_taken
from ..tools import build
from .runner import Row, percentile, ratio
from .support import echo
from .support.opened import opened_tab

# Round trips in a block; the compared blocks alternate, so that other load on the machine affects both.
BLOCK, BLOCKS = 50, 30
PIPELINED = 500
# Seconds between blocks, so that remaining work of one side is not measured with the other.
PAUSE = 0.05
# Number of idle sockets, and the maximum ratio of a round trip with them.
IDLE_SOCKETS = {200: 1.1, 1000: None}

GRAPH = {
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "title": "Canvas",
            "pos": [0, 0],
            "size": [200, 100],
            "widgets_values": [64, 64, 1, 0],
        },
        {
            "id": 2,
            "type": "SaveImage",
            "title": "Result",
            "pos": [300, 0],
            "size": [200, 100],
            "widgets_values": ["bench"],
        },
    ],
    "links": [],
    "version": 0.4,
}
FIELDS = {"fields": ["Canvas.width"]}

Block = Callable[[int], Awaitable[list[float]]]


async def measure(playwright: Playwright) -> list[Row]:
    """Rows for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with AsyncExitStack() as stack:
            tab = await stack.enter_async_context(opened_tab(playwright, frontend))
            await tab.load_workflow(GRAPH)
            port = await echo_server(stack, tab)
            rows += await _rows(frontend, tab.comfy, port)
    return rows


async def echo_server(stack: AsyncExitStack, tab: Tab) -> int:
    """Start the echo server, connect the page to it, and return its port."""
    port = free_port()
    with open("/dev/null", "wb") as nowhere:  # noqa: ASYNC230 - nothing else runs yet
        server = children.start([sys.executable, echo.__file__, str(port)], output=nowhere)
    stack.callback(children.stop, server, grace=0)

    async def listens() -> bool:
        return await asyncio.to_thread(is_taken, port)

    await until(listens, "the echo server", 10)
    session = await tab.page.context.new_cdp_session(tab.page)
    # ComfyUI's content security policy allows its page connections to ComfyUI only.
    await session.send("Page.setBypassCSP", {"enabled": True})
    workflow = await tab.page.evaluate("() => app.rootGraph.serialize()")
    await tab.load(clear=True)
    await tab.load_workflow(workflow)
    await tab.page.evaluate(echo.PAGE, port)
    return port


async def _rows(frontend: str, comfy: ComfyProcess, port: int) -> list[Row]:
    ours = _http(comfy.port, "/uiapi/get_fields", json.dumps(FIELDS))
    floor = _http(port, "/echo", json.dumps(FIELDS))
    mine, bare = await alternate(ours, floor)
    rows = [
        ratio(f"get_fields over HTTP, p50, {frontend}", percentile(mine, 50), percentile(bare, 50), 1.3),
        ratio(f"get_fields over HTTP, p95, {frontend}", percentile(mine, 95), percentile(bare, 95), 1.5),
    ]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        program = await session.ws_connect(f"{comfy.url}/uiapi/ws")
        await program.send_json({"type": "hello", "role": "client", "protocol": 1})
        await program.receive_json()
        bare_socket = await session.ws_connect(f"http://127.0.0.1:{port}/echo")
        mine, bare = await alternate(_websocket(program), _websocket(bare_socket))
        rows.append(
            ratio(f"get_fields on the websocket, p50, {frontend}", percentile(mine, 50), percentile(bare, 50), 1.3)
        )
        mine, bare = await alternate(pipelined(program), pipelined(bare_socket), count=PIPELINED, blocks=8)
        rate, bare_rate = (1e3 * PIPELINED / percentile(times, 50) for times in (mine, bare))
        rows.append(ratio(f"pipelined get_fields, {frontend}", rate, bare_rate, 0.8, unit="/s", at_least=True))
        for idle, limit in IDLE_SOCKETS.items():
            rows.append(await _with_idle_sockets(frontend, comfy, session, (ours, floor), idle, limit))
    return rows


async def _with_idle_sockets(
    frontend: str,
    comfy: ComfyProcess,
    session: aiohttp.ClientSession,
    compared: tuple[Block, Block],
    socket_count: int,
    limit: float | None,
) -> Row:
    """Compare the HTTP round trip with and without idle sockets, each divided by its floor."""
    quotients = []
    for idle in (0, socket_count, 0, socket_count):
        sockets = []
        for number in range(idle):
            socket = await session.ws_connect(f"{comfy.url}/uiapi/ws")
            await socket.send_json({"type": "hello", "role": "client", "protocol": 1, "name": f"idle {number}"})
            await socket.receive_json()
            sockets.append(socket)
        mine, bare = await alternate(*compared)
        quotients.append(percentile(mine, 50) / percentile(bare, 50))
        await asyncio.gather(*(socket.close() for socket in sockets))
    without, with_them = (quotients[0] + quotients[2]) / 2, (quotients[1] + quotients[3]) / 2
    return ratio(f"HTTP with {socket_count} idle sockets, {frontend}", with_them, without, limit, unit="floors")


async def alternate(
    ours: Block, floor: Block, *, count: int = BLOCK, blocks: int = BLOCKS
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of both in alternating blocks, after one warm-up block each."""
    await ours(count), await floor(count)
    mine: list[float] = []
    bare: list[float] = []
    for _ in range(blocks):
        for block, times in ((ours, mine), (floor, bare)):
            times += await block(count)
            await asyncio.sleep(PAUSE)
    return mine, bare


def _http(port: int, path: str, body: str) -> Block:
    """Return blocks of POSTs on one connection, sent in a thread by the standard library's lean client."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json"}

    def run(count: int) -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            times.append((time.perf_counter() - started) * 1e3)
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}: {text[:200]!r}")
        return times

    return lambda count: asyncio.to_thread(run, count)


def _websocket(socket: aiohttp.ClientWebSocketResponse) -> Block:
    async def block(count: int) -> list[float]:
        times = []
        for number in range(count):
            started = time.perf_counter()
            await socket.send_str(_frame(number))
            text = await socket.receive_str()
            times.append((time.perf_counter() - started) * 1e3)
            _check(text)
        return times

    return block


def pipelined(socket: aiohttp.ClientWebSocketResponse) -> Block:
    async def block(count: int) -> list[float]:
        started = time.perf_counter()
        for number in range(count):
            await socket.send_str(_frame(number))
        for _ in range(count):
            _check(await socket.receive_str())
        return [(time.perf_counter() - started) * 1e3]

    return block


def _frame(number: int) -> str:
    return json.dumps({"type": "request", "id": number, "command": "get_fields", "data": FIELDS})


def _check(text: str) -> None:
    """Check the text: an echo of the request, or a response without an error."""
    frame: dict[str, Any] = json.loads(text)
    if frame.get("status", "ok") != "ok":
        raise RuntimeError(text[:300])
