"""Sweeps of both clients and of the command line on a farm: prompts of the open workflow, results as elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import distributed  # noqa: F401 - at the start, since it takes seconds on a busy machine
import pytest
from comfyui_uiapi.client import AsyncClient, Client
from comfyui_uiapi.client.farm import link
from comfyui_uiapi.client.sweep.item import SweepItem
from comfyui_uiapi.tests.client.cli.conftest import Uiapi, place, talk
from comfyui_uiapi.tests.client.farm.conftest import HANGS, served, shown
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn

__all__ = ["place", "talk"]

StandIns = Callable[..., Awaitable[list[StandIn]]]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_either_client_gets_the_pictures_of_a_farm_in_order(
    opened: Scripted, standins: StandIns, kind: str
) -> None:
    urls = [one.url for one in await standins(2)]
    values = {"Canvas.value": range(5)}

    def work() -> list[SweepItem]:
        with Client(opened.url) as client:
            return [*client.sweep(values, farm=urls, ordered=True)]

    if kind == "sync":
        items = await asyncio.wait_for(asyncio.to_thread(work), HANGS)
    else:
        async with AsyncClient(opened.url) as client:
            items = [item async for item in client.sweep(values, farm=urls, ordered=True)]
    assert shown(items) == [*range(5)] == [item.index for item in items]


async def test_the_command_line_saves_the_pictures_of_a_farm_and_completes_them(
    opened: Scripted, standins: StandIns, talk: Uiapi, place: Path
) -> None:
    farm = await standins(2)
    words = ("--farm", ",".join(one.url for one in farm), "-o", str(place), "--json")
    ended = await talk("sweep", "Canvas.value=0..2", *words)
    assert ended.code == 0 and json.loads(ended.out)["done"] == 3, ended.err
    ended = await talk("sweep", "Canvas.value=0..4", *words, "--resume")
    answer = json.loads(ended.out)
    assert (answer["done"], answer["skipped"]) == (5, 3)
    assert [(place / f"value={value}.png").read_bytes() for value in range(5)] == [b"%d" % value for value in range(5)]
    assert sorted(value for one in farm for value in one.values) == [*range(5)]


async def test_a_sweep_whose_scheduler_has_ended_is_completed_on_another_farm(
    opened: Scripted,
    standins: StandIns,
    talk: Uiapi,
    place: Path,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "RECONNECT_TIMEOUT", 0.5)
    farm = await standins(2)
    farm[1].seconds = None
    words = ("sweep", "Canvas.value=0..5", "-o", str(place), "--json")
    async with served(farm) as scheduler:
        talking = asyncio.ensure_future(talk(*words, "--farm", scheduler.address))
        await eventually(lambda: len([*place.glob("*.png")]) == 5)
        await scheduler.close()
        ended = await talking
    assert ended.code == 3 and "5 of 6 variations are done" in ended.err, ended.err
    assert "The same command with --resume completes it." in ended.err
    farm[1].go.set()
    async with served(farm) as scheduler:
        ended = await talk(*words, "--farm", scheduler.address, "--resume")
    assert ended.code == 0, ended.err
    answer = json.loads(ended.out)
    assert (answer["done"], answer["skipped"]) == (6, 5)
    assert [(place / f"value={value}.png").read_bytes() for value in range(6)] == [b"%d" % value for value in range(6)]
