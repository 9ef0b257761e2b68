"""Checks whether a file is an ONNX model: a protobuf message with the fields of a ModelProto.

Only the start of each field is read, so that a model of any size is checked quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

# Bytes that contain a field's tag and its length or value.
HEAD = 16
# The highest version of the format (the newest is 13), and the most fields of a model (which has dozens, and its
# functions).
MOST_VERSION = 999
MOST_FIELDS = 100_000
# The highest field number; unknown fields are skipped, as every protobuf reader does.
MOST_NUMBER = 999
VARINT, FIXED64, MESSAGE, FIXED32 = 0, 1, 2, 5
IR_VERSION, GRAPH = 1, 7
# Fields of a ModelProto and their wire types.
_MODEL = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), MESSAGE)}
# Fields of a GraphProto, all of which are messages or strings.
_OF_A_GRAPH = frozenset({1, 2, 5, *range(10, 17)})


@dataclass(frozen=True)
class _Field:
    """A field: its number and wire type, the offsets of its content, and the value of a VARINT."""

    number: int
    kind: int
    start: int
    end: int
    value: int = 0


class OnnxCheck:
    """Checks a model while it is being downloaded.

    `needed` is the number of bytes from the start that the next step needs, 0 once the check has passed; `implied` is
    then the smallest length that its fields imply.

    Args:
        total: the file's length in bytes, None if unknown.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._at = 0
        self._fields = 0
        self._has_graph = False
        self.needed = HEAD
        self.implied: int | None = None

    def step(self, file: BinaryIO) -> None:
        """Check the bytes present so far. Blocks; ValueError with the reason if it is not a model."""
        while self.needed:
            if self._at == self._total:
                if not self._has_graph:
                    raise ValueError("it has no graph")
                self.needed = 0
            elif not self._pass_over(file):
                return

    def _pass_over(self, file: BinaryIO) -> bool:
        """Skip to the next field; False if that needs more bytes."""
        head = self._look(file, self._at)
        if head is None:
            return False
        field = _read(head, self._at)
        if self._at == 0 and not (field.number == IR_VERSION and 1 <= field.value <= MOST_VERSION):
            raise ValueError("it does not start with the version of the format")
        if _MODEL.get(field.number, field.kind) != field.kind or self._fields >= MOST_FIELDS:
            raise ValueError("its fields are not those of a model")
        if field.number == GRAPH:
            head = self._look(file, field.start)
            if head is None:
                return False
            inner = _read(head, field.start)
            if inner.number not in _OF_A_GRAPH or inner.kind != MESSAGE or inner.end > field.end:
                raise ValueError("its graph is invalid")
            self._has_graph = True
        if self._total is not None and field.end > self._total:
            if not self._has_graph:
                raise ValueError("it ends within its fields")
            self.implied, self.needed = field.end, 0
            return True
        self._at = field.end
        self._fields += 1
        if self._has_graph:
            # The rest follows the largest part of the file, and where it ends is unknown without a length.
            self.needed = self._total or 0
        return True

    def _look(self, file: BinaryIO, at: int) -> bytes | None:
        """The start of the field at an offset; None, with `needed` raised, until it has arrived."""
        wanted = at + HEAD if self._total is None else min(self._total, at + HEAD)
        if wanted > self.needed:
            self.needed = wanted
            return None
        file.seek(at)
        return file.read(wanted - at)


def _read(head: bytes, at: int) -> _Field:
    """The field that starts with `head` at an offset. ValueError if it is invalid."""
    tag, length = _varint(head)
    number, kind = tag >> 3, tag & 7
    if not 1 <= number <= MOST_NUMBER:
        raise ValueError("its fields are not those of a model")
    start = at + length
    if kind == VARINT:
        value, length = _varint(head[length:])
        return _Field(number, kind, start, start + length, value)
    if kind == MESSAGE:
        size, more = _varint(head[length:])
        return _Field(number, kind, start + more, start + more + size)
    if kind in (FIXED64, FIXED32):
        return _Field(number, kind, start, start + (8 if kind == FIXED64 else 4))
    raise ValueError("its fields are not those of a model")


def _varint(data: bytes) -> tuple[int, int]:
    """The varint at the start of `data`, and its length in bytes. ValueError if it is invalid."""
    value = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    raise ValueError("its fields are not those of a model")
