"""Fixtures of the farm's tests: stand-in ComfyUIs, and a live one that exports a prompt for each value."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.common.tasks import end
from comfyui_uiapi.client.farm import board, cluster, link, task
from comfyui_uiapi.client.farm import sweep as sweeps
from comfyui_uiapi.client.farm.cluster import scheduler_at
from comfyui_uiapi.client.farm.member import Member, SchedulerLost
from comfyui_uiapi.client.farm.sweep import run
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.client.sweep.item import SweepItem
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import NODES, StandIn, prompt_of
from distributed import Scheduler, Security

# Seconds after which a sweep of these tests hangs.
HANGS = 120


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The farm gives up nothing only because this machine is slow."""
    for module, name in (
        # Members that join later than the first.
        (cluster, "LATE"),
        (link, "RECONNECT_TIMEOUT"),
        # To remove what a sweep has left, and to reach a ComfyUI whose worker was lost.
        (link, "CANCEL_TIMEOUT"),
        (board, "CANCEL_TIMEOUT"),
        (task, "VISIT_TIMEOUT"),
        (sweeps, "END_TIMEOUT"),
    ):
        monkeypatch.setattr(module, name, float(HANGS))


class Live:
    """The ComfyUI with the open graph.

    Attributes:
        exported: the sizes of the slices that were exported.
        files: what it serves, by path.
        more: further nodes of each prompt, as {name: (type, inputs)}.
    """

    def __init__(self) -> None:
        self.exported: list[int] = []
        self.files: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.more: Callable[[Any], dict[str, Any]] = lambda value: {}

    def export(self, variations: list[list[list[Any]]]) -> list[dict[str, Any]]:
        """Returns the prompts of variations."""
        self.exported.append(len(variations))
        return [
            {
                "index": at,
                "fields": [{"path": path, "value": value} for path, value in writes],
                "prompt": prompt_of(writes[0][1], **self.more(writes[0][1])),
                "workflow": {"nodes": []},
                "warnings": [],
                "error": None,
            }
            for at, writes in enumerate(variations)
        ]

    def read(self, path: str) -> bytes:
        """Returns a file."""
        if path.startswith("/object_info/"):
            kind = path.rpartition("/")[2]
            return json.dumps({kind: NODES.get(kind, {})}).encode()
        self.reads.append(path)
        if path not in self.files:
            raise UiapiError("not_found", f"{path} does not exist.")
        return self.files[path]


@pytest.fixture
def live() -> Live:
    """The ComfyUI with the open graph."""
    return Live()


@pytest.fixture
async def standins() -> AsyncIterator[Callable[..., Awaitable[list[StandIn]]]]:
    """Starts stand-in ComfyUIs: `await standins(3, seconds=0)`."""
    async with AsyncExitStack() as stack:

        async def start(count: int, seconds: float | None = 0.0) -> list[StandIn]:
            return [await stack.enter_async_context(StandIn(seconds)) for _ in range(count)]

        yield start


@asynccontextmanager
async def served(standins: list[StandIn]) -> AsyncIterator[Scheduler]:
    """Yields the scheduler of a farm of these, which have joined."""
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(scheduler_at(port=0, security=Security()))
        joined = [asyncio.Event() for _ in standins]

        async def serve(standin: StandIn, event: asyncio.Event) -> None:
            with suppress(SchedulerLost):
                await Member(scheduler.address, Address.of(standin.url, None), first=60).serve(event.set)

        members = [asyncio.create_task(serve(*pair)) for pair in zip(standins, joined, strict=True)]
        try:
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in joined)), 60)
            yield scheduler
        finally:
            await end(members, 60)


@pytest.fixture
def opened(scripted: Scripted, live: Live) -> Scripted:
    """A scripted server with an open workflow, which exports two prompts at a time."""

    def export(request: web.Request) -> dict[str, Any]:
        data = scripted.bodies[-1]
        first, all_ = data["first"], live.export(data["variations"])
        following = first + 2 if first + 2 < len(all_) else None
        return {"prompts": all_[first : first + 2], "total": len(all_), "next": following}

    def info(request: web.Request) -> web.Response:
        return web.Response(body=live.read(request.path))

    scripted.answers |= {"export_prompts": export, "get_fields": {"Canvas.value": 0}}
    scripted.answers |= {kind: info for kind in ("Canvas", "SaveImage", "EmptyImage")}
    return scripted


Sweep = Callable[..., Coroutine[Any, Any, list[SweepItem]]]


@pytest.fixture
async def sweep(live: Live) -> AsyncIterator[Sweep]:
    """Runs variations 0..count-1 on a farm, on a thread: `await sweep(farm, 10, each=function of an item)`."""
    stop = threading.Event()

    async def carry_out(
        farm: Any, count: int, each: Callable[[SweepItem], object] = lambda item: None, **named: Any
    ) -> list[SweepItem]:
        def work() -> list[SweepItem]:
            found = []
            variations = [[["Canvas.value", value]] for value in range(count)]
            for item in run(live.export, variations, farm, **{"read": live.read, "stop": stop, **named}):
                found.append(item)
                each(item)
            return found

        return await asyncio.wait_for(asyncio.to_thread(work), HANGS)

    yield carry_out
    stop.set()


def shown(items: list[SweepItem]) -> list[int]:
    """Returns what the pictures show, in order."""
    return sorted(int(item.files[0].data) for item in items if item.error is None)
