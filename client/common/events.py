"""What happens, as listeners hear of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uiapi")


@dataclass(frozen=True)
class Event:
    """Something that happened: its name, such as "output" or "webui_connected", and what there is to know of it."""

    name: str
    data: dict[str, Any]


Listener = Callable[[Event], None]


def tell(listener: Listener, event: Event) -> None:
    """Call a listener; what it raises is logged."""
    try:
        listener(event)
    except Exception:
        # What a program does with an event must not end the connection that all its listeners share.
        log.exception("A listener for %s failed", event.name)
