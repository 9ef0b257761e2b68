"""The client for programs without an event loop: `Client`, over requests.

Made by `python3 dev.py generate` from the source of the other client: change that, not this one.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from . import download_watch
from .common.command_table import Route, route
from .common.commands import Commands
from .common.errors import UiapiError, Unreachable
from .common.events import Listener
from .common.results import OutputFile, Run, not_brought, run_of
from .protocol.address import Address
from .protocol.inputs import NOTHING, Fields, given, pairs, workflow_of, write_bytes, write_workflow
from .protocol.requests import FIRST_DELAY, answered, asked, readiness, value_of, viewed, viewing
from .sync_base import SyncBase


class Client(SyncBase):
    """Drives the workflow that is open in ComfyUI's browser tab. Usable from several threads, and in `with`.

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
        self.commands = Commands(self.call)

    # -- fields ---------------------------------------------------------------------------------------------

    @overload
    def get(self, path: str) -> Any: ...
    @overload
    def get(self, path: Iterable[str]) -> dict[str, Any]: ...

    def get(self, path: str | Iterable[str]) -> Any:
        """The value of the field at a path such as "Title.widget", or {path: value} for several."""
        if isinstance(path, str):
            values = self.call("get_fields", {"fields": [path]})
            return values[path]
        return self.call("get_fields", {"fields": [*path]})

    @overload
    def set(self, path: str, value: Any) -> dict[str, Any]: ...
    @overload
    def set(self, path: Fields) -> dict[str, Any]: ...

    def set(self, path: str | Fields, value: Any = NOTHING) -> dict[str, Any]:
        """Write a field, `set(path, value)`, or several, `set({path: value})`; if one cannot be written, none is.

        A picture may be a PIL image, a numpy array, the bytes of an image file, or a Path of one.

        Returns:
            {requested, value, warnings} of the field; of several, that by path.
        """
        if isinstance(path, str) and value is NOTHING:
            raise TypeError("set() takes a path and a value, or a mapping of several")
        fields = [[path, value]] if isinstance(path, str) else pairs(path)
        written: dict[str, Any] = self.call("set_fields", {"fields": fields})
        return written[path] if isinstance(path, str) else written

    def connect(self, output: str, input: str) -> dict[str, Any]:
        """Link an output such as "Title.outputs[0]" to an input such as "Title.inputs[0]"; answers the link."""
        link: dict[str, Any] = self.call("set_connection", {"field": [output, input]})
        return link

    # -- workflows ------------------------------------------------------------------------------------------

    def load(self, workflow: Mapping[str, Any] | str | Path, name: str | None = None) -> dict[str, Any]:
        """Open a workflow in the tab: as a dict, as JSON text or as a file's path; in UI or API format."""
        read = workflow_of(workflow)
        loaded: dict[str, Any] = self.call("load_workflow", given(workflow=read, name=name))
        return loaded

    def save(self, path: str | Path | None = None, *, api: bool = False) -> dict[str, Any]:
        """The open workflow in UI format, or in API format; also written to a file if one is named."""
        answer = self.call("get_workflow")
        workflow: dict[str, Any] = answer["workflow"]["output" if api else "workflow"]
        write_workflow(workflow, path)
        return workflow

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the open workflow, those inside subgraphs included, with their widgets."""
        answer = self.call("query_fields")
        nodes: list[dict[str, Any]] = answer["nodes"]
        return nodes

    def screenshot(self, path: str | Path | None = None, nodes: Iterable[str] | None = None) -> bytes:
        """A picture of the canvas, or of the nodes at some paths, as PNG; also written to a file if one is named."""
        answer = self.call("screenshot", given(nodes=None if nodes is None else [*nodes]))
        png = base64.b64decode(answer["png"])
        write_bytes(png, path)
        return png

    # -- runs -----------------------------------------------------------------------------------------------

    def run(
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
            workflow=None if workflow is None else workflow_of(workflow),
            batch_count=batch_count,
            timeout=timeout,
        )
        if on_event is None:
            done = run_of(self.call("run", data))
        else:
            envelope = self._watched("run", self._addressed("run", data), on_event)
            done = run_of(self._value(envelope, route("run")))
        try:
            for file in done.files if fetch else ():
                self.fetch(file)
        except UiapiError as error:
            raise not_brought(done, error) from error
        return done

    def fetch(self, file: OutputFile) -> bytes:
        """The content of a file that a run made; kept in its `data`."""
        if not file.data:
            file.data = viewed(*self._exchange(viewing(file.url)), file.filename)
        return file.data

    # -- models ---------------------------------------------------------------------------------------------

    def plan(
        self, table: download_watch.Table | None = None, workflow: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What `download_models` would do: sizes, obstacles, room on each disk."""
        plan: dict[str, Any] = self.call("plan_downloads", download_watch.request(table, workflow))
        return plan

    def download_models(
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
        watch = download_watch.Watch(self.call("download_models", download_watch.request(table, workflow)), timeout)
        while True:
            state = self.call("download_status", watch.query)
            if on_progress is not None:
                on_progress(state)
            if watch.ended(state):
                return watch.progress(state)
            if watch.is_late():
                self.call("download_cancel", watch.query)
                raise watch.late()
            time.sleep(download_watch.INTERVAL)

    # -- who is there ---------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Who is connected and what is going on."""
        status: dict[str, Any] = self.call("connection_status")
        return status

    def webuis(self) -> list[dict[str, Any]]:
        """The open tabs."""
        webuis: list[dict[str, Any]] = self.call("webuis")
        return webuis

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once ComfyUI answers and a tab is open; UiapiError `timeout` or Unreachable after so many seconds."""
        until = time.monotonic() + timeout
        while True:
            sending = readiness(until - time.monotonic())
            try:
                self._value(answered(sending, *self._exchange(sending, 0), self.url), sending.route)
                return
            except Unreachable:
                if time.monotonic() > until:
                    raise
                time.sleep(FIRST_DELAY)

    # -- any command ----------------------------------------------------------------------------------------

    def call(self, command: str, data: Mapping[str, Any] | None = None) -> Any:
        """Carry out any command of the server and return what it answers."""
        sending = asked(command, self._addressed(command, data or {}))
        return self._value(answered(sending, *self._exchange(sending), self.url), sending.route)

    def _value(self, envelope: dict[str, Any], known: Route) -> Any:
        self.revision = envelope.get("revision", self.revision)
        return value_of(envelope, known)

    def _addressed(self, command: str, data: Mapping[str, Any]) -> dict[str, Any]:
        if self.webui is None or "webui" in data or "webui" not in route(command).request["properties"]:
            return dict(data)
        return {**data, "webui": self.webui}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
