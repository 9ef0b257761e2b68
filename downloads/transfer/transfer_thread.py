"""The transfer thread: runs downloads on an event loop of its own, so that they do not slow down ComfyUI's.

A thread is enough: reading, writing and hashing release the interpreter lock, and tests/bench measures that ComfyUI
responds as fast during a download as when idle. `run` hands work over from ComfyUI's loop and waits for it; when
cancelled, it returns only once the work has closed its files.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ...common.errors import UiapiError, stopping
from ..common.progress import Progress
from ..common.settings import Settings
from ..common.throttle import Backoff, Bandwidth
from .host_guard import HostGuard
from .http_client import Web
from .transfer import Order, Transfer
from .turns import Rest, Turn

T = TypeVar("T")


class Engine:
    """Owns the thread, its connections and the limits that all transfers share.

    Args:
        settings: the operator's limits.
        guard: decides which hosts may be reached.
        backoff: creates the pauses between the retries of a connection.
    """

    def __init__(self, settings: Settings, guard: HostGuard, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._settings = settings
        self._guard = guard
        self._backoff = backoff
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._web: Web | None = None
        self._bandwidth: Bandwidth | None = None
        self._closed = False
        # Work on the thread's loop; used on that loop only.
        self._works: set[asyncio.Task[Any]] = set()

    async def fetch(self, order: Order, progress: Progress, turn: Turn | None = None) -> None:
        """Fetch one file; if cancelled after the file was renamed, it succeeds regardless.

        Args:
            order: the file to fetch.
            progress: updated during the transfer.
            turn: given back while the transfer only waits for its host; None if it needs no turn.

        Raises:
            UiapiError: as Transfer.run.
        """

        rest = Rest(turn, asyncio.get_running_loop())

        async def work(web: Web) -> None:
            assert self._bandwidth is not None  # noqa: S101 - created together with web
            segments = self._settings.segments
            await Transfer(web, self._bandwidth, order, progress, segments, rest, self._backoff).run()

        try:
            await self.run(work)
        except asyncio.CancelledError:
            if not progress.is_in_place:
                raise

    async def run(self, work: Callable[[Web], Coroutine[Any, Any, T]]) -> T:
        """Run `work(web)` on the transfer thread and return its result.

        A cancelled caller waits until the work has ended.

        Raises:
            UiapiError: `shutting_down` if the thread is closed, or as the work.
        """
        loop = self._start()
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        works: list[asyncio.Task[T]] = []

        async def carry_out() -> T:
            if self._web is None:
                self._web = Web(self._guard)
                self._bandwidth = Bandwidth(self._settings.max_rate)
            return await work(self._web)

        def settle(task: asyncio.Task[T]) -> None:
            self._works.discard(task)
            if task.cancelled():
                outcome.cancel()
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

        def begin() -> None:
            task = loop.create_task(carry_out(), name="uiapi transfer")
            works.append(task)
            self._works.add(task)
            # Unlike code in the task, this also runs if the task is cancelled before its first step.
            task.add_done_callback(settle)

        loop.call_soon_threadsafe(begin)
        waiter = asyncio.wrap_future(outcome)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if waiter.cancelled():
                # The thread was closed, which does not cancel the caller.
                raise stopping() from None
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in works])
            await asyncio.wait({waiter})
            raise

    async def close(self) -> None:
        """Cancel the running work and end the thread."""
        self._closed = True
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return

        async def end() -> None:
            # Only the work itself is cancelled: it ends the tasks it has started, and waits for disk work in threads.
            works = [*self._works]
            for task in works:
                task.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            if self._web is not None:
                await self._web.close()

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(end(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise UiapiError("shutting_down", "ComfyUI is stopping; download again when it is back.")
        if self._loop is None:
            self._loop = loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(loop,), name="uiapi transfers", daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
