"""The texts in the metadata of WebM and Matroska files: the element Tags.

https://www.rfc-editor.org/rfc/rfc9559.html#section-5.1.8 and https://www.rfc-editor.org/rfc/rfc8794.html for EBML.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from .chunks import Cursor, Damaged, text_of

EBML, SEGMENT, TAGS, TAG, SIMPLE, NAME, STRING = 0x1A45DFA3, 0x18538067, 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
CONTAINERS = frozenset({SEGMENT, TAGS, TAG})
UNKNOWN_SIZE = -1


def texts(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a file. Raises Damaged."""
    yield from _texts(memoryview(content), 0, count())


def _texts(content: memoryview, depth: int, counter: Iterator[int]) -> Iterator[tuple[str, str]]:
    for kind, data in elements(content, counter):
        if kind in CONTAINERS and depth < 4:
            yield from _texts(data, depth + 1, counter)
        elif kind == SIMPLE:
            inside = elements(data, counter)
            pair = {inner: text_of(value).rstrip("\0") for inner, value in inside if inner in (NAME, STRING)}
            if NAME in pair and STRING in pair:
                yield pair[NAME], pair[STRING]


def elements(content: memoryview, counter: Iterator[int]) -> Iterator[tuple[int, memoryview]]:
    """Yield the ID and the content of each element. Raises Damaged."""
    cursor = Cursor(content, counter=counter)
    while cursor.left >= 2:
        kind, size = _variable(cursor, keep_marker=True), _variable(cursor, keep_marker=False)
        start = cursor.at
        # The length of a stream's last parts may be unknown; they go on to the end.
        cursor.skip(cursor.left if size == UNKNOWN_SIZE else size)
        yield kind, content[start : cursor.at]


def _variable(cursor: Cursor, *, keep_marker: bool) -> int:
    """Return a number whose first byte says by its leading zeros how many bytes it has."""
    first = cursor.number(1)
    length = 9 - first.bit_length()
    if length > 8:
        raise Damaged("a number of more than eight bytes")
    rest = cursor.number(length - 1) if length > 1 else 0
    bits = 8 * (length - 1)
    if keep_marker:
        return first << bits | rest
    value = (first & ((1 << (8 - length)) - 1)) << bits | rest
    return UNKNOWN_SIZE if value == (1 << (7 * length)) - 1 else value
