"""Runs `uiapi farm` as a process, and passes connections on to it until they are cut."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from .. import children
from ..comfy.process import free_port
from . import installed_client

# Seconds for Dask's processes to start and to end on a busy machine.
TIMEOUT = 120


@asynccontextmanager
async def started(folder: Path, *words: str) -> AsyncIterator[dict[str, Any]]:
    """Runs `uiapi farm start`, yields what it prints as JSON once it runs, and ends it as a service manager does."""
    output = folder / "farm.txt"
    command = [sys.executable, "-m", "uiapi", "--json", "farm", "start", *words]
    with output.open("wb") as file:
        environment = installed_client.environment(folder, "http://127.0.0.1:9")
        process = children.start(command, output=file, env=environment)
    try:

        def printed() -> list[str]:
            assert process.poll() is None, output.read_text()
            lines = output.read_text().splitlines(keepends=True)
            return [line for line in lines if line.startswith("{") and line.endswith("\n")]

        await until(printed)
        yield json.loads(printed()[0])
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, TIMEOUT) == 130, output.read_text()
    finally:
        children.stop(process, grace=0)


@asynccontextmanager
async def run(
    folder: Path, words: list[str], url: str = "http://127.0.0.1:9", environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a command of `uiapi` in a folder, and ends it.

    Args:
        folder: the working directory.
        words: the command.
        url: of the live ComfyUI.
        environment: further variables.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uiapi", *words),
        env={**installed_client.environment(folder, url), **(environment or {})},
        cwd=folder,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), TIMEOUT)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that depends on other processes."""

    async def spin() -> None:
        while not condition():  # noqa: ASYNC110 - most have no event
            await asyncio.sleep(0.02)

    await asyncio.wait_for(spin(), TIMEOUT)


class Proxy:
    """Passes connections on to a server at tcp://host:port."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        # The two ends of each connection: the client's, and the server's.
        self._near: list[asyncio.StreamWriter] = []
        self._far: list[asyncio.StreamWriter] = []
        self._kept: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = free_port()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yields its address."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield f"tcp://127.0.0.1:{self.port}"
        finally:
            server.close()
            self._kept.clear()
            self.cut()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self, *, unnoticed: bool = False) -> None:
        """End every connection; if `unnoticed`, the server finds out only when the proxy ends."""
        if unnoticed:
            self._kept.update(self._far)
        for writer in (*self._near, *(() if unnoticed else self._far)):
            writer.transport.abort()
        self._near.clear()
        if not unnoticed:
            self._far.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near.append(writer)
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        if writer.transport.is_closing():
            # It was cut meanwhile.
            far_writer.transport.abort()
            return
        self._far.append(far_writer)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(2**16):
                target.write(data)
                await target.drain()
        if target not in self._kept:
            target.close()
