"""ComfyUI's latency under bad files, hosts and programs compared with rest, and its memory afterwards.

Rest and load alternate within one run, so that other load on the machine affects both.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Playwright

from ..harness import children
from ..harness.browser.tab import until
from ..harness.comfy.process import ComfyProcess
from ..harness.models.model_host import Answer, Host, model_bytes
from ..harness.programs.program import MAX_FRAME, PATIENCE, Program
from .runner import Row, percentile
from .support import latency

# Seconds of a load and of the rest before it; how often they alternate.
SECONDS, TURNS = 5.0, 3
# Milliseconds by which the latency may rise, MB by which memory may rise, and seconds to wait for that memory.
LATER, LEFT, MINUTE = 100.0, 20.0, 60.0
# Bytes of the header of a bad file, and the number of these files.
HEADER, BOMBS = 100_000_000, 12
# Bytes of a good file, whose download creates everything that is created at first use.
FIRST = 100_000_000
SOCKETS, SUBSCRIPTIONS, PATHS = 20, 100, 10
# Concurrent requests of a program with idempotency keys, and the number of these programs.
UNDER_WAY, PROGRAMS = 200, 4
# Widget changes a second that all programs subscribed to, and events in transit from a flooding tab.
CHANGES, FLOOD = 50, 500
SAMPLE = '"tensor%07d":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'


async def measure(_: Playwright) -> list[Row]:
    """Rows for each load."""
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = [await Host().start() for _ in range(3)]
        for host in hosts:
            stack.push_async_callback(host.close)
        allowed = ",".join(host.authority for host in hosts)
        # With fewer arenas glibc keeps less freed memory, which would look like memory that the package keeps.
        env = {"UIAPI_ALLOWED_HOSTS": allowed, "MALLOC_ARENA_MAX": "2"}
        comfy = stack.enter_context(ComfyProcess(folder / "comfy", env=env))
        samples = folder / "latencies"
        asking = children.start([sys.executable, latency.__file__, str(comfy.port)], output=samples.open("wb"))
        stack.callback(children.stop, asking, grace=0)
        bench = await stack.enter_async_context(Bench(comfy, hosts, samples))
        await bench.fetch("first.safetensors", model_bytes(FIRST))
        for name, load in LOADS.items():
            rows += await bench.rows(name, load)
    return rows


class Bench:
    """One ComfyUI, its allowed model hosts, and the file with its latencies."""

    def __init__(self, comfy: ComfyProcess, hosts: list[Host], samples: Path) -> None:
        self.comfy = comfy
        self.hosts = hosts
        self.program = Program(comfy)
        self.number = 0
        self.end = 0.0
        self._samples = samples

    async def __aenter__(self) -> Bench:
        await self.program.__aenter__()
        # No limit of connections.
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.session.close()
        await self.program.__aexit__(None, None, None)

    @property
    def over(self) -> bool:
        """Whether the load has lasted long enough."""
        return time.monotonic() > self.end

    async def rows(self, name: str, load: Callable[[Bench], Awaitable[None]]) -> list[Row]:
        """Alternate between rest and the load, and return the rows."""
        spans: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        before = self.resident()
        for _ in range(TURNS):
            for busy in (False, True):
                began = time.monotonic()
                self.end = began + SECONDS
                await (load(self) if busy else asyncio.sleep(SECONDS))
                spans[busy].append((began, time.monotonic()))
        left = await self.left(before)
        rows = []
        for path in latency.PATHS:
            idle, busy_ones = (self.latencies(path, spans[busy]) for busy in (False, True))
            mine, rest = percentile(busy_ones, 99), percentile(idle, 99)
            compared = f"{mine:.1f} to {rest:.1f} ms, max {max(busy_ones):.0f} ms, {len(busy_ones)} asked"
            rows.append(
                Row(f"{path} during {name}, p99 above that at rest", mine - rest, "ms", LATER, compared=compared)
            )
        return [*rows, Row(f"memory left a minute after {name}", left, "MB", LEFT, compared=f"{before:.0f} MB before")]

    def latencies(self, path: str, spans: list[tuple[float, float]]) -> list[float]:
        """Return the latencies of a path within these spans of time."""
        samples = [json.loads(line) for line in self._samples.read_text().splitlines() if line.endswith("]")]
        return [
            took
            for began, asked, took in samples
            if asked == path and any(start <= began < end for start, end in spans)
        ]

    def resident(self) -> float:
        """Return ComfyUI's resident memory in MB."""
        pages = int(Path(f"/proc/{self.comfy.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def left(self, before: float) -> float:
        """Return the memory above `before` as soon as it is within the limit, at the latest after a minute."""
        end = time.monotonic() + MINUTE
        while (more := self.resident() - before) > LEFT and time.monotonic() < end:  # noqa: ASYNC110 - another process
            await asyncio.sleep(1)
        return more

    async def fetch(self, name: str, data: bytes) -> None:
        """Download a valid model."""
        self.hosts[0].offer(f"/{name}", data)
        status, envelope = await self.program.post("download_model", self.hosts[0].wanted(name))
        if status != 200:
            raise RuntimeError(str(envelope))

    async def begin(self, urls: dict[str, str]) -> str:
        """Start a download of models by name and return its id."""
        nodes = [
            {"id": at, "type": "LoraLoaderModelOnly", "widgets_values": [name, 1]} for at, name in enumerate(urls, 1)
        ]
        table = {name: {"url": url, "ckpt_type": "loras"} for name, url in urls.items()}
        begun = await self.program.ok("download_models", {"download_table": table, "workflow": {"nodes": nodes}})
        return str(begun["download_id"])

    async def connect(self, **hello: Any) -> aiohttp.ClientWebSocketResponse | None:
        """Open a websocket and say hello; None if it is refused."""
        ws = await self.session.ws_connect(f"{self.comfy.url}/uiapi/ws", max_msg_size=MAX_FRAME)
        await ws.send_json({"type": "hello", "protocol": 1, **hello})
        if (await ws.receive_json(timeout=PATIENCE))["type"] == "welcome":
            return ws
        await ws.close()
        return None

    @asynccontextmanager
    async def tab(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A scripted tab."""
        tab = await self.connect(role="webui", page_key=await self.program.page_key(), capabilities=["watch"])
        if tab is None:
            raise RuntimeError("The tab was refused.")
        yield tab
        await tab.close()

    @asynccontextmanager
    async def subscribers(self, subscriptions: int, paths: int) -> AsyncIterator[list[aiohttp.ClientWebSocketResponse]]:
        """Programs with `subscriptions` subscriptions to `paths` widget paths each (0: all widgets)."""
        opened = [await self.connect(role="client", name=f"subscriber {at}") for at in range(SOCKETS)]
        sockets = [socket for socket in opened if socket is not None]
        for socket in sockets:
            for at in range(subscriptions):
                data = {"events": ["widget_changed"], "paths": [f"Node {at}.w{n}" for n in range(paths)]}
                await socket.send_json({"type": "request", "id": at, "command": "subscribe", "data": data})
        for socket in sockets:
            for _ in range(subscriptions):
                answer = await socket.receive_json(timeout=PATIENCE)
                if answer["status"] != "ok":
                    raise RuntimeError(str(answer))
        yield sockets
        for socket in sockets:
            await socket.close()


async def header_bombs(bench: Bench) -> None:
    """Files with a header of maximum length full of tensor entries that do not match the file's size."""
    if "/bomb" not in bench.hosts[0].answers:
        entries = ("{" + "".join(SAMPLE % at for at in range(HEADER // len(SAMPLE % 0) - 1))).encode()[:-1]
        bench.hosts[0].offer("/bomb", HEADER.to_bytes(8, "little") + entries.ljust(HEADER - 1) + b"}more")
    bench.number += 1
    urls = {f"{bench.number}x{at}.safetensors": bench.hosts[0].url("/bomb") for at in range(BOMBS)}
    download_id = await bench.begin(urls)
    status: dict[str, Any] = {}

    async def ended() -> bool:
        await asyncio.sleep(0.2)
        status.update((await bench.program.get(f"download_status/{download_id}"))[1])
        return bool(status["completed"])

    await until(ended, "the end of the bad files", 10 * PATIENCE)
    if {item["status"] for item in status["progress"].values()} != {"error"}:
        raise RuntimeError(str(status)[:300])


async def would_be_tabs(bench: Bench) -> None:
    """A thousand sockets that connect as tabs; those admitted send information that every panel shows."""
    key, door = await bench.program.page_key(), asyncio.Semaphore(50)

    async def pose() -> aiohttp.ClientWebSocketResponse | None:
        async with door:
            return await bench.connect(role="webui", page_key=key, capabilities=["panel", "watch"])

    stayed = [ws for ws in await asyncio.gather(*(pose() for _ in range(1000))) if ws is not None]
    reading = [bench.program.spawn(_read(ws)) for ws in stayed]
    while not bench.over:
        for ws in stayed:
            await ws.send_json({"type": "event", "event": "info", "data": {"workflow_name": str(bench.number)}})
            await asyncio.sleep(1 / CHANGES)
    await asyncio.gather(*(ws.close() for ws in stayed))
    await asyncio.gather(*reading)


async def subscriptions(bench: Bench) -> None:
    """Widget changes while twenty programs subscribe to the maximum number of paths."""
    async with bench.tab() as tab, bench.subscribers(SUBSCRIPTIONS, PATHS) as subscribers:
        number = 0
        while not bench.over:
            number += 1
            data = {"path": f"Node {number % SUBSCRIPTIONS}.w{number % PATHS}", "new": number}
            await tab.send_json({"type": "event", "event": "widget_changed", "data": data})
            for subscriber in subscribers:
                await subscriber.receive_json(timeout=PATIENCE)
            await asyncio.sleep(1 / CHANGES)


async def keys(bench: Bench) -> None:
    """Programs that send ever new idempotency keys, many at a time."""

    async def answer(tab: aiohttp.ClientWebSocketResponse) -> None:
        async for message in tab:
            frames = json.loads(message.data)
            for frame in frames if isinstance(frames, list) else [frames]:
                if frame["type"] == "request":
                    response = {"type": "response", "id": frame["id"], "status": "ok", "response": {"done": 1}}
                    await tab.send_json(response)

    async def flood(name: str) -> None:
        socket = await bench.connect(role="client", name=name)
        if socket is None:
            raise RuntimeError("The program was refused.")
        sent = 0

        async def send() -> None:
            nonlocal sent
            sent += 1
            data = {"idempotency_key": f"{bench.end}-{sent}"}
            await socket.send_json({"type": "request", "id": sent, "command": "undo", "data": data})

        for _ in range(UNDER_WAY):
            await send()
        while not bench.over:
            reply = await socket.receive_json(timeout=PATIENCE)
            if reply["status"] != "ok":
                raise RuntimeError(str(reply))
            await send()
        await socket.close()

    async with bench.tab() as tab:
        answering = bench.program.spawn(answer(tab))
        await asyncio.gather(*(flood(f"slider {at}") for at in range(PROGRAMS)))
    await answering


async def bad_hosts(bench: Bench) -> None:
    """Hosts that are silent, stop within a chunked body, send single bytes, or send only 100 responses."""
    bad = (
        Answer(silent=True),
        Answer(model_bytes(1_000_000), ranges=False, framing="chunked", stalls=True),
        Answer(trickle=b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        Answer(flood=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    )
    begun = []
    for at, answer in enumerate(bad * 3):
        bench.number += 1
        host, path = bench.hosts[at % len(bench.hosts)], f"/bad{bench.number}"
        host.answers[path] = answer
        begun.append(await bench.begin({f"bad{bench.number}.safetensors": host.url(path)}))
    await asyncio.sleep(bench.end - time.monotonic())
    for download_id in begun:
        await bench.program.ok("download_cancel", {"download_id": download_id})


async def event_flood(bench: Bench) -> None:
    """A tab that sends widget changes as fast as twenty programs receive them."""
    async with bench.tab() as tab, bench.subscribers(1, 0) as subscribers:
        last = subscribers[0]
        reading = [bench.program.spawn(_read(socket)) for socket in subscribers[1:]]
        for number in range(FLOOD):
            await tab.send_str(_change(number))
        while not bench.over:
            await last.receive_str(timeout=PATIENCE)
            await tab.send_str(_change(0))
    await asyncio.gather(*reading)


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def _change(number: int) -> str:
    data = {"path": "Canvas.width", "node": "1", "new": number, "by": "person"}
    return json.dumps({"type": "event", "event": "widget_changed", "data": data})


LOADS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "12 files with headers of 100 MB": header_bombs,
    "1000 would-be tabs": would_be_tabs,
    "20,000 subscribed paths": subscriptions,
    "idempotency keys": keys,
    "silent, slow and 100-Continue hosts": bad_hosts,
    "a flood of events": event_flood,
}
