"""Finds models named in texts: `<lora:name:1>`, as node packs use it, and `embedding:name`, as ComfyUI uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LORA = re.compile(r"<lora:([^:<>\n]{1,300})(?::[^<>\n]*)?>", re.IGNORECASE)
_EMBEDDING = "embedding:"
# An embedding starts a piece of the text, or follows a blank or a line break.
_NEXT_EMBEDDING = re.compile(r"[ \n]embedding:")
_WEIGHT = re.compile(r":\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*$")
_PARENTHESES = re.compile(r"(\\?[()])")
# The comments that the page removes from a text before a run, and the alternatives of which it picks one.
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ALTERNATIVES = re.compile(r"[{|}]")


def without_comments(text: str) -> str:
    """A text without the comments that the page removes before a run."""
    return _COMMENT.sub("", text) if "/" in text else text


def loras_of(text: str) -> Iterator[str]:
    """The names in a text's LoRA tags, which may lack their suffix."""
    if "<" in text:
        for found in _LORA.finditer(without_comments(text)):
            yield found[1].strip()


def embeddings_of(text: str) -> Iterator[str]:
    """The names of a text's embeddings, which may lack their suffix.

    A name ends at a blank, or at the parenthesis around it, whose weight is not part of the name. Commas at its ends
    are removed; a full stop is kept.
    """
    if _EMBEDDING not in text:
        return
    for piece in _pieces(_ALTERNATIVES.sub("\n", without_comments(text))):
        first, *names = _NEXT_EMBEDDING.split(piece)
        if first.startswith(_EMBEDDING):
            names.insert(0, first.removeprefix(_EMBEDDING))
        for name in names:
            words = name.split(None, 1)
            if words and (read := words[0].strip(",")):
                yield read


def _pieces(text: str) -> Iterator[str]:
    """The parts of a text between unescaped parentheses, without the weights at their ends."""
    depth, piece = 0, ""
    for part in _PARENTHESES.split(text):
        if part == "(":
            yield piece
            depth, piece = depth + 1, ""
        elif part == ")" and depth > 0:
            yield _WEIGHT.sub("", piece)
            depth, piece = depth - 1, ""
        else:
            piece += part[1:] if part in ("\\(", "\\)") else part
    yield piece
