"""Events per second: one program writes, another receives the events; compared with bare echoes."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack

import aiohttp
from playwright.async_api import Playwright

from ..harness.programs.program import MAX_FRAME
from ..tools import build
from .bench_roundtrip import GRAPH, Block, alternate, echo_server, pipelined
from .runner import Row, percentile, ratio
from .support.opened import opened_tab

WRITES, ROUNDS = 500, 6
# Seconds for the last event of a round.
PATIENCE = 60.0


async def measure(playwright: Playwright) -> list[Row]:
    """A row for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with AsyncExitStack() as stack:
            tab = await stack.enter_async_context(opened_tab(playwright, frontend))
            await tab.load_workflow(GRAPH)
            port = await echo_server(stack, tab)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            writer, receiver = [
                await session.ws_connect(f"{tab.comfy.url}/uiapi/ws", max_msg_size=MAX_FRAME) for _ in range(2)
            ]
            for socket in (writer, receiver):
                await socket.send_json({"type": "hello", "role": "client", "protocol": 1})
                await socket.receive_json()
            subscription = {"events": ["widget_changed"]}
            await receiver.send_json({"type": "request", "id": 0, "command": "subscribe", "data": subscription})
            await receiver.receive_json()
            bare = await session.ws_connect(f"http://127.0.0.1:{port}/echo")
            mine, floor = await alternate(
                events_of_writes(writer, receiver), pipelined(bare), count=WRITES, blocks=ROUNDS
            )
            rate, echoes = (1e3 * WRITES / percentile(times, 50) for times in (mine, floor))
            rows.append(ratio(f"events of writes / bare echoes, {frontend}", rate, echoes, None, unit="/s"))
    return rows


def events_of_writes(writer: aiohttp.ClientWebSocketResponse, receiver: aiohttp.ClientWebSocketResponse) -> Block:
    """Return the milliseconds from the first write until the other program has received the last event."""
    width = 64

    async def block(count: int) -> list[float]:
        nonlocal width
        started = time.perf_counter()
        for number in range(count):
            width = width + 8 if width < 8192 else 64
            data = {"fields": [["Canvas.width", width]]}
            frame = {"type": "request", "id": number, "command": "set_fields", "data": data}
            await writer.send_str(json.dumps(frame))
        for _ in range(count):
            event = await receiver.receive_json(timeout=PATIENCE)
            if event["type"] != "event":
                raise RuntimeError(str(event)[:300])
        took = (time.perf_counter() - started) * 1e3
        for _ in range(count):
            answer = await writer.receive_json(timeout=PATIENCE)
            if answer["status"] != "ok":
                raise RuntimeError(str(answer)[:300])
        return [took]

    return block
