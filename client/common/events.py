"""Events and the listeners that are called with them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uiapi")


@dataclass(frozen=True)
class Event:
    """An event: its name, such as "output" or "webui_connected", and its data (docs/events.md)."""

    name: str
    data: dict[str, Any]


Listener = Callable[[Event], None]


def notify(listener: Listener, event: Event) -> None:
    """Call a listener, and log any exception it raises."""
    try:
        listener(event)
    except Exception:
        # An error in a listener must not end the connection that all listeners share.
        log.exception("A listener for %s failed", event.name)
