"""The second transport: ComfyUI's own websocket for requests to a page, POST webui_response for its answers.

A page on this transport does not report which of ComfyUI's websockets it uses, and ComfyUI does not report when one
closes. So its websockets are those of the same browser that no other tab has claimed. A request is sent to all of them
with the page's client_id. The page counts as disconnected when it says so, when its last websocket has closed, or when
it has none.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..comfyui.adapter import Comfy
from .tab import PendingRequest, WebuiManager, page_info

if TYPE_CHECKING:
    from .registry import Webuis

log = logging.getLogger("uiapi")

# Seconds between checks of ComfyUI's websockets, since there is no event for a closed one; runs only while needed.
WATCH_INTERVAL = 0.25
# Seconds a page may have no websocket after webui_ready.
ARRIVAL = 5.0
# Seconds a page may take to accept a frame before it is disconnected.
SEND_TIMEOUT = 10.0
# Frames queued for one page.
MAX_QUEUED = 1024


class EventTransport:
    """Sends requests to one page over ComfyUI's websocket."""

    kind = "events"

    def __init__(self, owner: EventTransports, manager: WebuiManager, agent: str) -> None:
        self._owner = owner
        self.manager = manager
        self.agent = agent
        self.sockets: dict[str, Any] = {}
        self._since = monotonic()
        self.look()
        self._outbox: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(MAX_QUEUED)
        self._writer = asyncio.create_task(self._write(), name=f"uiapi event writer {manager.client_id}")

    def send_request(self, request: PendingRequest) -> None:
        """See Transport."""
        self._post(f"/uiapi/{request.command}", {**request.data, "request_id": request.request_id})

    def send_cancel(self, request_id: str) -> None:
        """See Transport."""
        self._post("/uiapi/cancel", {"request_id": request_id})

    def send_event(self, frame: bytes) -> None:
        """See Transport; a page on this transport takes no events."""

    def close(self, code: int, reason: str) -> None:
        """See Transport; the websockets belong to ComfyUI and stay open."""
        self._writer.cancel()

    def look(self) -> None:
        """Find this page's websockets, if it has none yet."""
        if not self.sockets:
            self.sockets = self._owner.candidates(self.agent, self)

    def gone(self) -> bool:
        """Whether all of this page's websockets have closed, or none was found in time."""
        if not self.sockets:
            return monotonic() - self._since > ARRIVAL
        return all(socket.closed for socket in self.sockets.values())

    def _post(self, event: str, data: dict[str, Any]) -> None:
        try:
            self._outbox.put_nowait((event, {**data, "client_id": self.manager.client_id}))
        except asyncio.QueueFull:
            log.warning("Tab %s reads too slowly; disconnecting it.", self.manager.client_id)
            self.manager.disconnect(self)

    async def _write(self) -> None:
        while True:
            event, data = await self._outbox.get()
            self.look()
            for sid in self.sockets:
                try:
                    await asyncio.wait_for(self._owner.comfy.send_event(event, data, sid), SEND_TIMEOUT)
                except asyncio.TimeoutError:
                    log.warning("Tab %s does not accept frames; disconnecting it.", self.manager.client_id)
                    self.manager.disconnect(self)


class EventTransports:
    """All pages on the second transport, with the task that checks their websockets.

    Args:
        comfy: the running ComfyUI.
        webuis: the connected tabs, whose claimed websockets are not used.
    """

    def __init__(self, comfy: Comfy, webuis: Webuis) -> None:
        self.comfy = comfy
        self._webuis = webuis
        self._watcher: asyncio.Task[None] | None = None

    def arrive(self, client_id: int | None, info: dict[str, Any], agent: str, *, has_key: bool) -> WebuiManager:
        """Connect a page that sent webui_ready; it keeps its id if no other tab has it.

        Args:
            client_id: the id it asks for.
            info: its description of itself.
            agent: its User-Agent.
            has_key: whether it has sent the page key.

        Raises UiapiError `too_many` at the limit of tabs.
        """
        known = self._webuis.managers.get(client_id) if client_id is not None else None
        if known is None or known.has_key is not has_key or self._is_another(known, agent):
            known = self._webuis.admit(client_id, None, has_key=has_key)
        known.info = page_info(info)
        if not isinstance(known.transport, EventTransport) or known.transport.gone():
            self._webuis.connect(known, EventTransport(self, known, agent))
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch(), name="uiapi event watch")
        return known

    def pages(self) -> list[EventTransport]:
        """Return the transports of the pages that are connected this way."""
        return [
            manager.transport for manager in self._webuis.connected() if isinstance(manager.transport, EventTransport)
        ]

    def candidates(self, agent: str, asking: EventTransport | None = None) -> dict[str, Any]:
        """Return ComfyUI's open websockets, by clientId, that a page with that User-Agent may have opened.

        Websockets of other tabs are left out, and so are those with another User-Agent; if none has the page's
        User-Agent, any of them may be its own.
        """
        claimed = {manager.sid for manager in self._webuis.connected() if manager.sid is not None}
        claimed.update(sid for page in self.pages() if page is not asking for sid in page.sockets)
        free = {sid: socket for sid, socket in self.comfy.sockets().items() if sid not in claimed and not socket.closed}
        own = {sid: socket for sid, socket in free.items() if self.comfy.agent_of(socket) == agent}
        return own or free

    def _is_another(self, known: WebuiManager, agent: str) -> bool:
        """Whether a page that sends a known tab's id is another page, such as a duplicate of that tab."""
        if not known.connected:
            return False
        page = known.transport
        if not isinstance(page, EventTransport):
            return True
        # The same page sends webui_ready again when it has reconnected; a duplicate has a websocket of its own.
        more = {sid: socket for sid, socket in self.candidates(agent, page).items() if sid not in page.sockets}
        return (
            bool(page.sockets)
            and not page.gone()
            and any(self.comfy.agent_of(socket) == agent for socket in more.values())
        )

    async def close(self) -> None:
        """Stop checking."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _watch(self) -> None:
        while pages := self.pages():
            await asyncio.sleep(WATCH_INTERVAL)
            for page in pages:
                page.look()
                if page.gone():
                    page.manager.disconnect(page)
