"""Finds the files and directories that changed in and around a ComfyUI's base directory."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path


class Disk:
    """The parent of a ComfyUI's base directory, and everything below the base directory.

    Args:
        base: the ComfyUI's base directory.
        kept: relative paths below it that may change; their content is ignored.
    """

    def __init__(self, base: Path, kept: Iterable[str] = ("user", "comfyui.log", "temp")) -> None:
        self._base = base
        self._kept = [base / path for path in kept]
        self._before = self._seen()

    def changes(self) -> list[str]:
        """Return every path that was added, removed or changed since this object was created."""
        now = self._seen()
        return sorted(path for path in self._before.keys() | now.keys() if self._before.get(path) != now.get(path))

    def _seen(self) -> dict[str, tuple[int, int, int]]:
        """Return inode, time and size of each path; zeros for directories."""
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
