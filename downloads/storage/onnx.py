"""Whether bytes are an ONNX model: a protobuf message whose fields are a ModelProto's, read by tags and lengths.

Only the beginnings of its fields are looked at, so a model of any size is checked at once, whatever is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

# Bytes that hold a field's tag and its length or number.
HEAD = 16
# Version of the format; the newest is 13. Fields of a message, of which a model has some dozens and its functions.
MOST_VERSION = 999
MOST_FIELDS = 100_000
# Numbers of fields; those that are not known yet are passed over as every reader of protobuf does.
MOST_NUMBER = 999
VARINT, FIXED64, MESSAGE, FIXED32 = 0, 1, 2, 5
IR_VERSION, GRAPH = 1, 7
# Fields of a ModelProto and how they are written.
_MODEL = {1: VARINT, 5: VARINT, **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), MESSAGE)}
# Fields of a GraphProto, all of which are messages or texts.
_OF_A_GRAPH = frozenset({1, 2, 5, *range(10, 17)})


@dataclass(frozen=True)
class _Field:
    """A field; `number` and `kind` are its tag, its content is from `start` to `end`, `value` is that of a VARINT."""

    number: int
    kind: int
    start: int
    end: int
    value: int = 0


class OnnxCheck:
    """Checks a model as soon as enough of it is there.

    `needed` is how many bytes from the start the next step wants, 0 once it has passed; `implied` is then how long it
    must at least be by its own fields.

    Args:
        total: the file's length in bytes, None while it is not known.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._at = 0
        self._fields = 0
        self._has_graph = False
        self.needed = HEAD
        self.implied: int | None = None

    def step(self, file: BinaryIO) -> None:
        """Look at what is there. Blocks; ValueError with what makes it no model."""
        while self.needed:
            if self._at == self._total:
                if not self._has_graph:
                    raise ValueError("it has no graph")
                self.needed = 0
            elif not self._pass_over(file):
                return

    def _pass_over(self, file: BinaryIO) -> bool:
        """Go on to the next field; False if more bytes are needed for it."""
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
                raise ValueError("what should be its graph is none")
            self._has_graph = True
        if self._total is not None and field.end > self._total:
            if not self._has_graph:
                raise ValueError("it ends within its fields")
            self.implied, self.needed = field.end, 0
            return True
        self._at = field.end
        self._fields += 1
        if self._has_graph:
            # What follows is behind the greatest part of the file, and without a length nothing says where it ends.
            self.needed = self._total or 0
        return True

    def _look(self, file: BinaryIO, at: int) -> bytes | None:
        """The beginning of the field there; None, and `needed` raised, until it has come."""
        wanted = at + HEAD if self._total is None else min(self._total, at + HEAD)
        if wanted > self.needed:
            self.needed = wanted
            return None
        file.seek(at)
        return file.read(wanted - at)


def _read(head: bytes, at: int) -> _Field:
    """The field that begins with `head` at an offset. ValueError if none does."""
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
    """A number of variable length at the beginning, and how many bytes it takes. ValueError if none is there."""
    value = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    raise ValueError("its fields are not those of a model")
