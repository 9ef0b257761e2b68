"""Which fetches are at work: a few at a time, the hosts taking turns, and none of them while it only waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

# Seconds of silence after which a host is waited for without a turn.
PATIENCE = 5.0


@dataclass(frozen=True)
class _Waiting:
    host: str
    granted: asyncio.Future[None]


class Turns:
    """Hands out turns. A free one goes to the host that has the fewest, and among those was served longest ago.

    Args:
        most: turns taken at a time.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._taken: Counter[str] = Counter()
        # In the order in which they came.
        self._waiting: list[_Waiting] = []
        # The number of the last turn that a host got, of those that have or want one.
        self._served: dict[str, int] = {}
        self._number = 0

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[Turn]:
        """A turn for a fetch from `host`, waited for, and given back at the end."""
        turn = Turn(self, host)
        await turn.take()
        try:
            yield turn
        finally:
            turn.give_back()

    async def acquire(self, host: str) -> None:
        """Wait for a turn; every `acquire` needs a `release`."""
        waiting = _Waiting(host, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._grant()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self.release(host)
            raise

    def release(self, host: str) -> None:
        """Give a turn back."""
        self._free += 1
        self._taken[host] -= 1
        self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            # The first of those that are equal, which has waited longest.
            chosen = min(self._waiting, key=lambda one: (self._taken[one.host], self._served.get(one.host, 0)))
            self._waiting.remove(chosen)
            self._free -= 1
            self._taken[chosen.host] += 1
            self._number += 1
            self._served[chosen.host] = self._number
            chosen.granted.set_result(None)
        self._taken = +self._taken
        known = {*self._taken, *(one.host for one in self._waiting)}
        self._served = {host: number for host, number in self._served.items() if host in known}


class Turn:
    """One fetch's turn, which it may give back and take again while it has more to do."""

    def __init__(self, turns: Turns, host: str) -> None:
        self._turns = turns
        self._host = host
        self._held = False
        self._taking = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn unless it is held."""
        async with self._taking:
            if not self._held:
                await self._turns.acquire(self._host)
                self._held = True

    def give_back(self) -> None:
        """Let others have it, if it is held."""
        if self._held:
            self._held = False
            self._turns.release(self._host)

    async def pause(self, seconds: float) -> None:
        """Sleep while others have the turn."""
        self.give_back()
        await asyncio.sleep(seconds)
        await self.take()

    @asynccontextmanager
    async def patiently(self) -> AsyncIterator[None]:
        """Wait for a host inside of this, without the turn once that lasts, and with it again afterwards."""
        tired = asyncio.get_running_loop().call_later(PATIENCE, self.give_back)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except Exception:
            # There may be another source to ask.
            await self.take()
            raise
        finally:
            tired.cancel()
        await self.take()


class Rest:
    """Lets the connections of a transfer pause, on the transfer's loop, by a turn that belongs to another loop.

    The turn is given back once all of them pause, and taken again before one goes on.

    Args:
        turn: the turn, None for a transfer that needs none.
        loop: the loop the turn belongs to.
    """

    def __init__(self, turn: Turn | None = None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._turn = turn
        self._loop = loop
        self._pausing = 0

    def remain(self, connections: int) -> None:
        """Have `connections` at work, those that pause among them: the turn is given back if all of them do."""
        if self._turn is not None and self._loop is not None and 0 < connections <= self._pausing:
            self._loop.call_soon_threadsafe(self._turn.give_back)

    async def pause(self, seconds: float, connections: int) -> None:
        """Have one of `connections` that are at work pause for so many seconds."""
        self._pausing += 1
        try:
            self.remain(connections)
            await asyncio.sleep(seconds)
        finally:
            self._pausing -= 1
        await self._take()

    @asynccontextmanager
    async def patiently(self, connections: Callable[[], int]) -> AsyncIterator[None]:
        """Wait for a host inside of this; one of the connections at work counts as pausing once that lasts."""
        silent = False

        def tire() -> None:
            nonlocal silent
            silent = True
            self._pausing += 1
            self.remain(connections())

        tired = asyncio.get_running_loop().call_later(PATIENCE, tire)
        try:
            yield
        finally:
            tired.cancel()
            self._pausing -= silent
        if silent:
            await self._take()

    async def _take(self) -> None:
        if self._turn is not None and self._loop is not None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._turn.take(), self._loop))
