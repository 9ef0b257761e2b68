"""An open model folder, so that files are written to and removed from the same folder that was checked.

A path is resolved again at each use, and a folder in it may have been replaced by then. Windows cannot open files
relative to an open folder; there the path is used.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

_NEEDED = {os.open, os.link, os.rename, os.unlink, os.stat, os.mkdir, os.rmdir}
_HOLDS = hasattr(os, "O_DIRECTORY") and os.supports_dir_fd >= _NEEDED
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)

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

    def open_own(self, name: str, flags: int) -> int:
        """As `open`, for a file that is never a link. OSError."""
        return self.open(name, flags | _NOFOLLOW)

    def seen(self, name: str) -> os.stat_result:
        """Return the status of a file in the folder, or of the link by that name. OSError."""
        return os.stat(self._name(name), follow_symlinks=False, **self._at("dir_fd"))

    def unlink(self, name: str) -> None:
        """Remove a file or link from the folder, if it is there. OSError."""
        with suppress(FileNotFoundError):
            os.unlink(self._name(name), **self._at("dir_fd"))

    def make(self, name: str) -> tuple[Folder, bool]:
        """Open a folder in this one, and return it with whether it had to be created. OSError if that is a link."""
        try:
            os.mkdir(self._name(name), **self._at("dir_fd"))
            made = True
        except FileExistsError:
            made = False
        folder = Folder.__new__(Folder)
        folder.path = self.path / name
        folder._descriptor = self.open_own(name, os.O_RDONLY | os.O_DIRECTORY) if _HOLDS else -1
        return folder, made

    def remove_empty(self, name: str) -> None:
        """Remove an empty folder from this one. OSError."""
        os.rmdir(self._name(name), **self._at("dir_fd"))

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


def make_folders(path: Path, check: Check | None = None) -> list[tuple[Folder, bool]]:
    """Open a folder and those above it that have to be created, and return them with whether they were; close them.

    The last one is the folder itself.

    Args:
        check: called before anything is created, with the path that the folder has or will have.

    Raises:
        OSError: one cannot be created or opened, or was replaced meanwhile.
        UiapiError: as `check`.
    """
    there = path
    while not there.is_dir() and there != there.parent:
        there = there.parent
    names = path.relative_to(there).parts

    def check_all(real: Path) -> None:
        if check is not None:
            check(real.joinpath(*names))

    opened = [(Folder(there, check_all), False)]
    try:
        for name in names:
            opened.append(opened[-1][0].make(name))
    except BaseException:
        remove_folders(opened)
        raise
    return opened


def remove_folders(opened: list[tuple[Folder, bool]]) -> None:
    """Close folders opened by `make_folders`, and remove those that were created and are empty."""
    for (above, _), (folder, made) in reversed([*pairwise(opened)]):
        if made:
            with suppress(OSError):
                above.remove_empty(folder.path.name)
    for folder, _ in opened:
        folder.close()


def _exchanged(path: Path) -> OSError:
    return OSError(errno.ESTALE, "its folder was replaced by another meanwhile", str(path))
