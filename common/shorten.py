"""Shortens long values for answers and error messages to their beginning and length."""

from __future__ import annotations

import json
from typing import Any

# Characters up to which a value is shown whole, and of the beginning of a longer one. The same
# as in web/common/shorten.js.
SHOWN = 200
BEGINNING = 100
# Characters of an error message from ComfyUI or a page.
SENTENCE = 1000


def cut(value: Any) -> Any:
    """Return the value, or its shortened text if the text (or JSON) of it has more than SHOWN characters."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= SHOWN else beginning(text)


def cut_texts(thing: Any) -> Any:
    """Return the same decoded JSON with every long string shortened."""
    if isinstance(thing, dict):
        return {key: cut_texts(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [cut_texts(value) for value in thing]
    return beginning(thing) if isinstance(thing, str) and len(thing) > SHOWN else thing


def sentence(text: str) -> str:
    """Return an error message from ComfyUI or a page, shortened if it is longer than SENTENCE."""
    return text if len(text) <= SENTENCE else beginning(text, SENTENCE)


def beginning(text: str, characters: int = BEGINNING) -> str:
    """Return the beginning of a text, followed by its length."""
    return f"{text[:characters]}… ({len(text)} characters)"
