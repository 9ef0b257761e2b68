"""The client for programs with an event loop: `AsyncClient`, over aiohttp.

Client is made from this file: run `python3 dev.py generate` after a change.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from . import download_watch
from .async_base import AsyncBase
from .common.command_table import Route, route
from .common.commands import AsyncCommands
from .common.errors import UiapiError, Unreachable
from .common.events import Listener
from .common.results import OutputFile, Run, not_brought, run_of
from .protocol.address import Address
from .protocol.inputs import NOTHING, Fields, given, pairs, workflow_of, write_bytes, write_workflow
from .protocol.requests import FIRST_DELAY, answered, asked, readiness, value_of, viewed, viewing


class AsyncClient(AsyncBase):
    """Drives the workflow that is open in ComfyUI's browser tab. Use it in `async with`, or `close` it.

    Every method raises UiapiError with a `code`, or its subclass Unreachable.

    Args:
        url: ComfyUI's address; the environment's COMFYUI_URL, or http://127.0.0.1:8188.
        token: the operator's UIAPI_TOKEN, if there is one; the environment's if left out.
        webui: the tab to address (see `webuis`); the main one if left out.
        name: this program's name, for whoever looks at what programs do.
        reconnect: seconds to keep trying while a ComfyUI that answered before cannot be reached.

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
        super().__init__(Address.of(url, token, name), reconnect)
        self.webui = webui
        self.revision: str | None = None
        self.commands = AsyncCommands(self.call)

    # -- fields ---------------------------------------------------------------------------------------------

    @overload
    async def get(self, path: str) -> Any: ...
    @overload
    async def get(self, path: Iterable[str]) -> dict[str, Any]: ...

    async def get(self, path: str | Iterable[str]) -> Any:
        """The value of the field at a path such as "Title.widget", or {path: value} for several."""
        if isinstance(path, str):
            values = await self.call("get_fields", {"fields": [path]})
            return values[path]
        return await self.call("get_fields", {"fields": [*path]})

    @overload
    async def set(self, path: str, value: Any) -> dict[str, Any]: ...
    @overload
    async def set(self, path: Fields) -> dict[str, Any]: ...

    async def set(self, path: str | Fields, value: Any = NOTHING) -> dict[str, Any]:
        """Write a field, `set(path, value)`, or several, `set({path: value})`; if one cannot be written, none is.

        A picture may be a PIL image, a numpy array, the bytes of an image file, or a Path of one.

        Returns:
            {requested, value, warnings} of the field; of several, that by path.
        """
        if isinstance(path, str) and value is NOTHING:
            raise TypeError("set() takes a path and a value, or a mapping of several")
        fields = [[path, value]] if isinstance(path, str) else pairs(path)
        written: dict[str, Any] = await self.call("set_fields", {"fields": fields})
        return written[path] if isinstance(path, str) else written

    async def connect(self, output: str, input: str) -> dict[str, Any]:
        """Link an output such as "Title.outputs[0]" to an input such as "Title.inputs[0]"; answers the link."""
        link: dict[str, Any] = await self.call("set_connection", {"field": [output, input]})
        return link

    # -- workflows ------------------------------------------------------------------------------------------

    async def load(self, workflow: Mapping[str, Any] | str | Path, name: str | None = None) -> dict[str, Any]:
        """Open a workflow in the tab: as a dict, as JSON text or as a file's path; in UI or API format."""
        read = await asyncio.to_thread(workflow_of, workflow)
        loaded: dict[str, Any] = await self.call("load_workflow", given(workflow=read, name=name))
        return loaded

    async def save(self, path: str | Path | None = None, *, api: bool = False) -> dict[str, Any]:
        """The open workflow in UI format, or in API format; also written to a file if one is named."""
        answer = await self.call("get_workflow")
        workflow: dict[str, Any] = answer["workflow"]["output" if api else "workflow"]
        await asyncio.to_thread(write_workflow, workflow, path)
        return workflow

    async def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the open workflow, those inside subgraphs included, with their widgets."""
        answer = await self.call("query_fields")
        nodes: list[dict[str, Any]] = answer["nodes"]
        return nodes

    async def screenshot(self, path: str | Path | None = None, nodes: Iterable[str] | None = None) -> bytes:
        """A picture of the canvas, or of the nodes at some paths, as PNG; also written to a file if one is named."""
        answer = await self.call("screenshot", given(nodes=None if nodes is None else [*nodes]))
        png = base64.b64decode(answer["png"])
        await asyncio.to_thread(write_bytes, png, path)
        return png

    # -- runs -----------------------------------------------------------------------------------------------

    async def run(
        self,
        fields: Fields | None = None,
        *,
        workflow: Mapping[str, Any] | str | Path | None = None,
        batch_count: int | None = None,
        timeout: float | None = None,
        fetch: bool = True,
        on_event: Listener | None = None,
    ) -> Run:
        """Set fields, run the open workflow, and return once ComfyUI is done, with what it made.

        Args:
            fields: {path: value} to set first.
            workflow: opened in the tab before.
            batch_count: how many times to run.
            timeout: seconds to wait for the results; an hour if left out.
            fetch: bring the content of every file; else `fetch` brings one.
            on_event: called with progress, previews and outputs as they come.
        """
        data = given(
            fields=None if fields is None else pairs(fields),
            workflow=None if workflow is None else await asyncio.to_thread(workflow_of, workflow),
            batch_count=batch_count,
            timeout=timeout,
        )
        if on_event is None:
            done = run_of(await self.call("run", data))
        else:
            envelope = await self._watched("run", self._addressed("run", data), on_event)
            done = run_of(self._value(envelope, route("run")))
        try:
            await asyncio.gather(*(self.fetch(file) for file in done.files if fetch))
        except UiapiError as error:
            raise not_brought(done, error) from error
        return done

    async def fetch(self, file: OutputFile) -> bytes:
        """The content of a file that a run made; kept in its `data`."""
        if not file.data:
            file.data = viewed(*await self._exchange(viewing(file.url)), file.filename)
        return file.data

    # -- models ---------------------------------------------------------------------------------------------

    async def plan(
        self, table: download_watch.Table | None = None, workflow: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What `download_models` would do: sizes, obstacles, room on each disk."""
        plan: dict[str, Any] = await self.call("plan_downloads", download_watch.request(table, workflow))
        return plan

    async def download_models(
        self,
        table: download_watch.Table | None = None,
        workflow: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Fetch every model that the open workflow, or a given one, needs and has not; returns when they are there.

        Args:
            table: {name: url or model definition}, for models whose address is not known.
            on_progress: called with the state of the whole download a few times a second.
            timeout: seconds until it is cancelled.

        Raises:
            UiapiError: `download_failed` with the reason of every model that could not be had.
        """
        watch = download_watch.Watch(
            await self.call("download_models", download_watch.request(table, workflow)), timeout
        )
        while True:
            state = await self.call("download_status", watch.query)
            if on_progress is not None:
                on_progress(state)
            if watch.ended(state):
                return watch.progress(state)
            if watch.is_late():
                await self.call("download_cancel", watch.query)
                raise watch.late()
            await asyncio.sleep(download_watch.INTERVAL)

    # -- who is there ---------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Who is connected and what is going on."""
        status: dict[str, Any] = await self.call("connection_status")
        return status

    async def webuis(self) -> list[dict[str, Any]]:
        """The open tabs."""
        webuis: list[dict[str, Any]] = await self.call("webuis")
        return webuis

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once ComfyUI answers and a tab is open; UiapiError `timeout` or Unreachable after so many seconds."""
        until = time.monotonic() + timeout
        while True:
            sending = readiness(until - time.monotonic())
            try:
                self._value(answered(sending, *await self._exchange(sending, 0), self.url), sending.route)
                return
            except Unreachable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(FIRST_DELAY)

    # -- any command ----------------------------------------------------------------------------------------

    async def call(self, command: str, data: Mapping[str, Any] | None = None) -> Any:
        """Carry out any command of the server and return what it answers."""
        sending = asked(command, self._addressed(command, data or {}))
        return self._value(answered(sending, *await self._exchange(sending), self.url), sending.route)

    def _value(self, envelope: dict[str, Any], known: Route) -> Any:
        self.revision = envelope.get("revision", self.revision)
        return value_of(envelope, known)

    def _addressed(self, command: str, data: Mapping[str, Any]) -> dict[str, Any]:
        if self.webui is None or "webui" in data or "webui" not in route(command).request["properties"]:
            return dict(data)
        return {**data, "webui": self.webui}

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
