"""Fixtures: a served bridge with scripted tabs, both clients, the command line, and a scripted server."""

from __future__ import annotations

import asyncio
import io
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from comfyui_uiapi.client import AsyncClient, Client, UiapiWarning
from comfyui_uiapi.client.cli import main as command_line
from comfyui_uiapi.client.cli import terminal
from comfyui_uiapi.client.protocol.encoding import png
from comfyui_uiapi.tests.bridge.conftest import Server, folders, guard, server
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

__all__ = ["folders", "guard", "server"]

T = TypeVar("T")
# A PNG of one pixel.
PNG = png(b"\1\2\3", 1, 1)


def of_client(recorded: Iterable[warnings.WarningMessage]) -> list[warnings.WarningMessage]:
    """Leaves out the warnings of others, such as those about what is collected just then."""
    return [one for one in recorded if one.category is UiapiWarning]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests must not depend on the environment of the person who runs them."""
    monkeypatch.delenv("COMFYUI_URL", raising=False)
    monkeypatch.delenv("UIAPI_TOKEN", raising=False)
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of the served bridge. Its methods block, so call them with `blocking`."""
    with Client(server.url("").rstrip("/"), reconnect=60) as client:
        yield client


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[AsyncClient]:
    """An AsyncClient of the served bridge."""
    async with AsyncClient(server.url("").rstrip("/"), reconnect=60) as client:
        yield client


Blocking = Callable[..., Awaitable[Any]]


@pytest.fixture
def blocking() -> Blocking:
    """Calls a blocking function on a thread, while the bridge runs on this loop."""

    async def call(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await asyncio.wait_for(asyncio.to_thread(function, *arguments, **named), 120)

    return call


@dataclass
class Ended:
    """The exit code and the output of a command line."""

    code: int
    out: str
    err: str


@pytest.fixture
def uiapi(server: Server, blocking: Blocking, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Ended]]:
    """Runs a command line with the served bridge: `await uiapi("get", "Title.widget")`."""
    monkeypatch.setenv("COMFYUI_URL", server.url("").rstrip("/"))
    monkeypatch.setenv("COLUMNS", "200")
    # A command that takes long on a slow machine says no more than on another.
    monkeypatch.setattr(terminal, "PATIENCE", 600.0)

    async def carry_out(*words: str, stdin: str = "") -> Ended:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))

        def run() -> int:
            with redirect_stdout(out), redirect_stderr(err):
                try:
                    command_line.run([*words])
                except SystemExit as end:
                    return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            return 0

        code: int = await blocking(run)
        return Ended(code, out.getvalue(), err.getvalue())

    return carry_out


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """A running scripted server."""
    server = Scripted()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def elsewhere() -> AsyncIterator[Scripted]:
    """Another scripted server, which must receive nothing."""
    server = Scripted()
    await server.start()
    yield server
    await server.close()


Invoke = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
async def invoke(request: pytest.FixtureRequest, scripted: Scripted, blocking: Blocking) -> Invoke:
    """Calls a method of a Client or an AsyncClient of the scripted server: `await invoke("get", "a")`.

    `of` contains arguments for the constructor.
    """

    async def call(method: str, *arguments: Any, of: dict[str, Any] | None = None, **named: Any) -> Any:
        settings = {"url": scripted.url, "reconnect": 0, **(of or {})}
        if request.param == "sync":
            with Client(**settings) as client:
                return await blocking(getattr(client, method), *arguments, **named)
        async with AsyncClient(**settings) as async_client:
            return await getattr(async_client, method)(*arguments, **named)

    return call
