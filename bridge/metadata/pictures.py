"""The texts in the metadata of PNG, WebP and JPEG files.

PNG: https://www.w3.org/TR/png-3/#11textinfo; the chunk `comf` is ComfyUI's own, for animations. EXIF: ComfyUI writes
texts such as `workflow:{…}` into the tags Make and Model of WebP files, as a TIFF directory
(https://www.loc.gov/preservation/digital/formats/fdd/fdd000146.shtml).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from .chunks import Cursor, Damaged, inflated, split, text_of

# The type of texts in a TIFF directory, the size of an entry, and the bytes that fit into it.
ASCII, ENTRY, INLINE = 2, 12, 4
MAX_ENTRIES = 1000


def of_png(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a PNG. Raises Damaged."""
    cursor = Cursor(content)
    cursor.skip(8)
    while cursor.left >= 12:
        size, kind = cursor.number(4), bytes(cursor.take(4))
        if kind in (b"tEXt", b"comf", b"zTXt", b"iTXt"):
            data = cursor.take(size)
            if kind == b"zTXt":
                key, rest = split(data)
                yield text_of(key, "latin-1"), text_of(inflated(rest[1:]))
            elif kind == b"iTXt":
                yield _international(data)
            else:
                key, rest = split(data)
                # The standard says Latin-1, but the page reads UTF-8, which other programs write.
                yield text_of(key, "latin-1"), text_of(rest)
        elif kind == b"IEND":
            return
        else:
            cursor.skip(size)
        cursor.skip(4)


def _international(data: memoryview) -> tuple[str, str]:
    key, rest = split(data)
    compressed = rest[:1] == b"\1"
    _, rest = split(rest[2:])
    _, text = split(rest)
    return text_of(key, "latin-1"), text_of(inflated(text) if compressed else text)


def of_webp(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a WebP. Raises Damaged."""
    cursor = Cursor(content, "little")
    cursor.skip(12)
    while cursor.left >= 8:
        kind, size = bytes(cursor.take(4)), cursor.number(4)
        if kind == b"EXIF":
            yield from of_exif(cursor.take(size))
        else:
            cursor.skip(size)
        # Chunks have an even number of bytes.
        cursor.skip(size % 2)


def of_jpeg(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a JPEG. Raises Damaged."""
    cursor = Cursor(content)
    cursor.skip(2)
    while cursor.left >= 4:
        marker, size = cursor.number(2), cursor.number(2)
        # The picture itself begins at the marker SOS.
        if marker >> 8 != 0xFF or marker == 0xFFDA:
            return
        data = cursor.take(size - 2)
        if marker == 0xFFE1 and bytes(data[:6]) == b"Exif\0\0":
            yield from of_exif(data)


def of_exif(content: memoryview) -> Iterator[tuple[str, str]]:
    """Yield (key, text) for each text `key:text` in the first directory of EXIF data. Raises Damaged."""
    tiff = content[6:] if bytes(content[:6]) == b"Exif\0\0" else content
    orders: dict[bytes, Literal["big", "little"]] = {b"II": "little", b"MM": "big"}
    order = orders.get(bytes(tiff[:2]))
    if order is None:
        raise Damaged("EXIF without its byte order")
    cursor = Cursor(tiff, order)
    cursor.skip(4)
    cursor.at = cursor.number(4)
    for _ in range(min(cursor.number(2), MAX_ENTRIES)):
        entry = Cursor(cursor.take(ENTRY), order)
        entry.skip(2)
        kind, size = entry.number(2), entry.number(4)
        if kind == ASCII:
            place = Cursor(tiff, order)
            place.at = len(tiff) - entry.left if size <= INLINE else entry.number(4)
            data = entry.take(size) if size <= INLINE else place.take(size)
            key, _, text = text_of(data).rstrip("\0").partition(":")
            yield key, text
