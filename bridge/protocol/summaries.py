"""Summarizes the values of a request in a few words, for the person at the browser."""

from __future__ import annotations

from typing import Any

from ...common.shorten import beginning

# Characters of a text that is shown whole; a longer one is shortened.
MAX_TEXT = 200
# Items of a list that are shown; the others are counted.
ITEMS_SHOWN = 3


def summary_of(value: Any) -> str:
    """Return a string, the items of a list, or the ends of a link, shortened; empty for any other value."""
    if isinstance(value, str):
        return short(value)
    if isinstance(value, tuple):
        return short(" → ".join(str(end) for end in value))
    if isinstance(value, list):
        more = len(value) - ITEMS_SHOWN
        return ", ".join(_item(item) for item in value[:ITEMS_SHOWN]) + (f" +{more}" if more > 0 else "")
    return ""


def short(text: str) -> str:
    """Return a text, shortened to MAX_TEXT."""
    return text if len(text) <= MAX_TEXT else beginning(text, MAX_TEXT)


def _item(item: Any) -> str:
    """Return an item of a list: a path, the path of a write, or the name of a batch's command."""
    if isinstance(item, (list, tuple)) and item:
        item = item[0]
    return short(str(getattr(item, "command", item)))
