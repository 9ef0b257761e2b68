"""The pictures of programs in ComfyUI's input folder: one file per content, written once, removed when unused.

A file's name has the digest of its content, so a prompt that waits in ComfyUI's queue finds the picture it was queued
with whatever is sent after it. What is not exactly what this package wrote is never overwritten and never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from ...common.errors import UiapiError

log = logging.getLogger("uiapi")

# How the names of files begin that exist only during a write, and may be left behind by a process that is killed.
BESIDE_PREFIX = ".uiapi-"
# Hexadecimal digits of the SHA-256 in a name; should two pictures share them, a number is added.
DIGITS = 16
# web/widgets/widgets.js has the same pattern.
STORED = re.compile(rf"INPUT_.*_([0-9a-f]{{{DIGITS}}})(?:-\d+)?\.png", re.DOTALL)
# Where such a name stands in some text, e.g. "INPUT_Photo_….png [input]".
MENTION = re.compile(rf"_([0-9a-f]{{{DIGITS}}})(?:-\d+)?\.png")

# Pictures that stay although nothing names them any more: the latest ones, for as many seconds.
KEPT = 200
KEPT_FOR = 30 * 86400.0
# Seconds in which a picture always stays: a page reports its graph a while after a write, and when ComfyUI has just
# started, after it has connected again.
GRACE = 300.0
# Seconds between two looks for what can be removed.
TIDY_EVERY = 60.0

# What tells a file from another one under its name: inode, time of change in nanoseconds, and size.
Identity = tuple[int, int, int]


@dataclass
class Claim:
    """A picture that requests under way are about to name; `fresh` until one of them has been carried out."""

    users: int = 0
    fresh: Identity | None = None


class PictureStore:
    """The stored pictures. Everything here blocks on the disk and may be called from any thread.

    Args:
        folder: returns ComfyUI's input folder.
        in_use: returns the prompts and graphs, as decoded JSON, whose pictures stay.
        clock: seconds of Unix time.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        in_use: Callable[[], Iterable[Any]] = list,
        clock: Callable[[], float] = time,
    ) -> None:
        self._folder = folder
        self._in_use = in_use
        self._clock = clock
        # What is looked at and then acted on must not change in between.
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    def put(self, label: str, picture: bytes) -> str:
        """Store a picture unless it is there already, and return its file's name; give it back with `release`.

        Raises:
            UiapiError: `storage_failed`, with nothing stored.
        """
        digest = digest_of(picture)
        try:
            folder = self._folder()
            with self._lock:
                name = self._find(folder, digest, picture)
                if name is not None:
                    self._claim(name)
                    return name
            return self._create(folder, label, digest, picture)
        except OSError as error:
            raise UiapiError("storage_failed", f"The picture could not be stored: {error.strerror}.") from error

    def name_for(self, label: str, picture: bytes) -> str:
        """The name that `put` would return, without storing anything."""
        digest = digest_of(picture)
        with contextlib.suppress(OSError):
            return self._find(self._folder(), digest, picture) or _name(label, digest)
        return _name(label, digest)

    def release(self, name: str, *, keep: bool) -> None:
        """The request that put it is over. Without `keep` a picture that is new and unused is removed again."""
        # Before the lock, which other requests wait for.
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
        """Remove what nothing names any more, if it is old or there is too much of it; returns how many files."""
        now = self._clock()
        stored = sorted(self._stored(), key=lambda item: -item[1])
        old = [
            (path, used)
            for number, (path, used) in enumerate(stored)
            if now - used > GRACE and (number >= KEPT or now - used > KEPT_FOR)
        ]
        if not old:
            return 0
        named = self._named()
        removed = 0
        for path, used in old:
            with self._lock, contextlib.suppress(OSError):
                if path.name in self._claims:
                    continue
                if digest_in(path.name) in named:
                    # A page that is being reloaded names nothing for a moment.
                    _touch(path, now)
                    continue
                # A file that somebody has used or replaced since, or whose content is not what its name says, stays.
                if _last_used(path.lstat()) == used and digest_of(path.read_bytes()) == digest_in(path.name):
                    path.unlink()
                    removed += 1
        log.debug("Removed %d pictures of programs from the input folder.", removed)
        return removed

    def _create(self, folder: Path, label: str, digest: str, picture: bytes) -> str:
        # Written beside and linked, so that the name never stands for half a picture.
        temporary = folder / f"{BESIDE_PREFIX}{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(picture)
            with self._lock:
                # Another request may have stored it meanwhile.
                name = self._find(folder, digest, picture)
                if name is None:
                    name = _publish(temporary, folder, label, digest, picture)
                    self._claim(name, fresh=_identity((folder / name).lstat()))
                else:
                    self._claim(name)
                return name
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _claim(self, name: str, fresh: Identity | None = None) -> None:
        claim = self._claims.setdefault(name, Claim(fresh=fresh))
        claim.users += 1

    def _find(self, folder: Path, digest: str, picture: bytes) -> str | None:
        """The file that holds this picture; whatever else has such a name is passed over."""
        for path in sorted(folder.glob(f"INPUT_*_{digest}*.png")):
            if STORED.fullmatch(path.name) and _holds(path, picture):
                _touch(path, self._clock())
                return path.name
        return None

    def _stored(self) -> Iterator[tuple[Path, float]]:
        """Each file with such a name and when it was used last."""
        with contextlib.suppress(OSError), os.scandir(self._folder()) as entries:
            for entry in entries:
                if STORED.fullmatch(entry.name) is None:
                    continue
                with contextlib.suppress(OSError):
                    seen = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(seen.st_mode):
                        yield Path(entry.path), _last_used(seen)

    def _named(self) -> set[str]:
        """The digests of the pictures that prompts in the queue and open graphs name."""
        return digests_in(self._in_use())


