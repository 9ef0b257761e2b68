"""A time-out is that of the whole call in both clients, however slowly the server sends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, async_client
from comfyui_uiapi.client import client as blocking_client
from comfyui_uiapi.client.protocol import requests as building
from comfyui_uiapi.tests.client.conftest import PNG, Blocking, Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

# Seconds between two bytes: far less than the time-out, which starts again with each of them in a package that counts
# only the time without any.
DRIP = 0.02
FILE = {"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}
RUN = {"prompt_id": "p1", "outputs": [FILE]}


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gets no time in addition to that of the command."""
    monkeypatch.setattr(building, "GRACE", 0.3)


async def body_drips(request: web.Request) -> web.StreamResponse:
    """Send a response one byte at a time, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(DRIP)


@asynccontextmanager
async def serving(serve: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that lets `serve` answer each connection, until the end of the block."""
    served: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # That of a socket both reads and writes.
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await serve(writer)
        writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


async def header_drips(writer: asyncio.StreamWriter) -> None:
    """Send a header that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"1")
        await writer.drain()
        await asyncio.sleep(DRIP)


async def silent(writer: asyncio.StreamWriter) -> None:
    """Send nothing."""
    await asyncio.Event().wait()


async def test_a_response_that_drips_ends_with_the_time_out(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers["get_fields"] = body_drips
    with pytest.raises(UiapiError, match="did not answer get_fields") as failed:
        await asyncio.wait_for(invoke("call", "get_fields", {"fields": ["a"], "timeout": 0.2}), 60)
    assert failed.value.code == "timeout"


async def test_headers_that_drip_end_with_the_time_out(invoke: Invoke) -> None:
    async with serving(header_drips) as url:
        with pytest.raises(UiapiError) as failed:
            await asyncio.wait_for(invoke("call", "get_fields", {"fields": ["a"], "timeout": 0.2}, of={"url": url}), 60)
    assert failed.value.code == "timeout"


async def test_a_request_that_is_never_read_ends_with_the_time_out(invoke: Invoke) -> None:
    much = {"fields": [["a", "x" * 20_000_000]], "timeout": 0.2}
    async with serving(silent) as url:
        with pytest.raises(UiapiError) as failed:
            await asyncio.wait_for(invoke("call", "set_fields", much, of={"url": url}), 60)
    assert failed.value.code == "timeout"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_a_read_is_not_repeated_beyond_its_time_out(
    scripted: Scripted, blocking: Blocking, kind: type[Client] | type[AsyncClient]
) -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    client = kind(scripted.url, reconnect=3600)

    async def call(*arguments: Any) -> None:
        await (client.call(*arguments) if isinstance(client, AsyncClient) else blocking(client.call, *arguments))

    scripted.answers |= {"first": {}, "get_fields": cut}
    # Only a server that has answered before is tried again.
    await call("first")
    with pytest.raises(UiapiError) as failed:
        await asyncio.wait_for(call("get_fields", {"fields": ["a"], "timeout": 0.2}), 60)
    # The latter if the time was over during an attempt.
    assert failed.value.code in ("connection_lost", "timeout")
    closed = client.close()
    if closed is not None:
        await closed


async def test_the_time_out_of_a_run_covers_its_files(
    scripted: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0

    def ran(request: web.Request) -> dict[str, Any]:
        # As if the run had taken nearly all of the time, however long it takes here.
        nonlocal passed
        passed = 3600.0
        return RUN

    for module in (async_client, blocking_client):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed))
    scripted.answers |= {"run": ran, "view": body_drips}
    with pytest.raises(UiapiError, match="The run p1 has finished") as failed:
        await asyncio.wait_for(invoke("run", timeout=3600), 60)
    assert failed.value.code == "timeout"


async def test_a_response_in_time_is_complete_and_its_connection_is_used_again(
    scripted: Scripted, invoke: Invoke
) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, len(PNG), 7):
            await response.write(PNG[at : at + 7])
        return response

    scripted.answers |= {"run": {**RUN, "outputs": [FILE, FILE]}, "view": in_pieces}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        done = await invoke("run", timeout=60)
        gc.collect()
    assert [file.data for file in done.files] == [PNG, PNG]
