"""The texts in the metadata of MP4 and QuickTime files: the boxes `keys` and `ilst` of `moov/udta/meta`.

https://developer.apple.com/documentation/quicktime-file-format/metadata_atoms_and_types
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from .chunks import Cursor, Damaged, text_of

# Boxes whose content is boxes.
CONTAINERS = frozenset({b"moov", b"udta", b"meta"})
MAX_KEYS = 1000
# Keys that have a box type of their own instead of a name in `keys`.
TYPES = {b"\xa9cmt": "comment"}


def texts(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a file. Raises Damaged."""
    yield from _texts(memoryview(content), 0, count())


def _texts(content: memoryview, depth: int, counter: Iterator[int]) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    for kind, data in boxes(content, counter):
        if kind in CONTAINERS and depth < 4:
            # In MP4, unlike QuickTime, `meta` begins with its version.
            version = 4 if kind == b"meta" and bytes(data[4:8]) != b"hdlr" else 0
            yield from _texts(data[version:], depth + 1, counter)
        elif kind == b"keys":
            names = _names(data)
        elif kind == b"ilst":
            yield from _items(data, names, counter)


def boxes(content: memoryview, counter: Iterator[int]) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the type and the content of each box. Raises Damaged."""
    cursor = Cursor(content, counter=counter)
    while cursor.left >= 8:
        size, kind, head = cursor.number(4), bytes(cursor.take(4)), 8
        if size == 1:
            size, head = cursor.number(8), 16
        elif size == 0:
            size = head + cursor.left
        if size < head:
            raise Damaged(f"a box of {size} bytes")
        start = cursor.at
        # The last box may be cut off, which does not matter unless it is needed.
        cursor.skip(size - head)
        yield kind, content[start : cursor.at]


def _names(data: memoryview) -> list[str]:
    cursor = Cursor(data)
    cursor.skip(4)
    names = []
    for _ in range(min(cursor.number(4), MAX_KEYS)):
        size = cursor.number(4)
        cursor.skip(4)
        names.append(text_of(cursor.take(size - 8)))
    return names


def _items(data: memoryview, names: list[str], counter: Iterator[int]) -> Iterator[tuple[str, str]]:
    for kind, item in boxes(data, counter):
        number = int.from_bytes(kind, "big")
        name = names[number - 1] if 0 < number <= len(names) else TYPES.get(kind)
        if name is None:
            continue
        for inner, value in boxes(item, counter):
            # Behind the type and the language of the value.
            if inner == b"data":
                yield name, text_of(value[8:])
