"""The websocket for blocking programs: it runs on one thread, and its listeners are called on another."""

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
from ..common.events import Event, Listener, notify
from ..protocol.address import Address
from .websocket import Socket, opened

T = TypeVar("T")


class Background:
    """A Socket with its own event loop on a thread, until `close`.

    Args:
        address: the URL of ComfyUI and how to authenticate.
        reconnect: seconds to wait for a connection that was open before and has ended.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="uiapi websocket", daemon=True)
        self._thread.start()
        # A listener may use the client and may be slow; later events wait for it.
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
            # On Ctrl-C the server is notified that nothing waits for the response.
            future.cancel()
            raise

    def request(self, command: str, data: dict[str, Any], listener: Listener) -> dict[str, Any]:
        """Send a command, call `listener` with its events on the calling thread, and return the envelope."""
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
        """Call `listener` for events, one at a time; returns a function that ends this."""

        def pass_on(event: Event) -> None:
            self._listeners.submit(notify, listener, event)

        end = self._do(self._socket.subscribe(events, pass_on, paths))
        return lambda: self._end(end)

    def events(self, names: Iterable[str], paths: Iterable[str], timeout: float | None) -> Iterator[Event]:
        """Iterates over events for `timeout` seconds or until `close`. Raises UiapiError if the server refuses."""
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
        # After `close` the loop has ended, and the subscription with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(end)

    def close(self) -> None:
        """Close the connection and end both threads, without waiting for a listener that is running."""
        self._listeners.shutdown(wait=False, cancel_futures=True)
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _shut(self) -> None:
        await self._socket.close()
        await self._session.close()
        # Requests that wait for a response have failed now; tasks that still run after a second are cancelled.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=1.0)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
