"""Saves the frames of an animation as numbered files."""

from __future__ import annotations

import os
from pathlib import Path

from ..common.errors import UiapiError
from .item import SweepItem

# The fewest digits of a number, so that most animations have the same.
DIGITS = 4


class Frames:
    """The files of an animation: 0000.png, 0001.png and so on.

    Args:
        folder: created if it does not exist.
        count: how many frames there are.

    Attributes:
        paths: the saved files.
    """

    def __init__(self, folder: str | Path, count: int) -> None:
        self._folder = Path(os.path.expanduser(folder))
        self._digits = max(DIGITS, len(str(count - 1)))
        self.paths: list[Path] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sentence = f"{folder} cannot be created: {error.strerror}; choose another path."
            raise UiapiError("storage_failed", sentence) from error

    def save(self, item: SweepItem) -> None:
        """Save the picture of a frame, or else its first file; one that failed has none."""
        if item.error is not None:
            return
        file = item.image if item.images or not item.files else item.files[0]
        name = f"{item.index:0{self._digits}}{Path(file.filename).suffix}"
        self.paths.append(file.save(self._folder / name))
