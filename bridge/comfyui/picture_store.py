"""Stores the pictures and other files of programs in ComfyUI's input directory: one per content, removed when unused.

A file name contains the digest of its content, so a waiting prompt finds the picture it was queued with, whatever is
sent later. Files that this package did not write, or that were changed since, are never overwritten or removed.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from ...common.errors import UiapiError
from .input_files import (
    FOLDERS,
    PICTURE,
    Content,
    Fetched,
    folder_of,
    sha256_of,
    sha256_of_file,
    size_of,
    write_new,
)

log = logging.getLogger("uiapi")

# The prefix of temporary files, which exist during a write and may be left behind if the process is killed.
TEMPORARY_PREFIX = ".uiapi-"
# Hexadecimal digits of the SHA-256 in a name; if two pictures share them, a number is added.
DIGITS = 16
# web/widgets/widgets.js has the same pattern.
STORED = re.compile(rf"INPUT_.*_([0-9a-f]{{{DIGITS}}})(?:-\d+)?\.[a-z0-9]{{2,6}}", re.DOTALL)
# A name within a text, e.g. "INPUT_Photo_….png [input]".
MENTION = re.compile(rf"_([0-9a-f]{{{DIGITS}}})(?:-\d+)?\.[a-z0-9]{{2,6}}")

# The latest unused files that are kept, how many bytes they may have together, and for how many seconds.
KEPT = 200
KEPT_BYTES = 4 * 2**30
KEPT_FOR = 30 * 86400.0
# Seconds for which a picture is always kept: a page reports its graph some time after a write, and after a restart of
# ComfyUI only when it has reconnected.
GRACE = 300.0
# Seconds between two clean-ups.
TIDY_EVERY = 60.0

# Identifies a file independently of its name: inode, modification time in nanoseconds, and size.
Identity = tuple[int, int, int]


@dataclass(frozen=True)
class _Wanted:
    """A file to be stored: the readable part of its name, its suffix and its content."""

    label: str
    suffix: str
    sha256: str
    content: Content

    @property
    def digest(self) -> str:
        """The digest in its name."""
        return self.sha256[:DIGITS]

    @property
    def folder(self) -> str:
        """Its folder inside of the input folder; empty for that itself."""
        return folder_of(self.suffix)

    def name(self, number: int = 1) -> str:
        """Return its name, as a path in the input folder."""
        counted = f"-{number}" if number > 1 else ""
        name = f"INPUT_{self.label}_{self.digest}{counted}{self.suffix}"
        return f"{self.folder}/{name}" if self.folder else name

    def is_in(self, path: Path) -> bool:
        """Whether a file has this content."""
        try:
            seen = path.lstat()
            # A symlink may point to something else later.
            same_size = stat.S_ISREG(seen.st_mode) and seen.st_size == size_of(self.content)
            return same_size and sha256_of_file(path) == self.sha256
        except OSError:
            return False


@dataclass
class Claim:
    """A picture in use by pending requests; `fresh` is set while it is new and none of them has succeeded."""

    users: int = 0
    fresh: Identity | None = None


class PictureStore:
    """The stored pictures. All methods block on the disk and may be called from any thread.

    Args:
        folder: returns ComfyUI's input directory.
        in_use: returns the prompts and graphs, as decoded JSON, whose pictures are in use.
        clock: seconds of Unix time.
        fetch: downloads a URL to a path.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        in_use: Callable[[], Iterable[Any]] = list,
        clock: Callable[[], float] = time,
        fetch: Callable[[str, Path], Awaitable[Fetched]] | None = None,
    ) -> None:
        self._folder = folder
        self._fetch = fetch
        self._in_use = in_use
        self._clock = clock
        # Held between a check and the action that relies on it.
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    async def fetch(self, url: str) -> Fetched:
        """Download a file into the input directory, under a temporary name. Raises UiapiError."""
        if self._fetch is None:
            raise UiapiError("shutting_down", "The download service is unavailable; send the file itself.")
        return await self._fetch(url, self._folder() / _temporary_name())

    def put(self, label: str, picture: Content, suffix: str = PICTURE) -> str:
        """Store a file if it is new, and return its name; call `release` with it afterwards.

        Raises:
            UiapiError: `storage_failed`; nothing was stored.
        """
        wanted = _Wanted(label, suffix, sha256_of(picture), picture)
        try:
            folder = self._folder()
            with self._lock:
                name = self._find(folder, wanted)
                if name is not None:
                    self._claim(name)
                    return name
            return self._create(folder, wanted)
        except OSError as error:
            raise UiapiError("storage_failed", f"The file could not be stored: {error.strerror}.") from error

    def name_for(self, label: str, picture: Content, suffix: str = PICTURE) -> str:
        """Return the name that `put` would return, without storing anything."""
        wanted = _Wanted(label, suffix, sha256_of(picture), picture)
        with contextlib.suppress(OSError):
            return self._find(self._folder(), wanted) or wanted.name()
        return wanted.name()

    def release(self, name: str, *, keep: bool) -> None:
        """End a request's use of a picture. Without `keep`, a new and unused picture is removed."""
        # Read before the lock is taken, since other requests wait for the lock.
        digests = set() if keep else self._named()
        with self._lock:
            claim = self._claims[name]
            claim.users -= 1
            if keep:
                claim.fresh = None
            if claim.users:
                return
            del self._claims[name]
            if claim.fresh is None or digest_in(name) in digests:
                return
            with contextlib.suppress(OSError):
                path = self._folder() / name
                if _identity(path.lstat()) == claim.fresh:
                    path.unlink()

    def tidy(self) -> int:
        """Remove unused pictures that are too old or too many; returns the number of removed files."""
        now = self._clock()
        stored = sorted(self._stored(), key=lambda item: -item[1])
        sizes = itertools.accumulate(size for _, _, size in stored)
        old = [
            (path, used)
            for number, ((path, used, _), total) in enumerate(zip(stored, sizes, strict=True))
            if now - used > GRACE and (number >= KEPT or total > KEPT_BYTES or now - used > KEPT_FOR)
        ]
        if not old:
            return 0
        named = self._named()
        removed = 0
        for path, used in old:
            with self._lock, contextlib.suppress(OSError):
                if path.relative_to(self._folder()).as_posix() in self._claims:
                    continue
                if digest_in(path.name) in named:
                    # A page that is being reloaded reports no pictures for a moment.
                    _touch(path, now)
                    continue
                # Keep a file that was used or replaced since, or whose content does not match its name.
                if _last_used(path.lstat()) == used and sha256_of_file(path)[:DIGITS] == digest_in(path.name):
                    path.unlink()
                    removed += 1
        log.debug("Removed %d pictures of programs from the input directory.", removed)
        return removed

    def _create(self, folder: Path, wanted: _Wanted) -> str:
        # Written to a temporary file and linked, so that the name never refers to an incomplete picture.
        content = wanted.content
        temporary = content.path if isinstance(content, Fetched) else folder / _temporary_name()
        try:
            if isinstance(content, bytes):
                write_new(temporary, content)
            with self._lock:
                # Another request may have stored it in the meantime.
                name = self._find(folder, wanted)
                if name is None:
                    name = _publish(temporary, folder, wanted)
                    self._claim(name, fresh=_identity((folder / name).lstat()))
                else:
                    self._claim(name)
                return name
        finally:
            # A downloaded file may be needed for another field, and is removed by its owner.
            if isinstance(content, bytes):
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _claim(self, name: str, fresh: Identity | None = None) -> None:
        claim = self._claims.setdefault(name, Claim(fresh=fresh))
        claim.users += 1

    def _find(self, folder: Path, wanted: _Wanted) -> str | None:
        """Return the name of the file with this content; other files with a matching name are ignored."""
        for path in sorted((folder / wanted.folder).glob(f"INPUT_*_{wanted.digest}*{wanted.suffix}")):
            if STORED.fullmatch(path.name) and wanted.is_in(path):
                _touch(path, self._clock())
                return path.relative_to(folder).as_posix()
        return None

    def _stored(self) -> Iterator[tuple[Path, float, int]]:
        """Yield each stored file with the time of its last use and its size."""
        for folder in ("", *FOLDERS.values()):
            with contextlib.suppress(OSError), os.scandir(self._folder() / folder) as entries:
                for entry in entries:
                    if STORED.fullmatch(entry.name) is None:
                        continue
                    with contextlib.suppress(OSError):
                        seen = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(seen.st_mode):
                            yield Path(entry.path), _last_used(seen), seen.st_size

    def _named(self) -> set[str]:
        """Return the digests of the pictures in queued prompts and open graphs."""
        return digests_in(self._in_use())


