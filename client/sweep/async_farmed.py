"""The results of a sweep on a farm of ComfyUIs, for programs with an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from types import TracebackType

from ..common.errors import UiapiError
from .farmed import Tally
from .item import SweepItem

# Seconds between two looks whether a result may be handed over.
INTERVAL = 0.1


class AsyncFarmSweep(Tally):
    """A sweep on a farm, whose blocking loop runs on a thread; see AsyncSweep."""

    _working: asyncio.Future[None] | None = None

    def __aiter__(self) -> AsyncIterator[SweepItem]:
        return self._each()

    async def __aenter__(self) -> AsyncFarmSweep:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Do nothing: it starts with the first result."""

    async def cancel(self) -> None:
        """Cancel the rest of the sweep."""
        self._over.set()

    async def close(self) -> None:
        """End the loop and cancel the rest of the sweep, which is done on every machine when this returns."""
        self._over.set()
        if self._working is not None:
            await asyncio.wait({self._working})

    async def _each(self) -> AsyncIterator[SweepItem]:
        loop = asyncio.get_running_loop()
        found: asyncio.Queue[SweepItem | UiapiError | None] = asyncio.Queue()
        # One result is handed over at a time, so that those of a loop that is slow do not pile up.
        is_free = threading.Semaphore()

        def work() -> None:
            try:
                with closing(self._run(self._over)) as results:
                    for item in results:
                        while not is_free.acquire(timeout=INTERVAL):
                            if self._over.is_set():
                                return
                        loop.call_soon_threadsafe(found.put_nowait, item)
            except UiapiError as error:
                loop.call_soon_threadsafe(found.put_nowait, error)
            finally:
                loop.call_soon_threadsafe(found.put_nowait, None)

        self._working = working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while (item := await found.get()) is not None:
                if isinstance(item, UiapiError):
                    raise item
                self._count(item)
                while (due := self._order.take()) is not None:
                    yield due
                    self._check(due)
                is_free.release()
            self._order.end()
            while (due := self._order.take()) is not None:
                yield due
                self._check(due)
        finally:
            self._finish()
            await working
