"""Where the events of a sweep wait until the loop over it takes them."""

from __future__ import annotations

import asyncio
import queue

from ..common.events import Event


class Mailbox:
    """For blocking programs; events may be put in on any thread."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.put(event)

    def get(self, seconds: float) -> Event | None:
        """Returns the next event, or None if none comes within the seconds."""
        try:
            return self._events.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None


class AsyncMailbox:
    """For programs with an event loop."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    def put(self, event: Event) -> None:
        """Add an event."""
        self._events.put_nowait(event)

    async def get(self, seconds: float) -> Event | None:
        """Returns the next event, or None if none comes within the seconds."""
        try:
            return await asyncio.wait_for(self._events.get(), max(0.0, seconds))
        except asyncio.TimeoutError:
            return None
