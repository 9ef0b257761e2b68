"""`AsyncClient`, the client for asyncio programs, over aiohttp.

client.py is generated from this file: run `python3 dev.py generate` after a change.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from .base.async_base import AsyncBase
from .common import download_watch
from .common.command_table import route
from .common.commands import AsyncCommands
from .common.errors import UiapiError, Unreachable
from .common.events import Listener
from .common.notices import warn, warnings_in
from .common.results import OutputFile, Run, not_fetched, run_of
from .protocol.address import Address
from .protocol.inputs import NOTHING, Fields, given, pairs, workflow_of, write_picture, write_workflow
from .protocol.requests import FIRST_DELAY, VIEW, answered, asked, readiness, value_of, viewed, viewing
from .sweep.async_methods import AsyncSweeping


class AsyncClient(AsyncBase, AsyncSweeping):
    """Drives the workflow that is open in ComfyUI's browser tab. Use it in `async with`, or call `close`.

    Every method may raise UiapiError with a `code`, or its subclass Unreachable.

    Args:
        url: ComfyUI's URL (default: the environment's COMFYUI_URL, else a ComfyUI that is found on this machine).
        token: the UIAPI_TOKEN of the server, if it has one (default: the environment's UIAPI_TOKEN).
        webui: ID of the connected tab to use, see `webuis` (default: the main one).
        name: this program's name, as the panel and the log show it.
        reconnect: seconds to keep trying when a ComfyUI that responded before cannot be reached.

    Attributes:
        commands: every command of the server as a method with its own parameters.
        webui: ID of the connected tab to use, None for the main one.
        revision: the graph's revision in the last response; a write that is sent with it as `if_revision` fails if the
            graph has changed since.
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
        """Returns the value of the field at a path such as "Title.widget", or {path: value} for several paths."""
        if isinstance(path, str):
            values = await self.call("get_fields", {"fields": [path]})
            return values[path]
        return await self.call("get_fields", {"fields": [*path]})

    @overload
    async def set(self, path: str, value: Any) -> dict[str, Any]: ...
    @overload
    async def set(self, path: Fields) -> dict[str, Any]: ...

    async def set(self, path: str | Fields, value: Any = NOTHING) -> dict[str, Any]:
        """Write a field, `set(path, value)`, or several, `set({path: value})`. If one cannot be written, none is.

        A picture may be a PIL image, a numpy array, the bytes of an image file, or the Path of one; sounds, videos and
        3D models may be bytes or a Path. {"type": "url", "url": "https://…"} makes the server download the file. A
        value that a run will not use as it is, such as one beyond the range of its field, is a UiapiWarning.

        Returns:
            {requested, value, warnings} for a field; for several, {path: {requested, value, warnings}}.
        """
        if isinstance(path, str) and value is NOTHING:
            raise TypeError("set() takes a path and a value, or a mapping of several")
        fields = [[path, value]] if isinstance(path, str) else pairs(path)
        written: dict[str, Any] = await self.call("set_fields", {"fields": fields})
        warn(warnings_in(written))
        return written[path] if isinstance(path, str) else written

    async def connect(self, output: str, input: str) -> dict[str, Any]:
        """Link an output such as "Title.outputs[0]" to an input such as "Title.inputs[0]"; returns the link."""
        link: dict[str, Any] = await self.call("set_connection", {"field": [output, input]})
        return link

    # -- workflows ------------------------------------------------------------------------------------------

    async def load(self, workflow: Mapping[str, Any] | str | Path, name: str | None = None) -> dict[str, Any]:
        """Open a workflow in the tab: a dict, JSON text or the path of a file, in UI or API format."""
        read = await asyncio.to_thread(workflow_of, workflow)
        loaded: dict[str, Any] = await self.call("load_workflow", given(workflow=read, name=name))
        warn(warnings_in(loaded))
        return loaded

    async def save(self, path: str | Path | None = None, *, api: bool = False) -> dict[str, Any]:
        """Returns the open workflow in UI format, or in API format, and writes it to the file `path` if given."""
        answer = await self.call("get_workflow")
        workflow: dict[str, Any] = answer["workflow"]["output" if api else "workflow"]
        await asyncio.to_thread(write_workflow, workflow, path)
        return workflow

    async def templates(self, query: str = "") -> list[dict[str, Any]]:
        """Returns the workflow templates with all of these words: the official ones, and examples of node packs."""
        listed = await self.call("list_templates", {"query": query, "limit": 1000})
        found: list[dict[str, Any]] = listed["templates"]
        return found

    async def open_template(self, name: str, pack: str | None = None) -> dict[str, Any]:
        """Open a workflow template in a new workflow tab; `missing_models` in the result has the models it lacks."""
        opened: dict[str, Any] = await self.call("open_template", given(name=name, pack=pack))
        return opened

    async def nodes(self) -> list[dict[str, Any]]:
        """Returns the nodes of the open workflow with their widgets, including nodes inside subgraphs."""
        answer = await self.call("query_fields")
        nodes: list[dict[str, Any]] = answer["nodes"]
        return nodes

    async def screenshot(self, path: str | Path | None = None, nodes: Iterable[str] | None = None) -> bytes:
        """Returns a PNG of the canvas, or of the nodes at these paths, and writes it to the file `path` if given.

        The file has the format of its suffix, such as .jpg; for others than PNG, Pillow must be installed.
        """
        answer = await self.call("screenshot", given(nodes=None if nodes is None else [*nodes]))
        png = base64.b64decode(answer["png"])
        await asyncio.to_thread(write_picture, png, path)
        return png

    # -- runs -----------------------------------------------------------------------------------------------

    async def run(
        self,
        fields: Fields | None = None,
        *,
        workflow: Mapping[str, Any] | str | Path | None = None,
        batch_count: int | None = None,
        targets: Iterable[str] | None = None,
        timeout: float | None = None,
        fetch: bool = True,
        on_event: Listener | None = None,
    ) -> Run:
        """Set fields, run the open workflow, wait for ComfyUI to finish, and return the results.

        What is not done quite as requested is a UiapiWarning, and is in the `warnings` of the results.

        Args:
            fields: {path: value} to set first.
            workflow: opened in the tab first.
            batch_count: how many times to run.
            targets: the output nodes to run with what they need (default: all).
            timeout: seconds for the whole call, the files included (default: one hour).
            fetch: download the content of every output file; if False, call `fetch` for single files.
            on_event: called with the run's events: progress, previews and outputs.
        """
        data = given(
            fields=None if fields is None else pairs(fields),
            workflow=None if workflow is None else await asyncio.to_thread(workflow_of, workflow),
            batch_count=batch_count,
            targets=None if targets is None else [*targets],
            timeout=timeout,
        )
        until = time.monotonic() + asked("run", given(timeout=timeout)).patience
        done = run_of(await self.call("run", data, on_event=on_event))
        warn(done.warnings)
        try:
            await asyncio.gather(*(self._fetch(file, until - time.monotonic()) for file in done.files if fetch))
        except UiapiError as error:
            raise not_fetched(done, error) from error
        return done

    async def fetch(self, file: OutputFile) -> bytes:
        """Returns the content of an output file, and keeps it in the file's `data`."""
        return await self._fetch(file, VIEW.timeout)

    async def _fetch(self, file: OutputFile, seconds: float) -> bytes:
        if not file.data:
            file.data = viewed(*await self._exchange(viewing(file.url, seconds)), file.filename)
        return file.data

    # -- models ---------------------------------------------------------------------------------------------

    async def plan(
        self,
        table: download_watch.Table | None = None,
        workflow: Mapping[str, Any] | None = None,
        *,
        search: bool = False,
        accept: str | None = None,
    ) -> dict[str, Any]:
        """Returns what `download_models` would do: sizes, obstacles, and the free space of each disk.

        Args:
            table: as for `download_models`.
            workflow: the open one if left out.
            search: whether Hugging Face and CivitAI are searched for models without a known URL.
            accept: as for `download_models`.
        """
        plan: dict[str, Any] = await self.call(
            "plan_downloads", download_watch.request(table, workflow, search=search, accept=accept)
        )
        return plan

    async def download_models(
        self,
        table: download_watch.Table | None = None,
        workflow: Mapping[str, Any] | None = None,
        *,
        search: bool = False,
        accept: str | None = None,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Download the missing models of the open workflow, or of a given one; returns when all are downloaded.

        Args:
            table: {name: URL or model definition}, for models without a known URL.
            workflow: the open one if left out.
            search: whether Hugging Face and CivitAI are searched for the others; the person chooses what is used.
            accept: "found" uses what a search finds without asking, where only one file can be meant.
            on_progress: called with the state of the whole download a few times a second.
            timeout: seconds after which the download is cancelled.

        Raises:
            UiapiError: `download_failed`, with the reason for every model that could not be downloaded.
        """
        return await self._download(
            download_watch.request(table, workflow, search=search, accept=accept), on_progress, timeout
        )

    async def doctor(
        self,
        workflow: Mapping[str, Any] | None = None,
        *,
        fix: bool = False,
        search: bool = False,
        accept: str | None = None,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Returns what the open workflow, or a given one, lacks before it can run, with the next step for each thing.

        Args:
            fix: first do what needs no person: set widgets to models that are present under another name, and download
                models whose source is known. `failures` in the result has a sentence for each step that failed.
            search: as for `download_models`.
            accept: as for `download_models`.
            on_progress: called with the state of a download a few times a second.
            timeout: seconds after which a download is cancelled.
        """
        data = download_watch.request(None, workflow, search=search, accept=accept)
        found: dict[str, Any] = await self.call("doctor", data)
        if not fix:
            return found
        failures: list[str] = []
        for step in found["fixes"]:
            try:
                if step["command"] == "download_models":
                    given = download_watch.request(None, workflow)
                    await self._download({**step["data"], **given}, on_progress, timeout)
                else:
                    await self.call(step["command"], step["data"])
            except UiapiError as error:
                failures.append(error.message)
        return {**await self.call("doctor", data), "failures": failures}

    async def _download(
        self, data: dict[str, Any], on_progress: Callable[[dict[str, Any]], object] | None, timeout: float | None
    ) -> dict[str, Any]:
        watch = download_watch.Watch(await self.call("download_models", data), timeout)
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

    # -- connections ----------------------------------------------------------------------------------------

    async def status(self) -> dict[str, Any]:
        """Returns the number of connected tabs, pending requests and downloads."""
        status: dict[str, Any] = await self.call("connection_status")
        return status

    async def webuis(self) -> list[dict[str, Any]]:
        """Returns the connected tabs."""
        webuis: list[dict[str, Any]] = await self.call("webuis")
        return webuis

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait until ComfyUI responds and a tab is connected; raises UiapiError `timeout` or Unreachable otherwise."""
        until = time.monotonic() + timeout
        while True:
            sending = readiness(until - time.monotonic())
            try:
                answered(sending, *await self._exchange(sending, 0), self.url)
                return
            except Unreachable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(FIRST_DELAY)

    # -- ComfyUI --------------------------------------------------------------------------------------------

    async def system(self) -> dict[str, Any]:
        """Returns versions, such as that of PyTorch, the memory of the devices and the machine, and the queue."""
        found: dict[str, Any] = await self.call("system")
        return found

    async def free_memory(self, *, cache: bool = True) -> dict[str, Any]:
        """Unload all models, and with `cache` forget the outputs of nodes; `freed` in the result says if it is done."""
        freed: dict[str, Any] = await self.call("free_memory", {"cache": cache})
        return freed

    async def refresh_models(self) -> list[dict[str, Any]]:
        """Make the page reload its lists of files; returns the lists that have changed."""
        refreshed: dict[str, Any] = await self.call("refresh_models")
        changed: list[dict[str, Any]] = refreshed["changed"]
        return changed

    async def logs(self, lines: int = 200) -> list[dict[str, str]]:
        """Returns the last lines of ComfyUI's log, each with time and text, without tokens and passwords."""
        log = await self.call("logs", {"lines": lines})
        found: list[dict[str, str]] = log["lines"]
        return found

    # -- any command ----------------------------------------------------------------------------------------

    async def call(
        self, command: str, data: Mapping[str, Any] | None = None, *, on_event: Listener | None = None
    ) -> Any:
        """Send any command to the server and return its response.

        `on_event` is called with a run's events, and with `waiting_for_person` if a person at the browser is asked.
        """
        return value_of(await self.request(command, data, on_event=on_event), route(command))

    async def request(
        self, command: str, data: Mapping[str, Any] | None = None, *, on_event: Listener | None = None
    ) -> dict[str, Any]:
        """As `call`, but returns the whole envelope: the response with the graph's revision and the workflow tab."""
        addressed = self._addressed(command, data or {})
        if on_event is None:
            sending = asked(command, addressed)
            envelope = answered(sending, *await self._exchange(sending), self.url)
        else:
            envelope = await self._watched(command, addressed, on_event)
        self.revision = envelope.get("revision", self.revision)
        return envelope

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
