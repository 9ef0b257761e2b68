"""Warnings of the server: those in a response, and as Python warnings at the line that made the call."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from .errors import UiapiWarning

_PACKAGE = __name__.rpartition(".")[0].rpartition(".")[0]


def warnings_in(value: Any, place: str = "") -> Iterator[str]:
    """Yields every warning in a response, with the key that it belongs to."""
    if isinstance(value, dict):
        found = value.get("warnings")
        for warning in found if isinstance(found, list) else ():
            yield f"{place}: {warning}" if place else str(warning)
        for key, item in value.items():
            # Values that the caller wrote may have a key of this name.
            if key not in ("warnings", "requested", "value"):
                yield from warnings_in(item, str(key))
    elif isinstance(value, list):
        for item in value:
            yield from warnings_in(item, place)


def not_run(node_errors: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each node that ComfyUI does not run, with ComfyUI's reasons."""
    for node_id, entry in node_errors.items():
        reasons = [": ".join(filter(None, (one.get("message"), one.get("details")))) for one in entry.get("errors", ())]
        yield f"#{node_id} ({entry.get('class_type')}) was not run: {'; '.join(reasons) or 'no reason given'}"


def warn(texts: Iterable[str]) -> None:
    """Issue a UiapiWarning for each text, at the line that called this package."""
    level, frame = 1, sys._getframe()
    caller: FrameType | None = frame
    while caller is not None and f"{caller.f_globals.get('__name__')}.".startswith(f"{_PACKAGE}."):
        level, caller = level + 1, caller.f_back
    for text in texts:
        warnings.warn(text, UiapiWarning, stacklevel=level)
