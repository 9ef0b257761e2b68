"""The texts in the metadata of FLAC, Ogg and MP3 files.

Vorbis comments: https://www.xiph.org/vorbis/doc/v-comment.html; FLAC: https://www.rfc-editor.org/rfc/rfc9639.html;
Ogg: https://www.rfc-editor.org/rfc/rfc3533; ID3: https://id3.org/id3v2.4.0-structure.
"""

from __future__ import annotations

from collections.abc import Iterator

from .chunks import MAX_TEXT, Cursor, Damaged, text_of

VORBIS_COMMENT = 4
MAX_COMMENTS = 10_000
# The beginnings of the Ogg packets with comments.
OGG_COMMENTS = (b"\x03vorbis", b"OpusTags")
# The encodings of ID3 texts by their number, and the bytes that end a text.
ENCODINGS = [("latin-1", b"\0"), ("utf-16", b"\0\0"), ("utf-16-be", b"\0\0"), ("utf-8", b"\0")]


def of_flac(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a FLAC. Raises Damaged."""
    cursor = Cursor(content)
    cursor.skip(4)
    last = False
    while not last:
        head, size = cursor.number(1), cursor.number(3)
        last = bool(head & 0x80)
        data = cursor.take(size)
        cursor.skip(0)  # Counts the part.
        if head & 0x7F == VORBIS_COMMENT:
            yield from _comments(data)


def of_ogg(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of an Ogg with Vorbis or Opus. Raises Damaged."""
    # Comments are the second packet, which may span several pages.
    cursor = Cursor(content, "little")
    packet, packets = bytearray(), 0
    while cursor.left >= 27 and packets < 2:
        if bytes(cursor.take(4)) != b"OggS":
            raise Damaged("an Ogg page without its beginning")
        cursor.skip(22)
        sizes = bytes(cursor.take(cursor.number(1)))
        for size in sizes:
            packet += cursor.take(size)
            if len(packet) > MAX_TEXT:
                raise Damaged(f"a packet of more than {MAX_TEXT // 2**20} MB")
            if size < 255:
                packets += 1
                start = next((start for start in OGG_COMMENTS if packet.startswith(start)), None)
                if start is not None:
                    yield from _comments(memoryview(packet)[len(start) :])
                    return
                packet = bytearray()


def _comments(data: memoryview) -> Iterator[tuple[str, str]]:
    cursor = Cursor(data, "little")
    cursor.take(cursor.number(4))
    for _ in range(min(cursor.number(4), MAX_COMMENTS)):
        key, _, text = text_of(cursor.take(cursor.number(4))).partition("=")
        yield key, text


def of_mp3(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of the user-defined texts in an MP3's ID3 tag. Raises Damaged."""
    version = content[3]
    cursor = Cursor(memoryview(content)[10 : 10 + _seven_bits(content[6:10])])
    while cursor.left >= 10:
        kind, size = bytes(cursor.take(4)), bytes(cursor.take(4))
        cursor.skip(2)
        if not kind.strip(b"\0"):
            return
        data = cursor.take(_seven_bits(size) if version >= 4 else int.from_bytes(size, "big"))
        if kind == b"TXXX" and len(data) > 1:
            yield _user_text(data)


def _user_text(data: memoryview) -> tuple[str, str]:
    encoding, end = ENCODINGS[data[0]] if data[0] < len(ENCODINGS) else ENCODINGS[0]
    content = bytes(data[1:])
    at = content.find(end)
    while at >= 0 and at % len(end):
        # Half of a character.
        at = content.find(end, at + 1)
    if at < 0:
        raise Damaged("a text without its end")
    return text_of(content[:at], encoding), text_of(content[at + len(end) :], encoding).rstrip("\0")


def _seven_bits(size: bytes) -> int:
    """Return a number of which each byte has seven bits."""
    value = 0
    for byte in size:
        value = value << 7 | byte & 0x7F
    return value
