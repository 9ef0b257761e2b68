"""A sweep that reaches the scheduler of its farm over TCP, and loses it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.client.common.errors import Unreachable
from comfyui_uiapi.client.farm import link
from comfyui_uiapi.tests.client.farm.conftest import HANGS, Live, Sweep, served, shown
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs.farms import Proxy

StandIns = Callable[..., Awaitable[list[StandIn]]]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]


async def test_a_lost_connection_of_the_client_costs_no_picture_and_makes_none_twice(
    standins: StandIns, sweep: Sweep, eventually: Eventually
) -> None:
    farm = await standins(3, seconds=None)
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        async with proxy.serving() as address:
            sweeping = asyncio.create_task(sweep(address, 60))
            await eventually(lambda: all(one.running for one in farm))
            proxy.cut()
            farm[0].go.set()
            await eventually(lambda: farm[0].values)
            for one in farm:
                one.seconds = 0.01
                one.go.set()
            await eventually(lambda: sum(len(one.values) for one in farm) > 30)
            proxy.cut()
            items = await sweeping
    assert shown(items) == [*range(60)]
    assert sorted(value for one in farm for value in one.values) == [*range(60)]


@pytest.mark.parametrize("path", ["/object_info/Save", "/view?filename=2.png&subfolder=&type=input"])
async def test_a_connection_that_is_lost_while_a_prompt_is_prepared_costs_no_picture(
    standins: StandIns, sweep: Sweep, live: Live, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    farm = await standins(1)
    if path.startswith("/view"):
        live.more = lambda value: {"5": ("LoadImage", {"image": f"{value}.png"})}
    live.files |= {f"/view?filename={value}.png&subfolder=&type=input": b"%d" % value for value in range(6)}
    cut, noticed, prepared = threading.Event(), threading.Event(), threading.Event()

    class Watched(link.Connection):
        async def _start(self, *args: Any, **named: Any) -> None:
            if cut.is_set():
                # The prompt is ready before the connection is renewed.
                while not prepared.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0)
                for _ in range(200):
                    await asyncio.sleep(0)
            await super()._start(*args, **named)

        async def _close(self, *args: Any, **named: Any) -> None:
            await super()._close(*args, **named)
            noticed.set()

    monkeypatch.setattr(link, "Connection", Watched)
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        async with proxy.serving() as address:
            loop, read = asyncio.get_running_loop(), live.read

            def read_and_cut(wanted: str) -> bytes:
                if wanted == path and not cut.is_set():
                    cut.set()
                    loop.call_soon_threadsafe(proxy.cut)
                    assert noticed.wait(HANGS)
                    prepared.set()
                return read(wanted)

            items = await sweep(address, 6, read=read_and_cut)
    assert cut.is_set()
    assert [item.error for item in items] == [None] * 6 and shown(items) == [*range(6)]
    assert sorted(value for one in farm for value in one.values) == [*range(6)]


async def test_a_connection_whose_end_the_scheduler_has_not_noticed_leaves_no_task_behind(
    standins: StandIns, sweep: Sweep, eventually: Eventually
) -> None:
    # A task that stays wanted is run again when its worker is lost, although its sweep has ended long ago.
    farm = await standins(2, seconds=None)
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        async with proxy.serving() as address:
            sweeping = asyncio.create_task(sweep(address, 6))
            await eventually(lambda: all(one.running for one in farm))
            before = {*scheduler.clients}
            proxy.cut(unnoticed=True)
            await eventually(lambda: {*scheduler.clients} - before)
            for one in farm:
                one.go.set()
            items = await sweeping
        await eventually(lambda: not scheduler.tasks)
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(6)]


async def test_a_lost_scheduler_is_an_error_that_lists_what_is_done(
    standins: StandIns, sweep: Sweep, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "RECONNECT_TIMEOUT", 0.5)
    farm = await standins(2)
    farm[1].seconds = None
    items: list[int] = []
    async with served(farm) as scheduler:
        sweeping = asyncio.create_task(sweep(scheduler.address, 6, lambda item: items.append(item.index)))
        await eventually(lambda: len(items) == 5)
        await scheduler.close()
        with pytest.raises(Unreachable, match=r"5 of 6 variations are done\. Start the farm again") as caught:
            await sweeping
    assert caught.value.code == "connection_lost"
    assert caught.value.details == {"done": sorted(items), "left": [*{*range(6)} - {*items}]}


async def test_without_a_farm_the_error_says_how_to_start_one(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.5)
    port = free_port()
    with pytest.raises(Unreachable, match=rf"No farm answers at tcp://127\.0\.0\.1:{port}; start one with uiapi farm"):
        await sweep(f"tcp://127.0.0.1:{port}", 1)
