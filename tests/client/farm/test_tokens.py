"""The tokens of a farm: each ComfyUI receives its own, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from comfyui_uiapi.client.common.tasks import end
from comfyui_uiapi.client.farm.cluster import scheduler_at
from comfyui_uiapi.client.farm.member import Member
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.tests.client.farm.conftest import Sweep, shown
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs.farms import until
from distributed import Security

StandIns = Callable[..., Awaitable[list[StandIn]]]


def urls(farm: list[StandIn]) -> list[str]:
    return [one.url for one in farm]


def tokens(comfyui: StandIn) -> set[str | None]:
    """What it was sent as a token."""
    return {headers.get("Authorization") for headers in comfyui.headers}


async def test_the_token_of_the_environment_goes_to_the_comfyui(
    standins: StandIns, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UIAPI_TOKEN", "s3cr3t")
    farm = await standins(1)
    await sweep(urls(farm), 2)
    assert {headers.get("Authorization") for headers in farm[0].headers} == {"Bearer s3cr3t"}


async def test_a_worker_that_looks_for_a_prompt_in_another_comfyui_keeps_its_token(
    standins: StandIns, sweep: Sweep
) -> None:
    farm = await standins(2, seconds=None)
    async with scheduler_at(port=0, security=Security()) as scheduler:
        members = [
            asyncio.create_task(Member(scheduler.address, Address.of(one.url, f"token-{at}"), first=60).serve())
            for at, one in enumerate(farm)
        ]
        await until(lambda: len(scheduler.workers) == 2)
        sweeping = asyncio.create_task(sweep(scheduler.address, 2))
        await until(lambda: all(one.running for one in farm))
        await end([members[0]], 60)
        before = len(farm[0].headers)
        farm[1].go.set()
        await until(lambda: len(farm[0].headers) > before)
        farm[0].go.set()
        items = await sweeping
        await end([members[1]], 60)
    assert shown(items) == sorted(value for one in farm for value in one.values) == [0, 1]
    assert tokens(farm[0]) == {"Bearer token-0", None} and tokens(farm[1]) == {"Bearer token-1"}
