"""The websocket for programs without an event loop: it lives on a thread of its own, its listeners on another."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

import aiohttp

from ..common.errors import UiapiError
from ..common.events import Event, Listener, tell
from ..protocol.address import Address
from .websocket import Socket, opened

T = TypeVar("T")


class Background:
    """A Socket on a thread that ends with this.

    Args:
        address: where ComfyUI is.
        reconnect: seconds to wait for a connection that was there before and is gone.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="uiapi websocket", daemon=True)
        self._thread.start()
        # A listener may use the client and take its time; events wait for it in their order.
        self._listeners = ThreadPoolExecutor(1, thread_name_prefix="uiapi listener")
        self._session, self._socket = self._do(self._open(address, reconnect))

    async def _open(self, address: Address, reconnect: float) -> tuple[aiohttp.ClientSession, Socket]:
        session = opened()
        return session, Socket(address, session, reconnect)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C while waiting: the server is to know that nobody waits any more.
            future.cancel()
            raise

    def request(self, command: str, data: dict[str, Any], listener: Listener) -> dict[str, Any]:
        """Carry out a command; its events go to `listener` on the calling thread before this returns.

        Returns the envelope.
        """
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        work = self._socket.request(command, data, events.put)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: events.put(None))
        try:
            while (event := events.get()) is not None:
                listener(event)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def on(self, events: Iterable[str], listener: Listener, paths: Iterable[str]) -> Callable[[], None]:
        """Have `listener` called for events, one at a time; returns what ends it."""

        def pass_on(event: Event) -> None:
            self._listeners.submit(tell, listener, event)

        end = self._do(self._socket.subscribe(events, pass_on, paths))
        return lambda: self._end(end)

    def events(self, names: Iterable[str], paths: Iterable[str], timeout: float | None) -> Iterator[Event]:
        """Events as they come, for `timeout` seconds or until the client is closed. UiapiError if it is refused."""
        found: queue.SimpleQueue[Event | UiapiError | None] = queue.SimpleQueue()
        end = self._do(self._socket.subscribe(names, found.put, paths, found.put))
        until = None if timeout is None else monotonic() + timeout
        try:
            while until is None or monotonic() < until:
                try:
                    event = found.get(timeout=None if until is None else max(0.0, until - monotonic()))
                except queue.Empty:
                    return
                if event is None:
                    return
                if isinstance(event, UiapiError):
                    raise event
                yield event
        finally:
            self._end(end)

    def _end(self, end: Callable[[], None]) -> None:
        # After close there is no loop, and nothing to end.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(end)

    def close(self) -> None:
        """End the connection and both threads; a listener that runs now is not waited for."""
        self._listeners.shutdown(wait=False, cancel_futures=True)
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut(self) -> None:
        await self._socket.close()
        await self._session.close()
        # Threads that wait for an answer are told that it will not come; what still waits after that is ended.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1.0)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
