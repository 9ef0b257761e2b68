"""Limits how many fetches run at a time, shared fairly among hosts; a fetch that only waits gives up its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

# Seconds of silence from a host after which a fetch gives up its turn.
PATIENCE = 5.0


@dataclass(frozen=True)
class _Waiting:
    host: str
    granted: asyncio.Future[None]


class Turns:
    """Hands out turns. A free one goes to the host with the fewest turns, and of those to the one served longest ago.

    Args:
        most: turns in use at a time.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._taken: Counter[str] = Counter()
        # In order of arrival.
        self._waiting: list[_Waiting] = []
        # The number of the last turn that each host got, of the hosts that have or want one.
        self._served: dict[str, int] = {}
        self._number = 0

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[Turn]:
        """Wait for a turn for a fetch from `host`; it is given back at the end."""
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
            # `min` returns the first of equals, which has waited longest.
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
    """The turn of one fetch, which may give it back and take it again later."""

    def __init__(self, turns: Turns, host: str) -> None:
        self._turns = turns
        self._host = host
        self._held = False
        self._taking = asyncio.Lock()

    async def take(self) -> None:
        """Wait for the turn, unless it is held already."""
        async with self._taking:
            if not self._held:
                await self._turns.acquire(self._host)
                self._held = True

    def give_back(self) -> None:
        """Give the turn back, if it is held."""
        if self._held:
            self._held = False
            self._turns.release(self._host)

    async def pause(self, seconds: float) -> None:
        """Give the turn back, sleep, and take it again."""
        self.give_back()
        await asyncio.sleep(seconds)
        await self.take()

    @asynccontextmanager
    async def patiently(self) -> AsyncIterator[None]:
        """A context for waiting for a host: after PATIENCE seconds the turn is given back, and at the end retaken."""
        tired = asyncio.get_running_loop().call_later(PATIENCE, self.give_back)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except Exception:
            # The caller may try another source.
            await self.take()
            raise
        finally:
            tired.cancel()
        await self.take()


class Rest:
    """Pauses the connections of a transfer, which run on another event loop than its turn.

    The turn is given back once all connections pause, and taken again before one of them continues.

    Args:
        turn: the turn, None for a transfer that needs none.
        loop: the loop the turn belongs to.
    """

    def __init__(self, turn: Turn | None = None, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._turn = turn
        self._loop = loop
        self._pausing = 0

    def remain(self, connections: int) -> None:
        """Set the number of connections, including pausing ones; the turn is given back if all of them pause."""
        if self._turn is not None and self._loop is not None and 0 < connections <= self._pausing:
            self._loop.call_soon_threadsafe(self._turn.give_back)

    async def pause(self, seconds: float, connections: int) -> None:
        """Pause one of `connections` connections for `seconds`."""
        self._pausing += 1
        try:
            self.remain(connections)
            await asyncio.sleep(seconds)
        finally:
            self._pausing -= 1
        await self._take()

    @asynccontextmanager
    async def patiently(self, connections: Callable[[], int]) -> AsyncIterator[None]:
        """A context for waiting for a host: after PATIENCE seconds the connection counts as pausing."""
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
