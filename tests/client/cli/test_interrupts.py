"""Ctrl-C during a command: what it ends, and what it says."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client.cli import main
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.scripted_sweeps import Sweeps
from comfyui_uiapi.tests.harness.programs.farms import until
from comfyui_uiapi.tests.harness.programs.installed_client import environment

from .conftest import Uiapi


async def interrupted(
    scripted: Scripted, place: Path, *words: str, ready: Callable[[], bool], errors: list[str] | None = None
) -> int | None:
    """Returns the exit code of a command line that receives Ctrl-C when it is ready; `errors` gets its messages."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uiapi", *words, env=environment(place, scripted.url),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if words == ("mcp",):
            assert process.stdin is not None and process.stdout is not None
            about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
            process.stdin.write(json.dumps(hello).encode() + b"\n")
            assert b"serverInfo" in await asyncio.wait_for(process.stdout.readline(), 60)
        await until(ready)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = await asyncio.wait_for(process.stderr.read(), 60)
        if errors is not None:
            errors.append(said.decode())
        return await asyncio.wait_for(process.wait(), 60)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_ctrl_c_ends_the_wait_and_the_connection_with_130(
    scripted: Scripted, place: Path, eventually: Callable[..., Any]
) -> None:
    scripted.streams["run"] = lambda frame: []
    assert await interrupted(scripted, place, "run", ready=lambda: "run" in scripted.commands()) == 130
    await eventually(lambda: scripted.sockets[0][0].closed)


async def test_ctrl_c_while_it_starts_ends_with_130(uiapi: Uiapi, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(words: list[str], prog_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupt)
    assert (await uiapi("status")).code == 130


async def test_ctrl_c_ends_the_tools_for_agents_while_they_wait(scripted: Scripted, place: Path) -> None:
    assert await interrupted(scripted, place, "mcp", ready=lambda: True) == -signal.SIGINT


async def test_ctrl_c_before_the_first_answer_cancels_the_sweep(scripted: Scripted, place: Path) -> None:
    sweeps = Sweeps(scripted, auto=False)
    sweeps.answering.clear()
    scripted.answers["get_fields"] = {"A.b": 1}
    words = ("sweep", "A.b=1,2", "-o", str(place / "out"))
    assert await interrupted(scripted, place, *words, ready=lambda: "s1" in sweeps.sweeps) == 130
    sweeps.answering.set()
    assert sweeps.sweeps["s1"]["status"] == "cancelled"


# -- plan and download ------------------------------------------------------------------------------------------


async def test_ctrl_c_says_what_goes_on(scripted: Scripted, place: Path) -> None:
    scripted.streams["run"] = lambda frame: []
    errors: list[str] = []
    assert await interrupted(scripted, place, "run", ready=lambda: "run" in scripted.commands(), errors=errors) == 130
    assert "uiapi stop stops it" in errors[0]


async def test_ctrl_c_says_how_to_end_the_download_that_goes_on(scripted: Scripted, place: Path) -> None:
    going = {"status": "downloading", "completed": False, "progress": {}, "download_id": "d1"}
    asked: list[str] = []

    def state(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response(going)

    scripted.answers |= {"download_models": {"download_id": "d1"}, "d1": state}
    errors: list[str] = []
    # The second question is asked after the first answer.
    assert await interrupted(scripted, place, "download", ready=lambda: len(asked) > 1, errors=errors) == 130
    assert """uiapi call download_cancel '{"download_id": "d1"}' ends it""" in errors[0]
