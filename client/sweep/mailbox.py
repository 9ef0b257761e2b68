"""Keeps the events of a sweep until the loop over it takes them, in programs that block."""

from __future__ import annotations

import queue

from ..common.events import Event


class Mailbox:
    """The events; they may be put in on any thread."""

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
