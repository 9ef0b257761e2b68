"""The registry of connected tabs: elects the main tab and finds the tab for a request."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...common.errors import UiapiError, stopping
from .graph_snapshot import Snapshot
from .late_answers import LateAnswers
from .tab import LOBBY_ID, PendingRequest, Transport, WebuiManager

log = logging.getLogger("uiapi")

NO_WEBUI_MESSAGE = (
    "No browser tab with ComfyUI is connected; open ComfyUI in a browser, or run uiapi tab, and try again."
)

# Tabs at a time, over both transports: far more than a person opens. Every panel shows all of them.
MAX_TABS = 64
# The name that the person sees for what no program has asked for, such as a download that they resumed.
OWN = "ComfyUI"
# The largest id a page may ask for; numbers in a page are exact up to 2**53.
MAX_ID = 10**9

Listener = Callable[[str, dict[str, Any]], object]


class Webuis:
    """The tabs by client_id, in the order in which they connected.

    The first one is the main tab, but a tab with the page key takes precedence over any without it.

    Args:
        publish: called with "webui_connected" and "webui_disconnected" and the tab's description.
        on_question: called when a question to the person begins or ends.
    """

    def __init__(
        self, publish: Listener = lambda event, data: None, on_question: Callable[[], None] = lambda: None
    ) -> None:
        self.managers: dict[int, WebuiManager] = {}
        self.main_id: int | None = None
        self.late = LateAnswers()
        # Runs that tabs are submitting, by the ids of their requests; also those whose tab has just disconnected.
        self.submitting: dict[str, PendingRequest] = {}
        self.lobby = WebuiManager(LOBBY_ID, late=self.late, on_question=on_question)
        self._on_question = on_question
        self._publish = publish
        self.last_snapshot: Snapshot | None = None
        # The connected pages that cannot answer commands, each with the reason.
        self._unserved: list[dict[str, Any]] = []
        self._last_id = 0
        self._closed = False

    # -- finding tabs ---------------------------------------------------------------------------------------

    def connected(self) -> list[WebuiManager]:
        """Return the tabs that can get requests now."""
        return [manager for manager in self.managers.values() if manager.connected]

    def find(self, webui: int | None = None, *, wait: bool = False) -> WebuiManager:
        """Return the given tab or the main one; with `wait`, the lobby if no tab is connected.

        Raises UiapiError `no_webui`, `unknown_webui`, or `shutting_down` after `close`.
        """
        manager = self.managers.get(self.main_id if webui is None else webui)  # type: ignore[arg-type]
        if manager is not None and manager.connected:
            return manager
        if webui is None or not self.connected():
            if wait and not self._closed:
                return self.lobby
            raise self._none()
        raise UiapiError(
            "unknown_webui",
            f"No tab {webui} is connected; GET webuis lists the open ones.",
            {"webuis": [manager.client_id for manager in self.connected()]},
        )

    def with_person(self, *, wait: bool = False) -> WebuiManager:
        """Return the main tab, or else the first one whose page can ask the person; with `wait`, as `find`.

        Raises UiapiError `no_webui` or `shutting_down`.
        """
        main = self.find(wait=wait)
        if main is self.lobby or "panel" in main.capabilities:
            return main
        able = next((webui for webui in self.connected() if "panel" in webui.capabilities), None)
        if able is None:
            raise UiapiError("no_webui", "No connected page can ask the person for approval; reload ComfyUI's page.")
        return able

    def asking(self) -> list[str]:
        """Return the names of the programs that wait for the person; their questions may be open in any tab."""
        managers = (self.lobby, *self.managers.values())
        return sorted({pending.program or OWN for manager in managers for pending in manager.questions()})

    def describe(self, manager: WebuiManager) -> dict[str, Any]:
        """Return a tab's description for `webuis`; `since` in seconds of Unix time."""
        return {
            "id": manager.client_id,
            "browser": manager.info.get("browser"),
            "platform": manager.info.get("platform"),
            "frontend_version": manager.info.get("frontend_version"),
            "workflow_name": manager.info.get("workflow_name"),
            "is_main": manager.client_id == self.main_id,
            "since": manager.since,
            "transport": manager.transport.kind if manager.transport else None,
            "pending_requests": manager.pending_count,
        }

    def check_room(self) -> None:
        """Raise UiapiError `too_many` if MAX_TABS are connected."""
        if len(self.connected()) + len(self._unserved) >= MAX_TABS:
            raise UiapiError("too_many", f"{MAX_TABS} tabs are connected; close some of them.")

    @contextmanager
    def unserved(self, info: dict[str, Any], reason: str) -> Iterator[None]:
        """Register a page that cannot answer commands, with the reason, while the context lasts."""
        page = {key: info.get(key) for key in ("browser", "platform", "frontend_version")} | {"reason": reason}
        log.warning("A tab with frontend %s cannot be used: %s", page["frontend_version"], reason)
        self._unserved.append(page)
        try:
            yield
        finally:
            self._unserved = [other for other in self._unserved if other is not page]

    def _none(self) -> UiapiError:
        if self._closed:
            return stopping()
        if not self._unserved:
            return UiapiError("no_webui", NO_WEBUI_MESSAGE)
        page = self._unserved[-1]
        version = page["frontend_version"] or "of an unknown version"
        message = f"A tab with frontend {version} is open but cannot be used: {page['reason']}"
        return UiapiError("no_webui", message, {"unserved": self._unserved})

    # -- connecting and disconnecting -----------------------------------------------------------------------------

    def admit(self, client_id: int | None, session: str | None, *, has_key: bool = False) -> WebuiManager:
        """Return the manager for a tab that connects.

        A tab that sends an id gets it again if its session matches or no other tab has that id; any other tab, such as
        a duplicate, gets a new one. Raises UiapiError `too_many` if MAX_TABS are connected.
        """
        known = self.managers.get(client_id) if client_id is not None else None
        if known is not None:
            if session is not None and secrets.compare_digest(session.encode(), known.session.encode()):
                known.has_key = has_key
                return known
            client_id = None
        self.check_room()
        if client_id is None or not 1 <= client_id <= MAX_ID:
            client_id = self._last_id + 1
        self._last_id = max(self._last_id, client_id)
        manager = WebuiManager(
            client_id,
            has_key=has_key,
            late=self.late,
            submitting=self.submitting,
            on_disconnect=self._elect,
            on_cleanup=self._drop,
            on_question=self._on_question,
        )
        self.managers[client_id] = manager
        return manager

    def connect(self, manager: WebuiManager, transport: Transport) -> None:
        """Connect a tab: it may become the main one, and requests that wait for a tab are sent to it.

        Send it the welcome before, since requests may follow immediately.
        """
        if self.leads(manager):
            self.main_id = manager.client_id
        manager.connect(transport)
        log.info("Tab %s connected over %s%s.", manager.client_id, transport.kind, self._main_note(manager))
        self._publish("webui_connected", self.describe(manager))
        manager.adopt(self.lobby.give_away(manager.client_id))

    def leads(self, manager: WebuiManager) -> bool:
        """Whether this tab is the main one, or will be when it connects."""
        main = self.managers.get(self.main_id) if self.main_id is not None else None
        if main is None or main is manager or not main.connected:
            return True
        return manager.has_key and not main.has_key

    def make_main(self, client_id: int) -> None:
        """Make a tab the main one. Raises UiapiError `unknown_webui`."""
        self.main_id = self.find(client_id).client_id
        log.info("The person made tab %s the main tab.", client_id)

    def _elect(self, gone: WebuiManager) -> None:
        if self.main_id == gone.client_id:
            self.last_snapshot = gone.snapshot or self.last_snapshot
            following = min(self.connected(), key=lambda manager: not manager.has_key, default=None)
            self.main_id = following.client_id if following else None
        log.info("Tab %s disconnected; the main tab is %s.", gone.client_id, self.main_id)
        self._publish("webui_disconnected", {"id": gone.client_id, "main_webui_id": self.main_id})

    def _drop(self, manager: WebuiManager) -> None:
        if self.managers.get(manager.client_id) is manager:
            del self.managers[manager.client_id]

    def _main_note(self, manager: WebuiManager) -> str:
        return " and is the main tab" if manager.client_id == self.main_id else ""

    def close(self) -> None:
        """Disconnect all tabs and end all pending requests."""
        self._closed = True
        for manager in [*self.managers.values()]:
            if manager.transport is not None:
                manager.transport.close(1001, "ComfyUI is stopping")
            manager.disconnect()
        for pending in [*self.lobby.give_away(), *self.submitting.values()]:
            pending.fail(stopping())

    # -- asking all tabs -------------------------------------------------------------------------------------

    async def ask_all(
        self,
        command: str,
        data: dict[str, Any],
        timeout: float,
        prepare: Callable[[WebuiManager, PendingRequest], None],
    ) -> dict[int, Any]:
        """Send a request to all connected tabs; the first answer with `accepted` cancels the other requests.

        `prepare` is called with each tab and its request before that is sent.
        Returns the answers, or exceptions, by client_id. Raises UiapiError `no_webui`.
        """
        managers = self.connected()
        if not managers:
            raise self._none()
        answers: dict[int, Any] = {}
        tasks = {}
        for manager in managers:
            try:
                pending = manager.open(command, data, timeout)
                prepare(manager, pending)
            except UiapiError as error:
                answers[manager.client_id] = error
                continue
            name = f"uiapi {command} tab {manager.client_id}"
            tasks[asyncio.create_task(manager.ask(pending), name=name)] = manager
        waiting = set(tasks)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    answers[tasks[task].client_id] = task.exception() or task.result()
                if any(isinstance(answer, dict) and answer.get("accepted") for answer in answers.values()):
                    break
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return answers
