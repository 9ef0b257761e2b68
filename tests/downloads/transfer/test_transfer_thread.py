"""The transfer thread: how its work ends when the caller is cancelled and when the thread is closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.common.threads import settled
from comfyui_uiapi.downloads.transfer.host_guard import HostGuard
from comfyui_uiapi.downloads.transfer.http_client import Web
from comfyui_uiapi.downloads.transfer.transfer_thread import Engine


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    engine = Engine(settings, HostGuard(settings))
    yield engine
    await engine.close()


async def test_callers_that_still_wait_when_the_thread_is_closed_get_an_error_and_are_not_cancelled(
    engine: Engine,
) -> None:
    started = threading.Event()

    async def work(web: Web) -> None:
        started.set()
        await asyncio.Event().wait()

    caller = asyncio.create_task(engine.run(work))
    assert await asyncio.to_thread(started.wait, 60)
    await engine.close()
    with pytest.raises(UiapiError) as refused:
        await asyncio.wait_for(caller, 60)
    assert refused.value.code == "shutting_down"


async def test_closing_the_thread_waits_for_disk_work_that_a_transfer_has_begun(engine: Engine) -> None:
    started, proceed, ended = threading.Event(), threading.Event(), threading.Event()
    in_order = []

    def write() -> None:
        started.set()
        assert proceed.wait(60)
        ended.set()

    async def work(web: Web) -> None:
        try:
            await settled(write)
        finally:
            in_order.append(ended.is_set())

    caller = asyncio.create_task(engine.run(work))
    assert await asyncio.to_thread(started.wait, 60)
    closing = asyncio.create_task(engine.close())
    await asyncio.wait({closing}, timeout=0.2)
    assert not closing.done()
    proceed.set()
    await asyncio.wait_for(closing, 60)
    assert in_order == [True]
    await asyncio.gather(caller, return_exceptions=True)


async def test_a_caller_cancelled_before_its_work_has_begun_is_let_go(engine: Engine) -> None:
    begun = False

    async def work(web: Web) -> None:
        nonlocal begun
        begun = True

    async def hold_up(web: Web) -> None:
        busy.set()
        # The thread's loop is busy while the caller is cancelled.
        assert proceed.wait(60)

    busy, proceed = threading.Event(), threading.Event()
    holding = asyncio.create_task(engine.run(hold_up))
    assert await asyncio.to_thread(busy.wait, 60)
    caller = asyncio.create_task(engine.run(work))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(caller, 60)
    await holding
    assert not begun
