"""An open model folder, so that files are written into the same folder that was checked.

A path is resolved again at each use, and a folder in it may have been replaced by then. Windows cannot open files
relative to an open folder; there the path is used.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HOLDS = hasattr(os, "O_DIRECTORY") and {os.open, os.link, os.rename, os.unlink} <= os.supports_dir_fd

# Raises UiapiError for a folder that must not be written to; called with its path with all links resolved.
Check = Callable[[Path], None]


class Folder:
    """An open folder; close it.

    Args:
        path: its path.
        check: called with the folder that was opened.

    Raises:
        OSError: it cannot be opened, or was replaced while being opened.
        UiapiError: as `check`.
    """

    def __init__(self, path: Path, check: Check | None = None) -> None:
        self.path = path
        self._descriptor = -1
        if not _HOLDS:
            if check is not None:
                check(Path(os.path.realpath(path)))
            return
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            real = Path(os.path.realpath(path))
            if not os.path.samestat(os.fstat(self._descriptor), os.stat(real)):
                raise _exchanged(path)
            if check is not None:
                check(real)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def check_still_there(self) -> None:
        """Raise OSError if its path leads to another folder now."""
        if self._descriptor >= 0 and not os.path.samestat(os.fstat(self._descriptor), os.stat(self.path)):
            raise _exchanged(self.path)

    def open(self, name: str, flags: int, mode: int = 0o644) -> int:
        """Open a file in the folder and return its descriptor. OSError."""
        return os.open(self._name(name), flags | getattr(os, "O_CLOEXEC", 0), mode, **self._at("dir_fd"))

    def link_from(self, source: str, name: str) -> None:
        """Create a hard link in the folder to a file elsewhere. OSError."""
        os.link(source, self._name(name), **self._at("dst_dir_fd"))

    def replace(self, name: str, new: str) -> None:
        """Rename a file in the folder, replacing a file of the new name. OSError."""
        os.replace(self._name(name), self._name(new), **self._at("src_dir_fd", "dst_dir_fd"))

    def move_without_replacing(self, name: str, new: str) -> None:
        """Rename a file in the folder without replacing another. FileExistsError if the new name is taken; OSError."""
        try:
            os.link(self._name(name), self._name(new), **self._at("src_dir_fd", "dst_dir_fd"))
        except FileExistsError:
            raise
        except OSError:
            # No hard links here (FAT, some network shares): check, then rename; rename never replaces on Windows.
            if os.path.lexists(self.path / new):
                raise FileExistsError(str(self.path / new)) from None
            os.rename(self._name(name), self._name(new), **self._at("src_dir_fd", "dst_dir_fd"))
            return
        os.unlink(self._name(name), **self._at("dir_fd"))

    def _name(self, name: str) -> str:
        return name if self._descriptor >= 0 else str(self.path / name)

    def _at(self, *names: str) -> dict[str, Any]:
        return dict.fromkeys(names, self._descriptor) if self._descriptor >= 0 else {}


def _exchanged(path: Path) -> OSError:
    return OSError(errno.ESTALE, "its folder was replaced by another meanwhile", str(path))
