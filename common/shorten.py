"""Values as answers and error sentences show them: a long one by its beginning and its length."""

from __future__ import annotations

import json
from typing import Any

# Characters of a value that is shown whole, and of the beginning of one that is not. The same
# as in web/common/shorten.js.
SHOWN = 200
BEGINNING = 100
# Characters of a sentence of ComfyUI's or a page's own making.
SENTENCE = 1000


def cut(value: Any) -> Any:
    """The value itself, or a text that stands for it if its text, or else its JSON, has more than SHOWN characters."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= SHOWN else beginning(text)


def cut_texts(thing: Any) -> Any:
    """The same decoded JSON with every long text in it cut."""
    if isinstance(thing, dict):
        return {key: cut_texts(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [cut_texts(value) for value in thing]
    return beginning(thing) if isinstance(thing, str) and len(thing) > SHOWN else thing


def sentence(text: str) -> str:
    """Somebody else's sentence, cut if it is longer than any sentence."""
    return text if len(text) <= SENTENCE else beginning(text, SENTENCE)


def beginning(text: str, characters: int = BEGINNING) -> str:
    """The beginning of a text, and its length."""
    return f"{text[:characters]}… ({len(text)} characters)"
