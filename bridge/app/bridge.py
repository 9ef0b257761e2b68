"""The bridge: everything that commands share, with its start and shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ...common.json_store import sweep
from ...common.signals import close_on_signals
from ..comfyui.adapter import Comfy
from ..comfyui.input_files import Fetched
from ..comfyui.node_catalog import Catalogue
from ..comfyui.picture_store import GRACE, TEMPORARY_PREFIX, TIDY_EVERY, PictureStore
from ..comfyui.run_tracker import Runs
from ..policy.access import Guard
from ..policy.activity_log import Activity
from ..policy.approvals import Approvals
from ..policy.idempotency import Repeats
from ..policy.request_limits import FrameTurns, Loads
from ..policy.web_apps import WebApps
from ..protocol.codec import encode_event
from ..protocol.command_spec import import_types
from ..protocol.subscriptions import Subscriptions
from ..protocol.websocket_connection import Connection
from ..sweeps.registry import Sweeps
from ..tabs.comfyui_transport import EventTransports
from ..tabs.registry import Webuis
from ..tabs.tab import WebuiManager
from .panel_feed import Panel

if TYPE_CHECKING:
    from ..comfyui.node_packs import NodePacks

log = logging.getLogger("uiapi")

# The header in which a page that submits a run sends the id of our request.
SUBMISSION_HEADER = "X-Uiapi-Request"
# Seconds between the errors that are sent when ComfyUI stops and the end of the connections.
LAST_WORDS = 0.05
# Seconds websockets may take to close then.
GOODBYE_TIMEOUT = 0.3


# Events that change what the panels show.
PANEL_EVENTS = frozenset({"webui_connected", "webui_disconnected"})


class DownloadsRoom(Protocol):
    """The part of the download service that the bridge uses."""

    def counts(self) -> tuple[int, int]:
        """Return how many downloads run and how many wait for a URL or a directory; drops expired ones."""

    async def fetch_input(self, url: str, target: Path) -> Fetched:
        """Download a file that a program names as the value of a field, by the rules of all downloads."""

    async def start(self) -> None:
        """Load the downloads that an earlier run left unfinished."""

    async def close(self) -> None:
        """Stop all transfers so that they can be resumed."""

    def pause_of(self, program: str) -> None:
        """Pause the downloads of a program, so that the person can resume them."""


class Bridge:
    """Everything a command handler can reach, made once by server.setup.

    Args:
        comfy: the running ComfyUI.
        guard: checks access.
    """

    def __init__(self, comfy: Comfy, guard: Guard) -> None:
        self.comfy = comfy
        self.guard = guard
        self.started = steady_time()
        self.subscriptions = Subscriptions(self.watch)
        self.panel = Panel(self)
        self.activity = Activity(self.panel.stir, self.panel.changed, later=_soon)
        self.webuis = Webuis(self.publish, self.panel.changed)
        named = guard.named_origins
        self.web_apps = WebApps(
            comfy.state_directory, self.panel.changed, self.spawn, self.webuis, named, self._end_work_of
        )
        self.approvals = Approvals(
            comfy.state_directory,
            self.panel.changed,
            self.spawn,
            self.webuis,
            self.web_apps.rules_of,
            self.panel.refused,
        )
        self.runs = Runs(comfy, self.subscriptions)
        self.sweeps = Sweeps(comfy, self.runs, self.publish, self.panel.changed, self.spawn)
        self.pictures = PictureStore(comfy.input_directory, self._naming_pictures, fetch=self._fetch_input)
        self.event_transports = EventTransports(comfy, self.webuis)
        self.catalogue = Catalogue()
        self.downloads: DownloadsRoom | None = None
        self.loads = Loads()
        # For programs and for tabs, so that many requests do not delay the answers.
        self.program_turns, self.tab_turns = FrameTurns(), FrameTurns()
        self.closing = False
        # The HTTP handlers that a web app may use, among those of this package, ComfyUI and other packs.
        self.for_web_apps: set[Any] = set()
        # Every open websocket of /uiapi/ws.
        self.connections: set[Connection] = set()
        self._end_watch_for_signals: Callable[[], None] = lambda: None
        self._watched: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.repeats = Repeats(self.spawn)

    @cached_property
    def packs(self) -> NodePacks:
        """The packs of custom nodes."""
        # Imported at first use, since ComfyUI waits for every extension to import.
        from ..comfyui.node_packs import NodePacks

        return NodePacks(self.comfy)

    def owner_of(self, request_id: str) -> WebuiManager | None:
        """Return the tab with that pending request, if any."""
        for manager in self.webuis.connected():
            if manager.awaits(request_id):
                return manager
        return None

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Handle ComfyUI's answer to a run that a tab submits for one of our requests.

        The tab's own answer comes only after the page has drawn, which may take longer than the run.
        """
        mark = request.headers.get(SUBMISSION_HEADER)
        if mark is None or response.status != 200 or not isinstance(response, web.Response):
            return
        pending = self.webuis.submitting.get(mark)
        # Imported at first use, since ComfyUI waits for every extension to import.
        from ..protocol.schemas import Queued

        queued = Queued.of(response.body)
        if pending is not None and queued is not None:
            pending.owner.accepted(pending, queued)

    def publish(self, event: str, data: dict[str, Any]) -> int:
        """Send an event to its subscribers and return how many it was sent to."""
        if event in PANEL_EVENTS:
            self.panel.changed()
        return self.subscriptions.publish(event, data)

    def watch(self, only: WebuiManager | None = None) -> None:
        """Send the tabs, or one that has just connected, the events that have subscribers."""
        wanted = self.subscriptions.wanted()
        if wanted == self._watched and only is None:
            return
        self._watched = wanted
        frame = encode_event("watch", {"events": wanted})
        for manager in [only] if only is not None else self.webuis.connected():
            if "watch" in manager.capabilities and manager.transport is not None:
                manager.transport.send_event(frame)

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine in a task that the bridge owns and cancels when it closes."""
        task = asyncio.create_task(work, name=f"uiapi {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _end_work_of(self, program: str) -> None:
        """End what a program that is no longer allowed has in progress apart from requests that are waited for."""
        self.repeats.end(program)
        if self.downloads is not None:
            self.downloads.pause_of(program)

    async def start(self) -> None:
        """Start listening to ComfyUI; called on its loop when the application starts."""
        self._end_watch_for_signals = close_on_signals(self.close)
        self.runs.start()
        self.packs.keep_errors()
        # So that the first request does not wait for it.
        self.spawn(asyncio.to_thread(import_types), "import the types of commands")
        await asyncio.to_thread(sweep, self.comfy.input_directory(), f"{TEMPORARY_PREFIX}*.tmp")
        self.spawn(self._tidy_pictures(), "tidy pictures")
        await self.approvals.start()
        await self.web_apps.start()
        if self.downloads is not None:
            await self.downloads.start()

    async def _fetch_input(self, url: str, target: Path) -> Fetched:
        if self.downloads is None:
            raise UiapiError("shutting_down", "The download service is unavailable; send the file itself.")
        return await self.downloads.fetch_input(url, target)

    def _naming_pictures(self) -> Iterator[Any]:
        """Yield the prompts and graphs whose pictures are in use; called on threads."""
        snapshots = [manager.snapshot for manager in [*self.webuis.managers.values()]]
        known = [snapshot for snapshot in (*snapshots, self.webuis.last_snapshot) if snapshot is not None]
        yield from self.comfy.queued_prompts()
        yield from self.sweeps.texts()
        for snapshot in known:
            yield from snapshot.texts()

    async def _tidy_pictures(self) -> None:
        # The pages of an earlier ComfyUI process have yet to reconnect and report their graphs.
        await asyncio.sleep(GRACE)
        while True:
            await asyncio.to_thread(self.pictures.tidy)
            await asyncio.sleep(TIDY_EVERY)

    async def close(self) -> None:
        """End all waits, tasks and connections, with an answer to every caller. A second call does nothing."""
        if self.closing:
            return
        self.closing = True
        self._end_watch_for_signals()
        self.panel.close()
        self.sweeps.close()
        self.runs.close()
        await self.event_transports.close()
        self.webuis.close()
        try:
            if self.downloads is not None:
                await self.downloads.close()
        finally:
            # Also when Ctrl-C does not wait for the downloads any longer. The requests that were just ended are
            # answered in the next turns of the loop.
            await self._last_words()
            tasks = [*self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._say_goodbye()

    async def _last_words(self) -> None:
        # The handlers of the requests that were just ended answer in the next turns of the loop.
        if self.loads.requests or self.connections:
            await asyncio.sleep(LAST_WORDS)

    async def _say_goodbye(self) -> None:
        await self._last_words()
        closers = [connection.close(1001, "ComfyUI is stopping") for connection in self.connections]
        if closers:
            await asyncio.wait(closers, timeout=GOODBYE_TIMEOUT)


def _soon(work: Callable[..., object], *arguments: object) -> None:
    asyncio.get_running_loop().call_soon(work, *arguments)
