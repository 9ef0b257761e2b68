"""Keeps the events of a sweep until the loop over it takes them, in programs with an event loop.

In a file of its own, since asyncio takes longer to import than many commands take.
"""

from __future__ import annotations

import asyncio

from ..common.events import Event


class AsyncMailbox:
    """The events."""

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
