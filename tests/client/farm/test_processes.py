"""`uiapi farm start` and `join` as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from comfyui_uiapi.tests.client.farm.conftest import Live
from comfyui_uiapi.tests.harness import children
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs import installed_client

# After `installed_client`: the workers know these modules by the names under which they are installed.
from uiapi.farm.sweep import run

StandIns = Callable[..., Awaitable[list[StandIn]]]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]
# Seconds for Dask's processes to start on a busy machine.
START_TIMEOUT = 120


@asynccontextmanager
async def started(folder: Path, *words: str) -> AsyncIterator[dict[str, Any]]:
    """Runs a subcommand of `uiapi farm`; yields what it prints once it runs."""
    output = folder / "output.txt"
    command = [sys.executable, "-m", "uiapi", "--json", "farm", *words]
    with output.open("wb") as file:
        environment = installed_client.environment(folder, "http://127.0.0.1:9")
        process = children.start(command, output=file, env=environment)
    try:

        def printed() -> list[str]:
            assert process.poll() is None, output.read_text()
            return [line for line in output.read_text().splitlines() if line.startswith("{")]

        await asyncio.wait_for(_until(printed), START_TIMEOUT)
        yield json.loads(printed()[0])
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, START_TIMEOUT) == 130, output.read_text()
    finally:
        children.stop(process, grace=0)


async def _until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - of other processes
        await asyncio.sleep(0.05)


async def test_a_killed_worker_costs_no_picture_makes_none_twice_and_is_started_again(
    standins: StandIns, live: Live, tmp_path: Path, eventually: Eventually
) -> None:
    farm = await standins(3, seconds=None)
    words = [word for one in farm for word in ("--comfyui", one.url)]
    async with started(tmp_path, "start", "--port", "0", "--dashboard-port", "0", *words) as made:
        assert made["address"].startswith("tcp://127.0.0.1:") and made["dashboard"].startswith("http://127.0.0.1:")
        items: list[Any] = []

        def work() -> None:
            variations = [[["Canvas.value", value]] for value in range(60)]
            items.extend(run(live.export, variations, made["address"], read=live.read))

        sweeping = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.wait_for(asyncio.gather(*(one.begun.wait() for one in farm)), START_TIMEOUT)
        os.kill(made["workers"][farm[0].url], signal.SIGKILL)
        # Its ComfyUI lives, and has its prompt still.
        for one in farm:
            one.seconds = 0.05
            one.go.set()
        await asyncio.wait_for(sweeping, START_TIMEOUT)
        assert sorted(int(item.files[0].data) for item in items) == [*range(60)]
        assert sorted(value for one in farm for value in one.values) == [*range(60)]
        await asyncio.wait_for(_until(lambda: farm[0].sockets), START_TIMEOUT)
    await eventually(lambda: not any(one.sockets for one in farm))
