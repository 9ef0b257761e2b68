"""Draws the pictures of a sweep on one labelled sheet, with Pillow."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import UiapiError
from ...common.files import write
from ..item import SweepItem
from .entry import Entry, entry_of
from .layout import Layout, arranged
from .lettering import Lettering

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# The longest side of a picture on the sheet, the shortest one, and the longest side of a whole sheet, in pixels.
THUMB, MIN_THUMB, MAX_SHEET = 256, 48, 8192
# The most pictures on one sheet; there are further sheets for the rest.
MAX_PICTURES = 400
GAP, MARGIN = 10, 16
PAPER, INK, FAINT, EMPTY, WRONG = "#ffffff", "#1c1c1e", "#6b6b70", "#ececee", "#b3261e"
# The most lines of a label; a longer one ends in an ellipsis.
LINES = 4


def contact_sheet(items: Iterable[SweepItem], path: str | Path, *, thumb: int = THUMB) -> list[Path]:
    """Draw the pictures of a sweep on a sheet with labels and write it to a file; needs Pillow.

    Of a grid the last path makes the columns and the others the rows. More than 400 pictures need further sheets, whose
    files are numbered.

    Args:
        items: the results; their files must have been fetched.
        path: the file; its suffix decides the format.
        thumb: the longest side of each picture in pixels.

    Returns:
        The files that were written.
    """
    return write_sheets([entry_of(item) for item in sorted(items, key=lambda item: item.index)], path, thumb=thumb)


def write_sheets(entries: Sequence[Entry], path: str | Path, *, thumb: int = THUMB) -> list[Path]:
    """Write the sheets of these entries; returns the files. Raises UiapiError `storage_failed`."""
    target = Path(os.path.expanduser(path))
    check_sheet(target)
    written = []
    for number, part in enumerate(_layout(entries).parts(MAX_PICTURES), 1):
        file = target if number == 1 else target.with_name(f"{target.stem}_{number}{target.suffix}")
        written.append(write(file, _encoded(_Sheet(entries, part, thumb, MAX_SHEET).drawn(), target.suffix)))
    return written


def check_sheet(path: Path) -> None:
    """Raises UiapiError `invalid` if no sheet can be written to the path: Pillow is missing, or it is no picture."""
    try:
        from PIL import Image
    except ImportError:
        sentence = 'A sheet needs Pillow: pip install "comfyui-uiapi[images]", or pip install pillow.'
        raise UiapiError("invalid", sentence) from None
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise UiapiError("invalid", f"{path} is not the name of a picture; name it {path.with_suffix('.png').name}.")


def _layout(entries: Sequence[Entry]) -> Layout:
    again = any(entry.repeat for entry in entries)
    texts = [f"run {entry.repeat + 1}" for entry in entries] if again else []
    return arranged([entry.fields for entry in entries], texts)


def sheet(entries: Sequence[Entry], *, longest: int = MAX_SHEET) -> bytes:
    """Returns one sheet as a PNG.

    Args:
        entries: what is on it.
        longest: the longest side of the sheet in pixels, by which the pictures are made smaller.
    """
    return _encoded(_Sheet(entries, _layout(entries), THUMB, longest).drawn(), ".png")


def _encoded(picture: Picture, suffix: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    picture.save(buffer, format=Image.registered_extensions()[suffix.lower()])
    return buffer.getvalue()


class _Sheet:
    """One sheet: its measures, and how it is drawn."""

    def __init__(self, entries: Sequence[Entry], layout: Layout, thumb: int, longest: int) -> None:
        self._entries, self._layout = entries, layout
        numbers = [number for row in layout.rows for number in row if number is not None]
        across, down = max(len(row) for row in layout.rows), len(layout.rows)
        self._side = 0
        small = min(thumb, int((longest - 2 * MARGIN) / max(across + bool(layout.sides) * 0.6, 1)) - GAP)
        small = min(small, int((longest - 2 * MARGIN) / max(down, 1)) - GAP)
        self._thumb = max(MIN_THUMB, small)
        self._lettering = lettering = Lettering(max(10, min(15, self._thumb // 12)))
        self._line = lettering.line
        self._box = self._box_of([entries[number] for number in numbers])
        width, height = self._box
        labels = {number: layout.labels[number] for number in numbers} if layout.labels else {}
        self._labels = {number: lettering.wrapped(text, width, LINES) for number, text in labels.items()}
        self._columns = [lettering.wrapped(text, width, LINES) for text in layout.columns]
        self._sides = [
            lettering.wrapped(text, max(90, min(200, width)), max(2, height // self._line)) for text in layout.sides
        ]
        if self._sides:
            self._side = max(self._lettering.width(line) for lines in self._sides for line in lines) + GAP
        self._head = max((len(lines) for lines in self._columns), default=0) * self._line
        self._foot = max((len(lines) for lines in self._labels.values()), default=0) * self._line
        self._head, self._foot = (size + GAP // 2 if size else 0 for size in (self._head, self._foot))
        self._across, self._down = across, down
        # A row is at least as high as its label.
        beside = max((len(lines) for lines in self._sides), default=0) * self._line
        self._row = max(height, beside) + self._foot + (2 * GAP if self._labels else GAP)

    def drawn(self) -> Picture:
        """Returns the sheet."""
        from PIL import Image, ImageDraw

        width, height = self._box
        row = self._row
        size = (
            2 * MARGIN + self._side + self._across * (width + GAP) - GAP,
            MARGIN + self._head + self._down * row + GAP // 2,
        )
        whole = Image.new("RGB", size, PAPER)
        self._draw = ImageDraw.Draw(whole)
        for at, lines in enumerate(self._columns):
            self._text(lines, MARGIN + self._side + at * (width + GAP), MARGIN, width, INK)
        for at, lines in enumerate(self._sides):
            top = MARGIN + self._head + at * row + max(0, (height - len(lines) * self._line) // 2)
            self._text(lines, MARGIN, top, None, INK)
        for down, numbers in enumerate(self._layout.rows):
            for across, number in enumerate(numbers):
                if number is not None:
                    left, top = MARGIN + self._side + across * (width + GAP), MARGIN + self._head + down * row
                    self._place(whole, self._entries[number], left, top)
                    if self._labels:
                        self._text(self._labels[number], left, top + height + GAP // 2, width, INK)
        return whole

    def _place(self, whole: Picture, entry: Entry, left: int, top: int) -> None:
        width, height = self._box
        picture = _opened(entry.picture, self._thumb)
        if picture is not None:
            whole.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
            return
        self._draw.rectangle((left, top, left + width - 1, top + height - 1), fill=EMPTY)
        note = entry.note or ("cannot be shown" if entry.picture else "not run")
        inside = width - 2 * GAP
        lines = self._lettering.wrapped(note, inside, max(1, (height - GAP) // self._line))
        indent = max(GAP // 2, (height - len(lines) * self._line) // 2)
        self._text(lines, left + GAP, top + indent, inside, WRONG if entry.failed else FAINT)

    def _box_of(self, entries: Sequence[Entry]) -> tuple[int, int]:
        """Returns the size of every place: that of the largest picture, at least wide enough for a few words."""
        sizes = [size for entry in entries if (size := _size(entry.picture, self._thumb)) is not None]
        width = max((width for width, _ in sizes), default=self._thumb)
        height = max((height for _, height in sizes), default=self._thumb)
        return max(width, min(self._thumb, 96)), max(height, min(self._thumb, 32))

    def _text(self, lines: Sequence[str], left: int, top: int, width: int | None, color: str) -> None:
        """Draw lines, centred within the width if there is one."""
        for line in lines:
            indent = 0 if width is None else max(0, (width - self._lettering.width(line)) // 2)
            self._draw.text((left + indent, top), line, fill=color, font=self._lettering.font)
            top += self._line


def _size(picture: bytes | Path | None, most: int) -> tuple[int, int] | None:
    """Returns the size that a picture will have, or None; only its header is read."""
    from PIL import Image

    if picture is None:
        return None
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
            scale = min(1.0, most / max(opened.size))
            return max(1, round(opened.width * scale)), max(1, round(opened.height * scale))
    except Exception:
        # Pillow raises many types of exceptions for invalid files.
        return None


def _opened(picture: bytes | Path | None, most: int) -> Picture | None:
    """Returns a picture no larger than the given side, or None if it cannot be read."""
    from PIL import Image

    if picture is None:
        return None
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
            opened.draft("RGB", (most, most))
            opened.thumbnail((most, most))
            if opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info:
                rgba = opened.convert("RGBA")
                paper = Image.new("RGBA", rgba.size, PAPER)
                return Image.alpha_composite(paper, rgba).convert("RGB")
            return opened.convert("RGB")
    except Exception:
        # Pillow raises many types of exceptions for invalid files.
        return None
