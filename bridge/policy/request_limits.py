"""Limits on the pending HTTP requests of each IP address, so that none can use up ComfyUI's time and memory.

A request is pending until its answer has been read: until then the answer takes memory of ComfyUI.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque

from ...common.errors import UiapiError
from ..protocol.codec import MAX_FRAME

log = logging.getLogger("uiapi")

# Pending requests per address, as many as per websocket. All programs on this machine share one address.
MAX_REQUESTS = 4096
# Bytes of bodies and unread answers per address.
MAX_BYTES = 8 * MAX_FRAME
# Answers of fewer bytes are not tracked, since they fit into the operating system's buffers.
SMALL = 1 << 18
# Frames handled in one turn of the event loop, separate for programs and tabs; and the events sent to programs that
# cost as much as a frame.
FRAMES_A_TURN = 16
EVENTS_A_FRAME = 8
# Seconds until the first check, and between two checks, in which a caller has to read some of its answer.
FIRST_LOOK, TAKE_PAUSE = 1.0, 20.0


class Loads:
    """The pending requests of all addresses.

    Attributes:
        requests: how many, by address.
        bytes: the size of their bodies and unread answers, by address.
        unread: the request whose large answer was last written to each connection.
    """

    def __init__(self) -> None:
        self.requests: Counter[str | None] = Counter()
        self.bytes: Counter[str | None] = Counter()
        self.unread: dict[asyncio.Transport, Load] = {}


class Load:
    """Counts one request of an address while the context lasts. Raises UiapiError `too_many` at the limit."""

    def __init__(self, loads: Loads, address: str | None) -> None:
        self._loads = loads
        self._address = address
        self._bytes = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Load:
        if self._loads.requests[self._address] >= MAX_REQUESTS:
            raise UiapiError("too_many", f"{MAX_REQUESTS} of your requests are pending; wait for some of them.")
        self._loads.requests[self._address] += 1
        return self

    def __exit__(self, *exception: object) -> None:
        if self._transport is None:
            self._release()

    def add(self, size: int) -> None:
        """Count more bytes of its body. Raises UiapiError `too_many`."""
        if self._loads.bytes[self._address] + size > MAX_BYTES:
            raise UiapiError("too_many", f"Your pending requests have {MAX_BYTES // 2**20} MB; wait for some of them.")
        self._hold(size)

    def until_taken(self, transport: asyncio.Transport | None, size: int) -> None:
        """Keep it counted until the caller has read its answer; a caller that reads nothing is disconnected."""
        if transport is None or size < SMALL:
            return
        self._hold(size)
        self._transport = transport
        # A new request on the same connection means that the previous answer was read.
        earlier = self._loads.unread.get(transport)
        if earlier is not None:
            earlier._release()
        self._loads.unread[transport] = self
        self._timer = asyncio.get_running_loop().call_later(FIRST_LOOK, self._look, transport, None)

    def _look(self, transport: asyncio.Transport, before: int | None) -> None:
        left = transport.get_write_buffer_size()
        if left and (before is None or left < before):
            self._timer = asyncio.get_running_loop().call_later(TAKE_PAUSE, self._look, transport, left)
            return
        if left:
            log.warning("A program does not read its answer (%d bytes unread); disconnecting it.", left)
            transport.abort()
        self._release()

    def _hold(self, size: int) -> None:
        self._loads.bytes[self._address] += size
        self._bytes += size

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None and self._loads.unread.get(self._transport) is self:
            del self._loads.unread[self._transport]
        for counter, amount in ((self._loads.requests, 1), (self._loads.bytes, self._bytes)):
            counter[self._address] -= amount
            if not counter[self._address]:
                del counter[self._address]


class FrameTurns:
    """Limits the frames handled in one turn of the event loop, so that other work is not delayed.

    Websockets that wait are served in the order in which they began to.
    """

    def __init__(self) -> None:
        # Below 0 if what was handled cost more than a turn has.
        self._left = FRAMES_A_TURN
        self._refilling = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Return when a frame may be handled."""
        self._refill_soon()
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def charge(self, events: int) -> None:
        """Count the events that were sent because of a frame."""
        if events >= EVENTS_A_FRAME:
            self._left -= events // EVENTS_A_FRAME
            self._refill_soon()

    def _refill_soon(self) -> None:
        if not self._refilling:
            self._refilling = True
            asyncio.get_running_loop().call_soon(self._refill)

    def _refill(self) -> None:
        self._refilling = False
        self._left = min(self._left, 0) + FRAMES_A_TURN
        waited = bool(self._waiting)
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        # After those that go on now, so that they have what is left of this turn.
        if waited or self._left < 0:
            self._refill_soon()
