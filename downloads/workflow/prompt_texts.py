"""Finds models named in texts: `<lora:name:1>`, as node packs use it, and `embedding:name`, as ComfyUI uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LORA = re.compile(r"<lora:([^:<>\n]{1,300})(?::[^<>\n]*)?>", re.IGNORECASE)
_EMBEDDING = "embedding:"
# An embedding starts a piece of the text, or follows a blank or a line break.
_NEXT_EMBEDDING = re.compile(r"[ \n]embedding:")
_WEIGHT = re.compile(r":\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*$")
_PARENTHESES = re.compile(r"(\\?[()])")
# The beginnings of comments, and the alternatives of which the page picks one.
_COMMENT = re.compile(r"/[*/]")
_ALTERNATIVES = re.compile(r"[{|}]")


def without_comments(text: str) -> str:
    """A text without the comments that the page removes before a run, `/* … */` and `// …`."""
    # A comment that is not closed is none. Looking for its end from every beginning would take ages.
    last = text.rfind("*/")
    kept, at, begin = [], 0, _COMMENT.search(text)
    while begin is not None:
        end = begin.end()
        if begin[0] == "//" or end <= last:
            kept.append(text[at : begin.start()])
            found = text.find("\n", end) if begin[0] == "//" else text.index("*/", end) + 2
            at = end = len(text) if found < 0 else found
        begin = _COMMENT.search(text, end)
    return "".join([*kept, text[at:]])


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
