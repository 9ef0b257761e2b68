"""The client for programs with an event loop: `AsyncClient`, over aiohttp. Its methods are those of `Client`."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import aiohttp
from yarl import URL

from . import models
from .commands import AsyncCommands
from .errors import UiapiError, Unreachable
from .events import Event, Listener
from .results import OutputFile, Run, not_brought, run_of
from .socket import Socket, opened
from .table import Route, route
from .wire import (
    CONNECT_TIMEOUT,
    FIRST_DELAY,
    LAST_DELAY,
    NOTHING,
    Address,
    Asked,
    Fields,
    answered,
    asked,
    given,
    late,
    lost,
    not_reached,
    pairs,
    readiness,
    value_of,
    viewed,
    viewing,
    workflow_of,
    write_bytes,
    write_workflow,
)


class AsyncClient:
    """Drives the workflow that is open in ComfyUI's browser tab. Use it in `async with`, or `close` it.

    The arguments, methods and errors are those of Client.

    Attributes:
        commands: every command of the server as a method with its own parameters.
        webui: the tab to address, None for the main one.
        revision: the graph's as of the last answer, for a write that is to happen only `if_revision` still is the same.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        webui: int | None = None,
        name: str = "Python",
        reconnect: float = 30.0,
    ) -> None:
        self._address = Address.of(url, token, name)
        self.webui = webui
        self._reconnect = reconnect
        self._answered_before = False
        self.revision: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._socket: Socket | None = None
        self.commands = AsyncCommands(self.call)

    @property
    def url(self) -> str:
        """ComfyUI's address."""
        return self._address.url

    @property
    def token(self) -> str | None:
        """The token that is sent."""
        return self._address.token

    # -- fields ---------------------------------------------------------------------------------------------

    @overload
    async def get(self, path: str) -> Any: ...
    @overload
    async def get(self, path: Iterable[str]) -> dict[str, Any]: ...

    async def get(self, path: str | Iterable[str]) -> Any:
        """See Client.get."""
        if isinstance(path, str):
            return (await self.call("get_fields", {"fields": [path]}))[path]
        return await self.call("get_fields", {"fields": [*path]})

    @overload
    async def set(self, path: str, value: Any) -> dict[str, Any]: ...
    @overload
    async def set(self, path: Fields) -> dict[str, Any]: ...

    async def set(self, path: str | Fields, value: Any = NOTHING) -> dict[str, Any]:
        """See Client.set."""
        if isinstance(path, str):
            if value is NOTHING:
                raise TypeError("set() takes a path and a value, or a mapping of several")
            written: dict[str, Any] = (await self.call("set_fields", {"fields": [[path, value]]}))[path]
            return written
        several: dict[str, Any] = await self.call("set_fields", {"fields": pairs(path)})
        return several

    async def connect(self, output: str, input: str) -> dict[str, Any]:
        """See Client.connect."""
        link: dict[str, Any] = await self.call("set_connection", {"field": [output, input]})
        return link

    # -- workflows ------------------------------------------------------------------------------------------

    async def load(self, workflow: Mapping[str, Any] | str | Path, name: str | None = None) -> dict[str, Any]:
        """See Client.load."""
        read = await asyncio.to_thread(workflow_of, workflow)
        loaded: dict[str, Any] = await self.call("load_workflow", given(workflow=read, name=name))
        return loaded

    async def save(self, path: str | Path | None = None, *, api: bool = False) -> dict[str, Any]:
        """See Client.save."""
        answer = await self.call("get_workflow")
        workflow: dict[str, Any] = answer["workflow"]["output" if api else "workflow"]
        await asyncio.to_thread(write_workflow, workflow, path)
        return workflow

    async def nodes(self) -> list[dict[str, Any]]:
        """See Client.nodes."""
        nodes: list[dict[str, Any]] = (await self.call("query_fields"))["nodes"]
        return nodes

    async def screenshot(self, path: str | Path | None = None, nodes: Iterable[str] | None = None) -> bytes:
        """See Client.screenshot."""
        data = given(nodes=None if nodes is None else [*nodes])
        png = base64.b64decode((await self.call("screenshot", data))["png"])
        await asyncio.to_thread(write_bytes, png, path)
        return png

    # -- runs -----------------------------------------------------------------------------------------------

    async def run(
        self,
        fields: Fields | None = None,
        *,
        workflow: Mapping[str, Any] | str | Path | None = None,
        batch_count: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the server's, which answers when it is up
        fetch: bool = True,
        on_event: Listener | None = None,
    ) -> Run:
        """See Client.run."""
        data = given(
            fields=None if fields is None else pairs(fields),
            workflow=None if workflow is None else await asyncio.to_thread(workflow_of, workflow),
            batch_count=batch_count,
            timeout=timeout,
        )
        if on_event is None:
            done = run_of(await self.call("run", data))
        else:
            envelope = await self._events().request("run", self._addressed("run", data), on_event)
            done = run_of(self._told(envelope, route("run")))
        try:
            await asyncio.gather(*(self.fetch(file) for file in done.files if fetch))
        except UiapiError as error:
            raise not_brought(done, error) from error
        return done

    async def fetch(self, file: OutputFile) -> bytes:
        """See Client.fetch."""
        if not file.data:
            file.data = viewed(*await self._exchange(viewing(file.url)), file.filename)
        return file.data

    # -- models ---------------------------------------------------------------------------------------------

    async def plan(
        self, table: models.Table | None = None, workflow: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """See Client.plan."""
        plan: dict[str, Any] = await self.call("plan_downloads", models.request(table, workflow))
        return plan

    async def download_models(
        self,
        table: models.Table | None = None,
        workflow: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the download is cancelled at the server as well
    ) -> dict[str, Any]:
        """See Client.download_models."""
        watch = models.Watch(await self.call("download_models", models.request(table, workflow)), timeout)
        while True:
            state = await self.call("download_status", watch.query)
            if on_progress is not None:
                on_progress(state)
            if watch.ended(state):
                return watch.progress(state)
            if watch.is_late():
                await self.call("download_cancel", watch.query)
                raise watch.late()
            await asyncio.sleep(models.INTERVAL)

    # -- who is there, and what happens ---------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """See Client.status."""
        status: dict[str, Any] = await self.call("connection_status")
        return status

    async def webuis(self) -> list[dict[str, Any]]:
        """See Client.webuis."""
        webuis: list[dict[str, Any]] = await self.call("webuis")
        return webuis

    async def wait_until_ready(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - goes on to the server
        """See Client.wait_until_ready."""
        until = time.monotonic() + timeout
        while True:
            sending = readiness(until - time.monotonic())
            try:
                self._told(answered(sending, *await self._exchange(sending, 0), self.url), sending.route)
                return
            except Unreachable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(FIRST_DELAY)

    async def on(
        self, events: str | Iterable[str], listener: Listener, *, paths: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Have `listener(event)` called on this loop for events; see Client.on. Returns what ends it."""
        return await self._events().subscribe([events] if isinstance(events, str) else events, listener, paths)

    @asynccontextmanager
    async def events(self, *names: str, paths: Iterable[str] = ()) -> AsyncIterator[AsyncIterator[Event]]:
        """Events as they come: `async with client.events("output") as events: async for event in events: …`."""
        found: asyncio.Queue[Event | UiapiError | None] = asyncio.Queue()
        end = await self._events().subscribe(names or ("*",), found.put_nowait, paths, found.put_nowait)

        async def each() -> AsyncGenerator[Event, None]:
            while (event := await found.get()) is not None:
                if isinstance(event, UiapiError):
                    raise event
                yield event

        try:
            async with aclosing(each()) as events:
                yield events
        finally:
            end()

    # -- any command ----------------------------------------------------------------------------------------

    async def call(self, command: str, data: Mapping[str, Any] | None = None) -> Any:
        """Carry out any command of the server and return what it answers."""
        sending = asked(command, self._addressed(command, data or {}))
        status, body = await self._exchange(sending)
        return self._told(answered(sending, status, body, self.url), sending.route)

    def _told(self, envelope: dict[str, Any], known: Route) -> Any:
        self.revision = envelope.get("revision", self.revision)
        return value_of(envelope, known)

    def _addressed(self, command: str, data: Mapping[str, Any]) -> dict[str, Any]:
        if self.webui is None or "webui" in data or "webui" not in route(command).request["properties"]:
            return dict(data)
        return {**data, "webui": self.webui}

    async def _exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]:
        patience = self._reconnect if reconnect is None else reconnect
        until: float | None = None
        delay = FIRST_DELAY
        while True:
            try:
                response = await self._send(sending)
                self._answered_before = True
                return response
            except Unreachable as error:
                safe = error.code == "unreachable" or sending.route.risk == "read"
                if not safe or not self._answered_before:
                    raise
                until = until or time.monotonic() + patience
                if time.monotonic() + delay > until:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _send(self, sending: Asked) -> tuple[int, bytes]:
        try:
            async with self._opened().request(
                "GET" if sending.body is None else "POST",
                # As it is: what is quoted in it stays quoted.
                URL(f"{self.url}{sending.path}", encoded=True),
                data=sending.body,
                headers={"Content-Type": "application/json", **self._address.headers},
                timeout=aiohttp.ClientTimeout(total=sending.patience, sock_connect=CONNECT_TIMEOUT),
                allow_redirects=False,
                proxy=self._address.proxy,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL, UnicodeError) as error:
            raise not_reached(self.url, error) from None
        except asyncio.TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise not_reached(self.url, "no answer in time") from None
            raise late(sending) from None
        except aiohttp.ClientError as error:
            raise lost(sending, error) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = opened()
        return self._session

    def _events(self) -> Socket:
        if self._socket is None:
            self._socket = Socket(self._address, self._opened(), self._reconnect)
        return self._socket

    async def close(self) -> None:
        """End every connection."""
        socket, self._socket = self._socket, None
        session, self._session = self._session, None
        if socket is not None:
            await socket.close()
        if session is not None:
            await session.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
