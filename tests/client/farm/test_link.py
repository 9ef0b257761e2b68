"""A sweep that reaches the scheduler of its farm over TCP, and loses it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from comfyui_uiapi.client.common.errors import Unreachable
from comfyui_uiapi.client.farm import board, dispatcher, link
from comfyui_uiapi.tests.client.farm.conftest import HANGS, Live, Sweep, served, shown
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs.farms import Proxy, until
from distributed import Client, Security
from distributed.comm import CommClosedError

StandIns = Callable[..., Awaitable[list[StandIn]]]


@asynccontextmanager
async def behind_proxy(farm: list[StandIn]) -> AsyncIterator[tuple[Proxy, str]]:
    """Yields a proxy in front of the scheduler of a farm, whose members reach it directly, and the proxy's address."""
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        async with proxy.serving() as address:
            yield proxy, address


async def test_a_lost_connection_of_the_client_costs_no_picture_and_makes_none_twice(
    standins: StandIns, sweep: Sweep
) -> None:
    farm = await standins(3, seconds=None)
    async with behind_proxy(farm) as (proxy, address):
        sweeping = asyncio.create_task(sweep(address, 60))
        await until(lambda: all(one.running for one in farm))
        proxy.cut()
        farm[0].go.set()
        await until(lambda: farm[0].values)
        for one in farm:
            one.seconds = 0.01
            one.go.set()
        await until(lambda: sum(len(one.values) for one in farm) > 30)
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
    async with behind_proxy(farm) as (proxy, address):
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
    standins: StandIns, sweep: Sweep
) -> None:
    # A task that stays wanted is run again when its worker is lost, although its sweep has ended long ago.
    farm = await standins(2, seconds=None)
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        async with proxy.serving() as address:
            sweeping = asyncio.create_task(sweep(address, 6))
            await until(lambda: all(one.running for one in farm))
            before = {*scheduler.clients}
            proxy.cut(unnoticed=True)
            await until(lambda: {*scheduler.clients} - before)
            for one in farm:
                one.go.set()
            items = await sweeping
        await until(lambda: not scheduler.tasks)
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(6)]


async def test_a_connection_that_receives_no_more_reports_is_renewed(standins: StandIns, sweep: Sweep) -> None:
    farm = await standins(2, seconds=None)
    async with served(farm) as scheduler:
        sweeping = asyncio.create_task(sweep(scheduler.address, 4))
        await until(lambda: all(one.running for one in farm))
        for comm in scheduler.client_comms.values():
            # Dask's client stops to listen, and goes on otherwise.
            comm.send({"op": "stream-closed"})
        for one in farm:
            one.go.set()
        items = await sweeping
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(4)]


async def test_a_lost_connection_that_cannot_be_closed_keeps_no_sweep_waiting(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, closed = Client._close, asyncio.Event()

    async def stuck(self: Client, *args: Any, **named: Any) -> None:
        if not closed.is_set():
            closed.set()
            await asyncio.Event().wait()
        await close(self, *args, **named)

    monkeypatch.setattr(Client, "_close", stuck)
    farm = await standins(2, seconds=None)
    async with behind_proxy(farm) as (proxy, address):
        sweeping = asyncio.create_task(sweep(address, 4))
        await until(lambda: all(one.running for one in farm))
        proxy.cut()
        for one in farm:
            one.go.set()
        items = await sweeping
    assert closed.is_set()
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(4)]


def test_whatever_is_raised_over_a_connection_that_has_ended_is_its_loss() -> None:
    class Ended:
        status = "running"

    connection = link.Link("tcp://127.0.0.1:1", Security())
    connection.client = ended = Ended()  # type: ignore[assignment]
    with pytest.raises(KeyError), connection.over(ended):
        raise KeyError("a defect")
    with pytest.raises(link.ConnectionLost), connection.over(ended):
        raise OSError("broken")
    with pytest.raises(link.ConnectionLost), connection.over(ended):
        ended.status = "closed"
        # As older versions of Dask do.
        raise Exception("Tried sending message after closing.")
    with pytest.raises(link.ConnectionLost), connection.over(ended):
        pytest.fail("Nothing is done over a connection that has ended.")


