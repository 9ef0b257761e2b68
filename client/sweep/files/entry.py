"""One place of a contact sheet: a picture or a note, and its fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.results import OutputFile
from ..item import SweepItem


@dataclass(frozen=True)
class Entry:
    """One place of a sheet.

    Attributes:
        fields: {path: value} of the variation.
        picture: the picture as bytes or a file; None if there is none.
        note: the text in its place if there is none, such as an error.
        repeat: which of several runs with the same fields it is, from 0.
        failed: whether the note is an error.
    """

    fields: dict[str, Any]
    picture: bytes | Path | None
    note: str = ""
    repeat: int = 0
    failed: bool = False


def entry_of(item: SweepItem) -> Entry:
    """Returns the place of a result."""
    picture = item.image if item.images else None
    if item.error is not None:
        return Entry(item.fields, None, item.error.message, item.repeat, failed=True)
    note = "" if picture else _without(item.files, item.texts)
    return Entry(item.fields, picture.data if picture and picture.data else None, note, item.repeat)


def _without(files: Sequence[OutputFile], texts: Sequence[str]) -> str:
    return "\n".join([*texts, *(file.filename for file in files)]) or "no picture"
