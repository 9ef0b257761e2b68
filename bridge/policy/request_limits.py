"""How much each address has under way over HTTP, so that none of them can take all of ComfyUI's time and memory.

A request is under way until its answer has been taken: what a caller does not read is memory of ComfyUI's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from ...common.errors import UiapiError
from ..protocol.codec import MAX_FRAME

log = logging.getLogger("uiapi")

# Requests one address may have under way, as many as one websocket. All programs of this machine are one address.
MAX_REQUESTS = 4096
# Bytes of bodies and unread answers it may have under way.
MAX_BYTES = 8 * MAX_FRAME
# Bytes of an answer from which on it is seen to that it is taken; a smaller one is in the system's hands at once.
SMALL = 1 << 18
# Frames of all programs' websockets that are taken in one turn of the event loop, besides one of each; and of tabs'.
FRAMES_A_TURN = 32
# Seconds until the first look, and between two, in which a caller has to take some of its answer.
FIRST_LOOK, TAKE_PAUSE = 1.0, 20.0


class Loads:
    """What all addresses have under way.

    Attributes:
        requests: how many, by address.
        bytes: of their bodies and unread answers, by address.
        unread: whose answer each connection has last been given, if that was large.
    """

    def __init__(self) -> None:
        self.requests: Counter[str | None] = Counter()
        self.bytes: Counter[str | None] = Counter()
        self.unread: dict[asyncio.Transport, Load] = {}


class Load:
    """One request of an address, for as long as the context lasts. UiapiError `too_many` if it has enough of them."""

    def __init__(self, loads: Loads, address: str | None) -> None:
        self._loads = loads
        self._address = address
        self._bytes = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Load:
        if self._loads.requests[self._address] >= MAX_REQUESTS:
            raise UiapiError("too_many", f"{MAX_REQUESTS} of your requests are under way; wait for some of them.")
        self._loads.requests[self._address] += 1
        return self

    def __exit__(self, *exception: object) -> None:
        if self._transport is None:
            self._release()

    def add(self, size: int) -> None:
        """Count some more bytes of its body. UiapiError `too_many`."""
        if self._loads.bytes[self._address] + size > MAX_BYTES:
            raise UiapiError(
                "too_many", f"Your requests under way have {MAX_BYTES // 2**20} MB; wait for some of them."
            )
        self._hold(size)

    def until_taken(self, transport: asyncio.Transport | None, size: int) -> None:
        """Have it last until the caller has taken its answer of that size; who takes nothing of it is let go."""
        if transport is None or size < SMALL:
            return
        self._hold(size)
        self._transport = transport
        # Whoever has asked again on the same connection has taken what it was answered before.
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
            log.warning("A program does not read its answer (%d bytes wait for it); letting it go.", left)
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
    """Shares out the frames that are taken in one turn of the event loop, so that everybody else has a turn soon."""

    def __init__(self) -> None:
        self._left = FRAMES_A_TURN
        self._refilling = False

    async def take(self) -> None:
        """Count a frame that was taken; comes back when its socket may take another."""
        if not self._refilling:
            self._refilling = True
            asyncio.get_running_loop().call_soon(self._refill)
        self._left -= 1
        if self._left <= 0:
            await asyncio.sleep(0)

    def _refill(self) -> None:
        self._left, self._refilling = FRAMES_A_TURN, False
