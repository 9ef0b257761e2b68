"""The texts of a contact sheet: their font, and how they are broken into lines."""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Any

# Longer texts are cut before they are measured; no label has room for more.
MAX_TEXT = 600


class Lettering:
    """Pillow's default font at a size.

    Attributes:
        font: the font.
        line: the height of a line in pixels.
    """

    def __init__(self, size: int) -> None:
        from PIL import Image, ImageDraw, ImageFont

        load: Callable[..., Any] = ImageFont.load_default
        try:
            self.font = load(size)
        except TypeError:
            # Before Pillow 10.1 there is one size.
            self.font = load()
        self._draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        self.line = int(self._draw.textbbox((0, 0), "Ag", font=self.font)[3] * 1.25) + 1

    def width(self, text: str) -> int:
        """Returns the width of a line in pixels."""
        return int(self._draw.textlength(text, font=self.font)) + 1

    def wrapped(self, text: str, width: int, most: int) -> list[str]:
        """Returns a text in lines that fit; each of its own lines gets one at least, and too long ones end in dots."""
        parts = [self._lines(self._drawable(part[:MAX_TEXT]), width) for part in text.split("\n")]
        room = [1] * len(parts)
        for _ in range(max(0, most - len(parts))):
            short = [at for at, part in enumerate(parts) if room[at] < len(part)]
            if short:
                room[min(short, key=lambda at: room[at])] += 1
        return [line for part, count in zip(parts, room, strict=True) for line in self._ended(part, count, width)]

    def _ended(self, lines: list[str], most: int, width: int) -> list[str]:
        if len(lines) <= most:
            return lines
        last = lines[most - 1]
        while last and self.width(f"{last}...") > width:
            last = last[:-1]
        return [*lines[: most - 1], f"{last.rstrip()}..."]

    def _lines(self, text: str, width: int) -> list[str]:
        """Returns a text in lines; a word that is too long is broken."""
        lines, line = [], ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if self.width(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            while len(word) > 1 and self.width(word) > width:
                fits = self._fitting(word, width)
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        return [*lines, line]

    def _fitting(self, word: str, width: int) -> int:
        """Returns how many letters of a word fit, at least one."""
        return max(1, bisect.bisect_right(range(1, len(word)), width, key=lambda count: self.width(word[:count])))

    def _drawable(self, text: str) -> str:
        """Replaces letters that the font lacks: an accented one by the plain one, others by a question mark."""
        if text.isascii():
            return text
        return "".join(letter if letter.isascii() or self._has(letter) else self._like(letter) for letter in text)

    def _like(self, letter: str) -> str:
        plain = unicodedata.normalize("NFKD", letter)[0]
        return plain if plain != letter and (plain.isascii() or self._has(plain)) else "?"

    def _has(self, letter: str) -> bool:
        try:
            # A letter without a form of its own is drawn as that of an undefined one.
            return bytes(self.font.getmask(letter)) != self._undefined
        except (UnicodeEncodeError, OSError):
            return False

    @cached_property
    def _undefined(self) -> bytes:
        return bytes(self.font.getmask("\uffff"))
