"""Event subscriptions of programs, and the tab events that any of them needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uiapi")

# The events a tab sends, most of them about its graph. Each has `by`, so that a program recognizes its own changes.
TAB_EVENTS = frozenset(
    {
        "widget_changed",
        "node_added",
        "node_removed",
        "node_renamed",
        "node_mode_changed",
        "link_added",
        "link_removed",
        "selection_changed",
        "tab_switched",
        "graph_loaded",
        "node_install",
    }
)

# All events; docs/events.md describes them.
EVENTS = TAB_EVENTS | {
    "execution_start",
    "execution_cached",
    "executing",
    "progress",
    "preview",
    "output",
    "execution_success",
    "execution_error",
    "execution_interrupted",
    "webui_connected",
    "webui_disconnected",
    "waiting_for_person",
    "download_progress",
    "model_landed",
    "sweep_progress",
}

Send = Callable[[str, dict[str, Any]], None]


# Characters of a path in a subscription.
MAX_PATH = 2000
# Event names whose subscribers are cached; those of further names are looked up each time.
MAX_LOOKED_UP = 256


@dataclass(frozen=True, eq=False)
class Subscriber:
    """A subscription to events by name or prefix, optionally limited to some paths.

    Call `end` to end it.
    """

    names: frozenset[str]
    beginnings: tuple[str, ...]
    paths: frozenset[str]
    send: Send
    end: Callable[[], None]

    def wants(self, event: str) -> bool:
        """Whether it includes events of that name."""
        return event in self.names or event.startswith(self.beginnings)


class Subscriptions:
    """All subscriptions.

    Args:
        changed: called when the wanted events may have changed.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        # In the order they were added.
        self._subscribers: dict[Subscriber, None] = {}
        self._looked_up: dict[str, list[Subscriber]] = {}
        # How many subscribers want each event of a tab.
        self._wanted = dict.fromkeys(TAB_EVENTS, 0)
        self._changed = changed

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, send: Send, events: Sequence[str] = ("*",), paths: Sequence[str] = ()) -> Subscriber:
        """Call `send(event, data)` for the named events until `end()` of the returned subscriber is called.

        A name that ends in `*` is a prefix.
        """
        beginnings = tuple(name[:-1] for name in events if name.endswith("*"))
        lower = frozenset(path.lower() for path in paths)
        subscriber = Subscriber(frozenset(events), beginnings, lower, send, lambda: self._remove(subscriber))
        self._subscribers[subscriber] = None
        self._count(subscriber, 1)
        return subscriber

    def _remove(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._count(subscriber, -1)

    def _count(self, subscriber: Subscriber, change: int) -> None:
        self._looked_up.clear()
        for event in TAB_EVENTS:
            if subscriber.wants(event):
                self._wanted[event] += change
        self._changed()

    def wanted(self) -> list[str]:
        """Return the tab events that have a subscriber."""
        return sorted(event for event, count in self._wanted.items() if count)

    def has_subscriber(self, event: str) -> bool:
        """Whether an event has a subscriber."""
        return bool(self._for(event))

    def publish(self, event: str, data: dict[str, Any]) -> int:
        """Send an event to its subscribers and return how many it was sent to."""
        path = data.get("path")
        count = 0
        places = _places(path.lower()) if isinstance(path, str) else None
        for subscriber in [*self._for(event)]:
            if places is None or not subscriber.paths or not places.isdisjoint(subscriber.paths):
                count += 1
                try:
                    subscriber.send(event, data)
                except Exception:  # The last line of defence: the other subscribers must still get the event.
                    log.exception("The event %s could not be sent to a subscriber.", event)
        return count

    def _for(self, event: str) -> list[Subscriber]:
        """The subscribers of an event."""
        known = self._looked_up.get(event)
        if known is None:
            known = [subscriber for subscriber in self._subscribers if subscriber.wants(event)]
            if len(self._looked_up) < MAX_LOOKED_UP:
                self._looked_up[event] = known
        return known


def _places(path: str) -> set[str]:
    """The paths in a subscription that match this path: itself, and the nodes that contain it."""
    return {path, *(path[:at] for at, sign in enumerate(path[: MAX_PATH + 1]) if sign in "./")}
