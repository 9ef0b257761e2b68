"""Fixtures: scripted sweeps, and a loop over a sweep with either client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.client import AsyncClient, Client, UiapiError
from comfyui_uiapi.client.sweep import async_sweep, blocking_sweep
from comfyui_uiapi.client.sweep.item import SweepItem
from comfyui_uiapi.tests.client.conftest import Blocking
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps

# Runs `client.sweep(values, …)`, or another method, calls `each(item)` for every result, and returns the results with
# the error at the end.
Loop = Callable[..., Awaitable[tuple[list[SweepItem], UiapiError | None]]]


@pytest.fixture
def sweeps(scripted: Scripted) -> Sweeps:
    """The sweeps of the scripted server."""
    return Sweeps(scripted)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that soon ask for results whose events were lost."""
    for module in (async_sweep, blocking_sweep):
        monkeypatch.setattr(module, "QUIET", 0.05)


@pytest.fixture(params=["sync", "async"])
def loop(request: pytest.FixtureRequest, scripted: Scripted, blocking: Blocking) -> Loop:
    """A loop over a sweep with a Client or an AsyncClient."""

    async def run(*arguments: Any, each: Any = lambda item: None, method: str = "sweep", **named: Any) -> Any:
        items: list[SweepItem] = []

        def note(item: SweepItem) -> None:
            items.append(item)
            each(item)

        def work() -> UiapiError | None:
            with Client(scripted.url, reconnect=60) as client:
                try:
                    for item in getattr(client, method)(*arguments, **named):
                        note(item)
                except UiapiError as error:
                    return error
                return None

        if request.param == "sync":
            return items, await blocking(work)
        async with AsyncClient(scripted.url, reconnect=60) as client:
            try:
                async for item in getattr(client, method)(*arguments, **named):
                    note(item)
            except UiapiError as error:
                return items, error
        return items, None

    return run
