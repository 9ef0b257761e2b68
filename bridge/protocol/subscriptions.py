"""Events for programs that asked to hear them: who hears what, and what the open tabs need to tell at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uiapi")

# What a tab tells of its graph, whoever changed it; each has `by`, so that a program knows its own changes.
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
    }
)

Tell = Callable[[str, dict[str, Any]], None]


# Characters of a path that somebody can subscribe to.
MAX_PATH = 2000
# Names of events whose subscribers are looked up once; further ones are looked up each time.
MAX_LOOKED_UP = 256


@dataclass(frozen=True, eq=False)
class Subscriber:
    """Somebody who hears events by their names or beginnings of names, and of these only those about its paths.

    `end` is called once nobody is to be told any more.
    """

    names: frozenset[str]
    beginnings: tuple[str, ...]
    paths: frozenset[str]
    tell: Tell
    end: Callable[[], None]

    def wants(self, event: str) -> bool:
        """Whether it asked for events of that name."""
        return event in self.names or event.startswith(self.beginnings)


class Subscriptions:
    """The subscribers.

    Args:
        changed: called when what anybody wants to hear has changed.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        # In the order they came in.
        self._subscribers: dict[Subscriber, None] = {}
        self._looked_up: dict[str, list[Subscriber]] = {}
        # How many want to hear each event of a tab.
        self._wanted = dict.fromkeys(TAB_EVENTS, 0)
        self._changed = changed

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, tell: Tell, events: Sequence[str] = ("*",), paths: Sequence[str] = ()) -> Subscriber:
        """Have `tell(event, data)` called for the named events until `end()` of what is returned is called.

        A name that ends in `*` stands for all that begin so.
        """
        beginnings = tuple(name[:-1] for name in events if name.endswith("*"))
        lower = frozenset(path.lower() for path in paths)
        subscriber = Subscriber(frozenset(events), beginnings, lower, tell, lambda: self._remove(subscriber))
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
        """Those of a tab's events that somebody wants to hear."""
        return sorted(event for event, count in self._wanted.items() if count)

    def hears(self, event: str) -> bool:
        """Whether somebody wants to hear an event."""
        return bool(self._for(event))

    def publish(self, event: str, data: dict[str, Any]) -> None:
        """Tell everybody who wants to hear it."""
        path = data.get("path")
        places = _places(path.lower()) if isinstance(path, str) else None
        for subscriber in [*self._for(event)]:
            if places is None or not subscriber.paths or not places.isdisjoint(subscriber.paths):
                try:
                    subscriber.tell(event, data)
                except Exception:  # The last line of defence: one that cannot be told must not keep it from others.
                    log.exception("A subscriber could not be told of %s", event)

    def _for(self, event: str) -> list[Subscriber]:
        """Who wants to hear an event."""
        known = self._looked_up.get(event)
        if known is None:
            known = [subscriber for subscriber in self._subscribers if subscriber.wants(event)]
            if len(self._looked_up) < MAX_LOOKED_UP:
                self._looked_up[event] = known
        return known


def _places(path: str) -> set[str]:
    """What a subscriber may have named to hear of this path: itself, and the nodes it is in."""
    return {path, *(path[:at] for at, sign in enumerate(path[: MAX_PATH + 1]) if sign in "./")}
