"""The second transport: ComfyUI's own websocket for requests to a page, POST webui_response for its answers.

A page that speaks only this never says which of ComfyUI's sockets is its own, and ComfyUI does not say when
one closes. So its sockets are those of the same browser that nobody else has claimed; a request goes to them
with the addressee's client_id in it, and the page is taken for gone when it says so, when the last of them has
closed, or when it has none.
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

# Seconds between looks at ComfyUI's sockets, which has no event for a closed one; runs only while needed.
WATCH_INTERVAL = 0.25
# Seconds a page may be without a socket after it said that it is ready.
ARRIVAL = 5.0
# Seconds a page's socket may take to accept a frame before the page is taken for gone.
SEND_TIMEOUT = 10.0
# Frames that may wait for one page.
MAX_QUEUED = 1024


class EventTransport:
    """Requests to one page over ComfyUI's websocket."""

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
        """See Transport; the sockets are ComfyUI's and stay."""
        self._writer.cancel()

    def look(self) -> None:
        """Find this page's sockets, as long as it has none."""
        if not self.sockets:
            self.sockets = self._owner.candidates(self.agent, self)

    def gone(self) -> bool:
        """Whether every socket that could be this page's has closed, or none ever came."""
        if not self.sockets:
            return monotonic() - self._since > ARRIVAL
        return all(socket.closed for socket in self.sockets.values())

    def _post(self, event: str, data: dict[str, Any]) -> None:
        try:
            self._outbox.put_nowait((event, {**data, "client_id": self.manager.client_id}))
        except asyncio.QueueFull:
            log.warning("Tab %s reads too slowly; letting it go.", self.manager.client_id)
            self.manager.disconnect(self)

    async def _write(self) -> None:
        while True:
            event, data = await self._outbox.get()
            self.look()
            for sid in self.sockets:
                try:
                    await asyncio.wait_for(self._owner.comfy.send_event(event, data, sid), SEND_TIMEOUT)
                except asyncio.TimeoutError:
                    log.warning("Tab %s does not take its frames; letting it go.", self.manager.client_id)
                    self.manager.disconnect(self)


class EventTransports:
    """All pages on the second transport, and the watch over their sockets.

    Args:
        comfy: the running ComfyUI.
        webuis: the open tabs, whose claimed sockets are left alone.
    """

    def __init__(self, comfy: Comfy, webuis: Webuis) -> None:
        self.comfy = comfy
        self._webuis = webuis
        self._watcher: asyncio.Task[None] | None = None

    def arrive(self, client_id: int | None, info: dict[str, Any], agent: str, *, has_key: bool) -> WebuiManager:
        """A page said webui_ready; it keeps its id if nobody else has it.

        Args:
            client_id: the id it asks for.
            info: what it tells of itself.
            agent: its User-Agent.
            has_key: whether it has shown the key of this server's pages.

        UiapiError `too_many` when there are as many tabs as there may be.
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
        """The transports of the pages that are connected this way."""
        return [
            manager.transport for manager in self._webuis.connected() if isinstance(manager.transport, EventTransport)
        ]

    def candidates(self, agent: str, asking: EventTransport | None = None) -> dict[str, Any]:
        """ComfyUI's open sockets, by clientId, that a page with that User-Agent may have opened.

        Those that other tabs have are left out, and so are programs', which present themselves otherwise; where
        nothing presents itself as the page does, any of them may be its own.
        """
        claimed = {manager.sid for manager in self._webuis.connected() if manager.sid is not None}
        claimed.update(sid for page in self.pages() if page is not asking for sid in page.sockets)
        free = {sid: socket for sid, socket in self.comfy.sockets().items() if sid not in claimed and not socket.closed}
        own = {sid: socket for sid, socket in free.items() if self.comfy.agent_of(socket) == agent}
        return own or free

    def _is_another(self, known: WebuiManager, agent: str) -> bool:
        """Whether a page that names a known tab's id is not that tab, but for example a duplicate of it."""
        if not known.connected:
            return False
        page = known.transport
        if not isinstance(page, EventTransport):
            return True
        # The same page says ready again when its socket came back; a duplicate brings a socket of its own.
        more = {sid: socket for sid, socket in self.candidates(agent, page).items() if sid not in page.sockets}
        return (
            bool(page.sockets)
            and not page.gone()
            and any(self.comfy.agent_of(socket) == agent for socket in more.values())
        )

    async def close(self) -> None:
        """Stop the watch."""
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
