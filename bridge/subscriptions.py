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


@dataclass(frozen=True, eq=False)
class Subscriber:
    """Somebody who hears events by their names or beginnings of names, and of these only those about its paths."""

    names: frozenset[str]
    beginnings: tuple[str, ...]
    paths: tuple[str, ...]
    tell: Tell

    def wants(self, event: str) -> bool:
        """Whether it asked for events of that name."""
        return event in self.names or event.startswith(self.beginnings)

    def about(self, data: dict[str, Any]) -> bool:
        """Whether the event is about one of its paths: the field itself, or any field of the node."""
        path = data.get("path")
        if not self.paths or not isinstance(path, str):
            return True
        lower = path.lower()
        return any(lower == own or lower.startswith((f"{own}.", f"{own}/")) for own in self.paths)


class Subscriptions:
    """The subscribers.

    Args:
        changed: called when what anybody wants to hear has changed.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._subscribers: set[Subscriber] = set()
        self._changed = changed

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, tell: Tell, events: Sequence[str] = ("*",), paths: Sequence[str] = ()) -> Callable[[], None]:
        """Have `tell(event, data)` called for the named events; returns what ends it.

        A name that ends in `*` stands for all that begin so.
        """
        subscriber = Subscriber(
            frozenset(events),
            tuple(name[:-1] for name in events if name.endswith("*")),
            tuple(path.lower() for path in paths),
            tell,
        )
        self._subscribers.add(subscriber)
        self._changed()

        def end() -> None:
            self._subscribers.discard(subscriber)
            self._changed()

        return end

    def wanted(self, events: frozenset[str]) -> list[str]:
        """Those of the events that somebody wants to hear."""
        return sorted(event for event in events if any(who.wants(event) for who in self._subscribers))

    def publish(self, event: str, data: dict[str, Any]) -> None:
        """Tell everybody who wants to hear it."""
        for subscriber in [*self._subscribers]:
            if subscriber.wants(event) and subscriber.about(data):
                try:
                    subscriber.tell(event, data)
                except Exception:  # The last line of defence: one that cannot be told must not keep it from others.
                    log.exception("A subscriber could not be told of %s", event)
