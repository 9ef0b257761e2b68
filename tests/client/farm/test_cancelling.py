"""Sweeps on a farm that are cancelled or left: no prompt of theirs remains anywhere, and nobody else's is touched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.common.tasks import end
from comfyui_uiapi.client.farm.member import Member
from comfyui_uiapi.client.farm.sweep import run
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.client.sweep.async_farmed import AsyncFarmSweep
from comfyui_uiapi.client.sweep.farmed import FarmSweep
from comfyui_uiapi.tests.client.farm.conftest import HANGS, Live, Sweep, served
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs.farms import until

StandIns = Callable[..., Awaitable[list[StandIn]]]


def urls(farm: list[StandIn]) -> list[str]:
    return [one.url for one in farm]


def ran(farm: list[StandIn]) -> int:
    """How many pictures the farm has made."""
    return sum(len(one.values) for one in farm)


async def test_cancelling_removes_the_sweeps_prompts_and_nobody_elses(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(3, seconds=None)
    # Somebody else's run is in progress on one machine, and another one waits on a second.
    theirs = [farm[0].enqueue("theirs")]
    await until(lambda: farm[0].running)
    stop = threading.Event()
    sweeping = asyncio.create_task(sweep(urls(farm), 30, stop=stop))
    await until(lambda: all(len(one.queued()) == (2 if one is farm[0] else 1) for one in farm))
    theirs.append(farm[1].enqueue("theirs too"))
    stop.set()
    # No prompt ends by itself, so that nothing is waited for.
    await until(lambda: sorted(id_ for one in farm for id_ in one.queued()) == sorted(theirs))
    assert await sweeping == []
    assert len(farm[1].interrupted) == len(farm[2].interrupted) == 1 and not farm[0].interrupted
    assert not {*theirs} & {*farm[0].interrupted, *farm[1].interrupted, *farm[2].interrupted}


async def test_cancelling_does_not_wait_for_a_loop_that_is_busy_with_a_result(standins: StandIns, live: Live) -> None:
    farm = await standins(2, seconds=None)
    emptied = threading.Event()
    values = [[["Canvas.value", value]] for value in range(500)]
    farmed = FarmSweep(lambda stop: run(live.export, values, urls(farm), read=live.read, stop=stop), len(values))

    def work() -> list[int]:
        done = []
        for item in farmed:
            done.append(item.index)
            farmed.cancel()
            assert emptied.wait(HANGS)
        return done

    working = asyncio.ensure_future(asyncio.to_thread(work))
    await until(lambda: all(one.running for one in farm))
    farm[0].go.set()
    await until(lambda: farm[1].interrupted and not any(one.queued() for one in farm))
    emptied.set()
    assert len(await working) == 1 and farmed.status == "cancelled"


async def test_a_sweep_that_was_left_has_no_prompt_anywhere(standins: StandIns, live: Live) -> None:
    farm = await standins(2, seconds=None)
    values = [[["Canvas.value", value]] for value in range(500)]
    farmed = FarmSweep(lambda stop: run(live.export, values, urls(farm), read=live.read, stop=stop), len(values))

    def work() -> list[list[str]]:
        with suppress(KeyboardInterrupt), farmed:
            for _ in farmed:
                # Ctrl-C, whose traceback keeps the loop alive.
                raise KeyboardInterrupt
        return [one.queued() for one in farm]

    working = asyncio.create_task(asyncio.to_thread(work))
    await until(lambda: all(one.running for one in farm))
    farm[0].go.set()
    assert await asyncio.wait_for(working, HANGS) == [[], []]


async def test_an_asynchronous_loop_that_is_slow_holds_few_results(standins: StandIns, live: Live) -> None:
    farm = await standins(2)
    values = [[["Canvas.value", value]] for value in range(500)]
    farmed = AsyncFarmSweep(lambda stop: run(live.export, values, urls(farm), read=live.read, stop=stop), len(values))
    async with farmed:
        async for _ in farmed:
            # Two for each ComfyUI, a few more, and those that are handed over.
            await until(lambda: ran(farm) >= 12 and not any(one.queued() for one in farm))
            assert ran(farm) <= 17
            break
    assert not any(one.queued() for one in farm)


async def test_a_sweep_can_be_cancelled_before_any_comfyui_responds(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1)
    farm[0].held["/system_stats"] = asyncio.Event()
    stop = threading.Event()
    sweeping = asyncio.create_task(sweep(urls(farm), 3, stop=stop))
    await until(farm[0].asked.is_set)
    stop.set()
    assert await sweeping == []
    farm[0].held["/system_stats"].set()


async def test_a_prompt_that_is_found_after_its_sweep_was_cancelled_is_removed(
    standins: StandIns, sweep: Sweep
) -> None:
    farm = await standins(2, seconds=None)
    stop = threading.Event()
    async with served([farm[1]]) as scheduler:
        first = Member(scheduler.address, Address.of(farm[0].url, None), first=60)
        member = asyncio.create_task(first.serve())
        sweeping = asyncio.create_task(sweep(scheduler.address, 2, stop=stop))
        await until(lambda: all(one.running for one in farm))
        # Its worker has left, and the other one looks for the prompt.
        farm[0].held["/system_stats"] = asyncio.Event()
        await end([member], 60)
        farm[0].asked.clear()
        farm[1].go.set()
        await until(farm[0].asked.is_set)
        stop.set()
        # The other prompt may have ended just before.
        await sweeping
        farm[0].held["/system_stats"].set()
        await until(lambda: not farm[0].queued())


async def test_a_prompt_that_somebody_removes_is_cancelled_and_not_repeated(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1, seconds=None)
    farm[0].enqueue("theirs")
    await until(lambda: farm[0].running)
    sweeping = asyncio.create_task(sweep(urls(farm), 1))
    await until(lambda: farm[0].waiting)
    farm[0].waiting.clear()
    farm[0].go.set()
    [item] = await sweeping
    assert item.status == "cancelled" and item.error is not None and item.error.code == "cancelled"
    assert farm[0].values == ["theirs"]


async def test_a_sweep_has_a_time_out(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(1, seconds=None)
    with pytest.raises(UiapiError, match="took longer than 1 s") as caught:
        await sweep(urls(farm), 2, timeout=1)
    assert caught.value.code == "timeout"
    await until(lambda: not farm[0].queued())