def _temporary_name() -> str:
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"


def digests_in(things: Iterable[Any]) -> set[str]:
    """Return the digests in all names of stored pictures in decoded JSON, or in JSON text."""
    found: set[str] = set()
    for whole in things:
        left = [whole]
        while left:
            thing = left.pop()
            if isinstance(thing, str):
                if "INPUT_" in thing:
                    found.update(MENTION.findall(thing))
            elif isinstance(thing, dict):
                left.extend(thing.values())
            elif isinstance(thing, (list, tuple)):
                left.extend(thing)
    return found


def _publish(temporary: Path, folder: Path, wanted: _Wanted) -> str:
    """Give a temporary file the first free name; an existing file is never replaced."""
    if wanted.folder:
        (folder / wanted.folder).mkdir(exist_ok=True)
    number = 0
    while True:
        number += 1
        name = wanted.name(number)
        try:
            os.link(temporary, folder / name)
        except FileExistsError:
            continue
        except OSError:
            # Not every file system supports links.
            try:
                write_new(folder / name, wanted.content)
            except FileExistsError:
                continue
        return name


def digest_in(name: str) -> str | None:
    """Return the digest in a stored picture's name."""
    match = STORED.fullmatch(name.rpartition("/")[2])
    return match[1] if match else None


def _touch(path: Path, now: float) -> None:
    """Update a file's access time. The modification time stays: some nodes run again if that changes."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(int(now * 1e9), path.stat().st_mtime_ns))


def _last_used(seen: os.stat_result) -> float:
    return max(seen.st_atime, seen.st_mtime)


def _identity(seen: os.stat_result) -> Identity:
    return seen.st_ino, seen.st_mtime_ns, seen.st_size