def digest_of(picture: bytes) -> str:
    """The part of a stored picture's name that its content decides."""
    return hashlib.sha256(picture).hexdigest()[:DIGITS]


def digests_in(things: Iterable[Any]) -> set[str]:
    """The digests in the names of stored pictures anywhere in some decoded JSON."""
    found: set[str] = set()
    left = [*things]
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


def _publish(temporary: Path, folder: Path, label: str, digest: str, picture: bytes) -> str:
    """Give a written file the first name that is free; nothing that exists is ever replaced."""
    number = 0
    while True:
        number += 1
        name = _name(label, digest, number)
        try:
            os.link(temporary, folder / name)
        except FileExistsError:
            continue
        except OSError:
            # Not every file system has links.
            try:
                _write_new(folder / name, picture)
            except FileExistsError:
                continue
        return name


def _write_new(path: Path, picture: bytes) -> None:
    with path.open("xb") as file:
        try:
            file.write(picture)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _name(label: str, digest: str, number: int = 1) -> str:
    return f"INPUT_{label}_{digest}{f'-{number}' if number > 1 else ''}.png"


def digest_in(name: str) -> str | None:
    """The digest in a stored picture's name."""
    match = STORED.fullmatch(name)
    return match[1] if match else None


def _holds(path: Path, picture: bytes) -> bool:
    try:
        seen = path.lstat()
        # A link may lead to something else the next time.
        return stat.S_ISREG(seen.st_mode) and seen.st_size == len(picture) and path.read_bytes() == picture
    except OSError:
        return False


def _touch(path: Path, now: float) -> None:
    """Note that a file is used. Its time of change stays: some nodes run anew when that differs."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(int(now * 1e9), path.stat().st_mtime_ns))


def _last_used(seen: os.stat_result) -> float:
    return max(seen.st_atime, seen.st_mtime)


def _identity(seen: os.stat_result) -> Identity:
    return seen.st_ino, seen.st_mtime_ns, seen.st_size