@pytest.mark.parametrize("always", [False, True])
async def test_a_result_that_cannot_be_transferred_is_asked_for_again_and_not_made_again(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_ATTEMPTS", 3)
    farm = await standins(1)
    async with served(farm) as scheduler:
        gather, asked = scheduler.handlers["gather"], []

        async def fail(**data: Any) -> Any:
            asked.append(data)
            if always or len(asked) == 1:
                # Dask raises it in the client.
                raise KeyError("a worker has just left")
            return await gather(**data)

        scheduler.handlers["gather"] = fail
        [item] = await sweep(scheduler.address, 1)
    assert farm[0].values == [0] and len(asked) == (3 if always else 2)
    assert (item.error.code if item.error else None) == ("result_lost" if always else None)


@pytest.mark.parametrize("command", ["claimed", "claim", "get_file"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_question_of_a_worker_that_is_lost_costs_no_picture(
    standins: StandIns, sweep: Sweep, live: Live, command: str, after: bool
) -> None:
    farm = await standins(2)
    live.more = lambda value: {"5": ("LoadImage", {"image": "a.png"})}
    live.files["/view?filename=a.png&subfolder=&type=input"] = b"a"
    async with served(farm) as scheduler:
        answer = scheduler.handlers[f"uiapi_{command}"]
        lost = asyncio.Event()

        async def lose(**data: Any) -> Any:
            if lost.is_set():
                return await answer(**data)
            lost.set()
            if after:
                await answer(**data)
            raise CommClosedError("cut")

        scheduler.handlers[f"uiapi_{command}"] = lose
        items = await sweep(scheduler.address, 4)
    assert lost.is_set() and [item.error for item in items] == [None] * 4
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(4)]


# -- a sweep that ends ------------------------------------------------------------------------------------------


class Slow(link.Connection):
    """A connection that is renewed only once that is allowed.

    Attributes:
        noticed: set when the loss of one has been noticed.
        allowed: lets the next ones connect.
    """

    noticed: threading.Event
    allowed: threading.Event

    async def _start(self, *args: Any, **named: Any) -> Any:
        while self.noticed.is_set() and not self.allowed.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return await super()._start(*args, **named)

    async def _close(self, *args: Any, **named: Any) -> None:
        await super()._close(*args, **named)
        self.noticed.set()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[Slow]:
    """Connections that are renewed only once that is allowed."""
    monkeypatch.setattr(Slow, "noticed", threading.Event(), raising=False)
    monkeypatch.setattr(Slow, "allowed", threading.Event(), raising=False)
    monkeypatch.setattr(link, "Connection", Slow)
    return Slow


async def test_a_sweep_that_is_cancelled_while_its_connection_is_lost_leaves_no_prompt(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, slow: type[Slow]
) -> None:
    monkeypatch.setattr(board, "GRACE", 1000.0)
    farm = await standins(2, seconds=None)
    theirs = farm[0].enqueue("theirs")
    stop = threading.Event()
    async with behind_proxy(farm) as (proxy, address):
        sweeping = asyncio.create_task(sweep(address, 4, stop=stop))
        await until(lambda: farm[0].waiting and farm[1].running)
        proxy.cut()
        await until(slow.noticed.is_set)
        stop.set()
        await asyncio.to_thread(stop.wait)
        slow.allowed.set()
        assert await sweeping == []
    assert [one.queued() for one in farm] == [[theirs], []]


async def test_a_farm_removes_the_prompts_of_a_program_that_was_killed_and_nobody_elses(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "RECONNECT_TIMEOUT", 0.1)
    farm = await standins(2, seconds=None)
    theirs = farm[0].enqueue("theirs")
    async with served(farm) as scheduler:
        proxy = Proxy(scheduler.address)
        other = asyncio.create_task(sweep(scheduler.address, 2))
        await until(lambda: len(farm[0].queued()) == 2 and farm[1].running)
        others = {*farm[0].queued(), *farm[1].queued()}
        async with proxy.serving() as address:
            sweeping = asyncio.create_task(sweep(address, 4))
            # Two tasks wait for the workers, which are busy with the other sweep.
            await until(lambda: len(scheduler.tasks) == 4)
            # Ends the one that runs, and none that comes after it.
            farm[1].go.set()
            farm[1].go.clear()
            await until(lambda: farm[1].values and len(farm[1].queued()) == 1)
        # Its end cannot say anything any more.
        with pytest.raises(Unreachable):
            await sweeping
        await until(lambda: not farm[1].queued())
        assert theirs in farm[0].queued() and {*farm[0].queued()} - {theirs} <= others
        for one in farm:
            one.go.set()
        assert shown(await other) == [0, 1]


async def test_a_sweep_that_is_back_later_than_the_farm_has_waited_runs_what_was_removed(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, slow: type[Slow]
) -> None:
    monkeypatch.setattr(board, "GRACE", 0.0)
    farm = await standins(2, seconds=None)
    async with behind_proxy(farm) as (proxy, address):
        sweeping = asyncio.create_task(sweep(address, 6))
        await until(lambda: all(one.running for one in farm))
        proxy.cut()
        await until(lambda: all(one.interrupted and not one.queued() for one in farm))
        for one in farm:
            one.go.set()
        slow.allowed.set()
        items = await sweeping
    assert [item.error for item in items] == [None] * 6
    assert shown(items) == sorted(value for one in farm for value in one.values) == [*range(6)]


async def test_a_lost_scheduler_is_an_error_that_lists_what_is_done(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "RECONNECT_TIMEOUT", 0.5)
    farm = await standins(2)
    farm[1].seconds = None
    items: list[int] = []
    async with served(farm) as scheduler:
        sweeping = asyncio.create_task(sweep(scheduler.address, 6, lambda item: items.append(item.index)))
        await until(lambda: len(items) == 5)
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
