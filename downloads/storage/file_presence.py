"""Checks whether model files on the disk are usable, by their header, their length and their cached digest."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from ...common.errors import UiapiError
from ..common.threads import settled
from .file_check import check_any_file
from .hash_cache import Hashes

# Files whose state is cached; about half a megabyte.
MOST_REMEMBERED = 4096

# A version of a file: length in bytes and modification time in nanoseconds.
_Version = tuple[int, int]


class Presence:
    """Checks model files on the disk.

    A file is opened once after each change, and only its two ends are read. It is never hashed here; its digest is
    checked only if it is cached.

    Args:
        hashes: the cached digests.
    """

    def __init__(self, hashes: Hashes) -> None:
        self.hashes = hashes
        self._seen: OrderedDict[str, tuple[_Version, UiapiError | None]] = OrderedDict()
        self._lock = Lock()

    async def damage(self, path: str | None, sha256: str | None = None) -> UiapiError | None:
        """A `damaged` error that describes what is wrong with a file, or None if it is usable or missing.

        Args:
            sha256: the digest it should have, None if unknown.
        """
        return (await self.damages([(path, sha256)]))[0]

    async def damages(self, files: list[tuple[str | None, str | None]]) -> list[UiapiError | None]:
        """`damage` of several files, each a path, or None for no file, and a digest."""
        await self.hashes.load()
        return await settled(lambda: [self.look(path, sha256) if path else None for path, sha256 in files])

    async def learn(self, paths: list[str]) -> None:
        """Compute the digests of files that are not cached."""
        for path in paths:
            await self.hashes.of(Path(path))

    def look(self, path: str, sha256: str | None = None) -> UiapiError | None:
        """`damage` of a file. It blocks on the disk, and the cached digests must be loaded."""
        try:
            stat = os.stat(path)
        except OSError:
            # It was removed after it was found.
            return None
        version = (stat.st_size, stat.st_mtime_ns)
        with self._lock:
            seen = self._seen.get(path)
            if seen is not None and seen[0] == version:
                self._seen.move_to_end(path)
        if seen is None or seen[0] != version:
            seen = (version, _fault(path))
            with self._lock:
                self._seen[path] = seen
                while len(self._seen) > MOST_REMEMBERED:
                    self._seen.popitem(last=False)
        return seen[1] or (self._other_file(path, stat, sha256.lower()) if sha256 else None)

    def _other_file(self, path: str, stat: os.stat_result, sha256: str) -> UiapiError | None:
        """A `damaged` error if the cached digests show that this is not the wanted file."""
        found = self.hashes.known(path, stat)
        if found is not None and found != sha256:
            return differs(path, found, sha256)
        size = self.hashes.size_of(sha256)
        if found is None and size is not None and size != stat.st_size:
            why = f"it has {stat.st_size} bytes where {size} are expected"
            return _damaged(path, "size_mismatch", why, may_be_another=True)
        return None


def differs(path: str, found: str, wanted: str) -> UiapiError:
    """A `damaged` error for a file whose digest is not the wanted one."""
    why = f"its SHA-256 begins with {found[:8]}, but {wanted[:8].lower()} is expected"
    return _damaged(path, "hash_mismatch", why, may_be_another=True)


def _damaged(path: str, cause: str, why: str, *, may_be_another: bool = False) -> UiapiError:
    what = "is damaged, or another version of it" if may_be_another else "is damaged"
    return UiapiError(
        "damaged",
        f"{os.path.basename(path)} {what}: {why}. Download it again (overwrite: true), which replaces it once the "
        "new file is complete, or remove it.",
        {"path": path, "cause": cause, "why": why},
    )


def _fault(path: str) -> UiapiError | None:
    try:
        check_any_file(Path(path))
    except UiapiError as error:
        return _damaged(path, error.code, str(error.details.get("why", error.message)))
    except FileNotFoundError:
        return None
    except OSError as error:
        return _damaged(path, "storage_failed", f"it cannot be read ({error.strerror})")
    return None
