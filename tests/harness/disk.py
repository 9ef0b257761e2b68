"""What lies on the disk around a ComfyUI: lists before and after tell what somebody made there."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path


class Disk:
    """The folder a ComfyUI's base lies in, with all that is in the base.

    Args:
        base: the ComfyUI's base directory.
        kept: paths below it, relative, that change by themselves or may change: what is in them is not looked at.
    """

    def __init__(self, base: Path, kept: Iterable[str] = ("user", "comfyui.log", "temp")) -> None:
        self._base = base
        self._kept = [base / path for path in kept]
        self._before = self._seen()

    def changes(self) -> list[str]:
        """Every path that came, went or changed since this was made, relative to the base."""
        now = self._seen()
        return sorted(path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path))

    def _seen(self) -> dict[str, tuple[int, int, int]]:
        """What tells each path from what takes its place; of folders only that they are there."""
        around = [*self._base.parent.iterdir(), *self._base.rglob("*")]
        seen = {}
        for path in around:
            if any(path == kept or path.is_relative_to(kept) for kept in self._kept):
                continue
            found = path.lstat()
            folder = stat.S_ISDIR(found.st_mode)
            mark = (0, 0, 0) if folder else (found.st_ino, found.st_mtime_ns, found.st_size)
            seen[str(path.relative_to(self._base.parent))] = mark
        return seen
