"""The bridge as a whole: what commands share, the events programs subscribed to, and its start and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from ...common.clock import steady_time
from ...common.json_store import sweep
from ...common.signals import close_on_signals
from ..comfyui.adapter import Comfy
from ..comfyui.node_catalog import Catalogue
from ..comfyui.picture_store import BESIDE_PREFIX, GRACE, TIDY_EVERY, PictureStore
from ..comfyui.run_tracker import Runs
from ..policy.access import Guard
from ..policy.activity_log import Activity
from ..policy.approvals import Approvals
from ..policy.idempotency import Repeats
from ..policy.request_limits import FrameTurns, Loads
from ..protocol.codec import encode_event
from ..protocol.schemas import Queued
from ..protocol.subscriptions import Subscriptions
from ..protocol.websocket_connection import Connection
from ..tabs.comfyui_transport import EventTransports
from ..tabs.registry import Webuis
from ..tabs.tab import WebuiManager
from .panel_feed import Panel

log = logging.getLogger("uiapi")

# Set by the page on the request with which it submits a run, to the id of our request.
SUBMISSION_HEADER = "X-Uiapi-Request"
# Seconds between the errors that callers are told when ComfyUI stops and the end of their connections.
LAST_WORDS = 0.05
# Seconds sockets may take to close then.
GOODBYE_TIMEOUT = 0.3


# After these, and when the person decides something, every panel shows something else.
PANEL_EVENTS = frozenset({"webui_connected", "webui_disconnected"})


class DownloadsRoom(Protocol):
    """What the bridge needs of the downloads room."""

    def counts(self) -> tuple[int, int]:
        """Running downloads and those waiting for a URL or a place; drops what is too old."""

    async def start(self) -> None:
        """Load what an earlier run left unfinished."""

    async def close(self) -> None:
        """Stop every transfer so that it can be resumed."""


class Bridge:
    """Everything a command handler can reach, made once by server.setup.

    Args:
        comfy: the running ComfyUI.
        guard: who may do what.
    """

    def __init__(self, comfy: Comfy, guard: Guard) -> None:
        self.comfy = comfy
        self.guard = guard
        self.started = steady_time()
        self.subscriptions = Subscriptions(self.watch)
        self.panel = Panel(self)
        self.activity = Activity(self.panel.stir, self.panel.changed, later=_soon)
        self.webuis = Webuis(self.publish)
        self.approvals = Approvals(comfy.state_directory, self.panel.changed, self.spawn, self.webuis)
        self.runs = Runs(comfy, self.subscriptions)
        self.pictures = PictureStore(comfy.input_directory, self._naming_pictures)
        self.event_transports = EventTransports(comfy, self.webuis)
        self.catalogue = Catalogue()
        self.downloads: DownloadsRoom | None = None
        self.loads = Loads()
        # Of programs and of tabs, so that no flood of requests holds up the answers.
        self.program_turns, self.tab_turns = FrameTurns(), FrameTurns()
        self.closing = False
        # Every open websocket of /uiapi/ws.
        self.connections: set[Connection] = set()
        self._end_watch_for_signals: Callable[[], None] = lambda: None
        self._watched: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.repeats = Repeats(self.spawn)

    def owner_of(self, request_id: str) -> WebuiManager | None:
        """The tab that was asked this, if its answer is still awaited."""
        for manager in self.webuis.connected():
            if manager.awaits(request_id):
                return manager
        return None

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """See whether this is ComfyUI's answer to a run that a tab submits for one of our requests.

        The tab's own word of it has to wait until the page has drawn, which takes longer than many a run.
        """
        mark = request.headers.get(SUBMISSION_HEADER)
        if mark is None or response.status != 200 or not isinstance(response, web.Response):
            return
        pending = self.webuis.submitting.get(mark)
        queued = Queued.of(response.body)
        if pending is not None and queued is not None:
            pending.owner.accepted(pending, queued)

    def publish(self, event: str, data: dict[str, Any]) -> None:
        """Tell every subscriber that wants to hear it."""
        if event in PANEL_EVENTS:
            self.panel.changed()
        self.subscriptions.publish(event, data)

    def watch(self, only: WebuiManager | None = None) -> None:
        """Tell the tabs, or one that has just come, which events somebody listens for."""
        wanted = self.subscriptions.wanted()
        if wanted == self._watched and only is None:
            return
        self._watched = wanted
        frame = encode_event("watch", {"events": wanted})
        for manager in [only] if only is not None else self.webuis.connected():
            if "watch" in manager.capabilities and manager.transport is not None:
                manager.transport.send_event(frame)

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine in a task of the bridge's own, which ends with it at the latest."""
        task = asyncio.create_task(work, name=f"uiapi {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def start(self) -> None:
        """Begin to listen to ComfyUI; called on its loop once it serves."""
        self._end_watch_for_signals = close_on_signals(self.close)
        self.runs.start()
        await asyncio.to_thread(sweep, self.comfy.input_directory(), f"{BESIDE_PREFIX}*.tmp")
        self.spawn(self._tidy_pictures(), "tidy pictures")
        await self.approvals.start()
        if self.downloads is not None:
            await self.downloads.start()

    def _naming_pictures(self) -> list[Any]:
        """The prompts and graphs whose pictures stay; called on threads."""
        snapshots = [manager.snapshot for manager in [*self.webuis.managers.values()]]
        known = [snapshot for snapshot in (*snapshots, self.webuis.last_snapshot) if snapshot is not None]
        graphs = [part for snapshot in known for part in (snapshot.workflow, snapshot.output, snapshot.nodes)]
        return [*self.comfy.queued_prompts(), *graphs]

    async def _tidy_pictures(self) -> None:
        # The pages of an earlier ComfyUI have yet to come back and report their graphs.
        await asyncio.sleep(GRACE)
        while True:
            await asyncio.to_thread(self.pictures.tidy)
            await asyncio.sleep(TIDY_EVERY)

    async def close(self) -> None:
        """End every wait, task and connection; whoever waits is told. A second call does nothing."""
        if self.closing:
            return
        self.closing = True
        self._end_watch_for_signals()
        self.panel.close()
        self.runs.close()
        await self.event_transports.close()
        self.webuis.close()
        try:
            if self.downloads is not None:
                await self.downloads.close()
        finally:
            # Also when Ctrl-C cannot wait for the downloads any longer. What was just ended has an answer for whoever
            # waits for a task of ours, and gives it in the loop's next turns.
            await self._last_words()
            tasks = [*self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._say_goodbye()

    async def _last_words(self) -> None:
        # What was just ended wakes its handlers in the loop's next turns, and they answer.
        if self.loads.requests or self.connections:
            await asyncio.sleep(LAST_WORDS)

    async def _say_goodbye(self) -> None:
        await self._last_words()
        closers = [connection.close(1001, "ComfyUI is stopping") for connection in self.connections]
        if closers:
            await asyncio.wait(closers, timeout=GOODBYE_TIMEOUT)


def _soon(work: Callable[..., object], *arguments: object) -> None:
    asyncio.get_running_loop().call_soon(work, *arguments)
