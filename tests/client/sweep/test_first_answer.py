"""Sweeps that are given up, or whose connection is lost, before the server has answered for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient
from comfyui_uiapi.tests.client.sweep.conftest import Loop
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps

GRID = {"KSampler.cfg": [4, 6], "KSampler.seed": range(3)}


async def test_a_task_that_is_cancelled_before_the_first_answer_cancels_its_sweep(
    scripted: Scripted, sweeps: Sweeps, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    sweeps.answering.clear()
    async with AsyncClient(scripted.url) as client:
        for keep in (False, True):

            async def loop(keep: bool = keep) -> None:
                async for _ in client.sweep(GRID, keep=keep):
                    pass

            task = asyncio.ensure_future(loop())
            await eventually(lambda keep=keep: len(sweeps.sweeps) == 1 + keep)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    sweeps.answering.set()
    assert [sweep["status"] for sweep in sweeps.sweeps.values()] == ["cancelled", "running"]


async def test_an_animation_that_is_cancelled_before_the_first_answer_cancels_its_sweep(
    scripted: Scripted, sweeps: Sweeps, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    sweeps.auto = False
    sweeps.answering.clear()
    async with AsyncClient(scripted.url) as client:
        task = asyncio.ensure_future(client.animate(3, lambda frame: {"A.b": frame}, tmp_path))
        await eventually(lambda: "s1" in sweeps.sweeps)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    sweeps.answering.set()
    assert sweeps.sweeps["s1"]["status"] == "cancelled"


async def test_a_sweep_whose_first_answer_is_lost_with_the_connection_goes_on(
    scripted: Scripted, sweeps: Sweeps, loop: Loop
) -> None:
    begin: Any = scripted.answers["sweep"]

    async def lose(request: web.Request) -> Any:
        answer = await begin(request)
        assert request.transport is not None
        request.transport.close()
        return answer

    scripted.answers["sweep"] = lose
    items, error = await loop(GRID)
    assert error is None and len(items) == 6
    assert (sweeps.commands().count("sweep"), "sweep_cancel" in sweeps.commands()) == (1, False)


async def test_a_sweep_that_was_lost_on_its_way_does_not_begin_later(
    scripted: Scripted, sweeps: Sweeps, loop: Loop
) -> None:
    def lose(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    scripted.answers["sweep"] = lose
    items, error = await loop(GRID)
    assert items == [] and error is not None and error.code == "connection_lost"
    asked, cancelled = sweeps.asked
    assert (asked[0], cancelled[0]) == ("sweep_status", "sweep_cancel")
    assert scripted.bodies[0]["sweep_id"] == asked[1]["sweep_id"] == cancelled[1]["sweep_id"]
