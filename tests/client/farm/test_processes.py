"""`uiapi farm start` and `join` as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.farm import member, processes
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.tests.client.farm.conftest import Live
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.harness.programs.farms import TIMEOUT, started, until

StandIns = Callable[..., Awaitable[list[StandIn]]]
Eventually = Callable[[Callable[[], object]], Awaitable[None]]


async def test_a_worker_whose_scheduler_does_not_answer_says_so(
    standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "CONNECT_TIMEOUT", 0.5)
    [comfyui] = await standins(1)
    joining = processes.join(
        f"tcp://127.0.0.1:{free_port()}",
        Address.of(comfyui.url, None),
        processes.Place(),
        lambda: None,
        lambda note: None,
    )
    with pytest.raises(UiapiError, match=r"cannot be joined: .*; start it with uiapi farm start, then join again"):
        await asyncio.wait_for(joining, TIMEOUT)


async def test_a_killed_worker_costs_no_picture_makes_none_twice_and_is_started_again(
    standins: StandIns, live: Live, tmp_path: Path, eventually: Eventually
) -> None:
    farm = await standins(3, seconds=None)
    words = [word for one in farm for word in ("--comfyui", one.url)]
    async with started(tmp_path, "--port", "0", "--dashboard-port", "0", *words) as made:
        assert made["address"].startswith("tcp://127.0.0.1:") and made["dashboard"].startswith("http://127.0.0.1:")
        items: list[Any] = []

        def work() -> None:
            variations = [[["Canvas.value", value]] for value in range(60)]
            # The workers know its functions by the names under which they are installed.
            with installed_client.separate(tmp_path, "uiapi.farm.sweep") as sweep:
                items.extend(sweep.run(live.export, variations, made["address"], read=live.read))

        sweeping = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.wait_for(asyncio.gather(*(one.begun.wait() for one in farm)), TIMEOUT)
        os.kill(made["workers"][farm[0].url], signal.SIGKILL)
        # Its ComfyUI lives, and has its prompt still.
        for one in farm:
            one.seconds = 0.05
            one.go.set()
        await asyncio.wait_for(sweeping, TIMEOUT)
        assert sorted(int(item.files[0].data) for item in items) == [*range(60)]
        assert sorted(value for one in farm for value in one.values) == [*range(60)]
        await until(lambda: farm[0].sockets)
    await eventually(lambda: not any(one.sockets for one in farm))


async def test_a_taken_port_is_one_sentence_and_one_of_the_dashboard_is_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("--comfyui", "http://127.0.0.1:1", "--port", str(port), "--dashboard-port", str(port))
        # In a process of its own, since Dask does not close the sockets that it could not bind.
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "uiapi", "farm", "start", *words],
            env=installed_client.environment(tmp_path, "http://127.0.0.1:9"),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    said = " ".join(ended.stderr.split())
    assert said.startswith(f"The farm cannot listen at 127.0.0.1:{port} (")
    assert said.endswith("choose another --port.") and ended.returncode == 6
