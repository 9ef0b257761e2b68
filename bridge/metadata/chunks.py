"""A cursor over the bytes of a file, which refuses to read beyond their end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import count
from typing import Any, Literal

# Bytes of a text, also after decompression, and the number of parts of a file that are looked at.
MAX_TEXT = 32 * 2**20
MAX_PARTS = 100_000


class Damaged(Exception):
    """The file does not have the structure of its format, or is larger than the limits; the text says where."""


class Cursor:
    """Reads numbers and bytes in order.

    Args:
        content: the bytes; slices of them are views, which copy nothing.
        order: the byte order of numbers.
        counter: counts the parts of a file in which parts contain others; a new one by default.
    """

    def __init__(
        self, content: bytes | memoryview, order: Literal["big", "little"] = "big", counter: Iterator[int] | None = None
    ) -> None:
        self.content = memoryview(content)
        self.order: Literal["big", "little"] = order
        self.at = 0
        self._counter = count() if counter is None else counter

    @property
    def left(self) -> int:
        """The number of bytes after the cursor."""
        return len(self.content) - self.at

    def take(self, size: int) -> memoryview:
        """Return the next bytes. Raises Damaged if there are fewer."""
        if size < 0 or size > self.left:
            raise Damaged(f"{size} bytes announced where {self.left} are left")
        self.at += size
        return self.content[self.at - size : self.at]

    def skip(self, size: int) -> None:
        """Go on behind the next bytes, or to the end if there are fewer. Raises Damaged beyond MAX_PARTS calls."""
        if next(self._counter) >= MAX_PARTS:
            raise Damaged(f"more than {MAX_PARTS} parts")
        self.at += min(max(size, 0), self.left)

    def number(self, size: int) -> int:
        """Return the next unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size), self.order)


def text_of(content: Any, encoding: str = "utf-8") -> str:
    """Return bytes as text; invalid ones are replaced. Raises Damaged beyond MAX_TEXT bytes."""
    if len(content) > MAX_TEXT:
        raise Damaged(f"a text of more than {MAX_TEXT // 2**20} MB")
    return bytes(content).decode(encoding, "replace")


def split(content: Any) -> tuple[bytes, bytes]:
    """Return the bytes before and after the first zero byte. Raises Damaged without one."""
    if len(content) > MAX_TEXT:
        raise Damaged(f"a text of more than {MAX_TEXT // 2**20} MB")
    before, zero, after = bytes(content).partition(b"\0")
    if not zero:
        raise Damaged("a text without its end")
    return before, after


def inflated(content: bytes) -> bytes:
    """Return the content of a zlib stream. Raises Damaged if it is invalid or has more than MAX_TEXT bytes."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(content, MAX_TEXT)
    except zlib.error as error:
        raise Damaged(str(error)) from None
    if stream.unconsumed_tail:
        raise Damaged(f"a compressed text of more than {MAX_TEXT // 2**20} MB")
    return plain
