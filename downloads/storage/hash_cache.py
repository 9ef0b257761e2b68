"""A cache of the SHA-256 digests of model files, and the search for a file present under another name."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.json_store import read_json, write_json
from .file_check import sha256_of
from .model_folders import MODEL_EXTENSIONS, Places, extension_of

log = logging.getLogger("uiapi")

# Files of the right length that are hashed in one search. Hashing a few files is faster than a download.
MOST_CANDIDATES = 8
# Files hashed at a time; more would only compete for the same disk.
THREADS = 2

# A version of a file: path, length in bytes, modification time in nanoseconds.
_Version = tuple[Path, int, int]


@dataclass
class _Hashing:
    """A file being hashed, on behalf of one or more callers."""

    digest: asyncio.Future[str]
    stop: threading.Event
    wanted_by: int = 0


class Hashes:
    """Digests by path, length and modification time.

    Args:
        path: the file they are saved in.
        places: the folders that are searched.
    """

    def __init__(self, path: Path, places: Places) -> None:
        self._path = path
        self._places = places
        self._known: dict[str, tuple[int, int, str]] | None = None
        self._lock = asyncio.Lock()
        # Own threads, so that a slow disk does not block the default executor, which all of ComfyUI shares.
        self._threads = ThreadPoolExecutor(THREADS, "uiapi hash of a copy")
        self._running: dict[_Version, _Hashing] = {}
        self._closed = False

    def close(self) -> None:
        """Stop hashing; its threads would otherwise delay the end of the process."""
        self._closed = True
        for hashing in self._running.values():
            hashing.stop.set()
        self._threads.shutdown(wait=False)

    async def find(self, sha256: str, size: int, *, besides: Path) -> Path | None:
        """The path of a model file with that digest, in any model folder; None if none is found.

        Args:
            size: its length in bytes; lengths that differ by one byte also match, since some hosts round.
            besides: a path to ignore.
        """
        candidates = await asyncio.to_thread(lambda: [*self._of_size(size)])
        for path in [path for path in candidates if path != besides][:MOST_CANDIDATES]:
            if await self.of(path) == sha256:
                return path
        return None

    async def of(self, path: Path) -> str | None:
        """A file's digest, computed if not cached; None if the file cannot be read."""
        known = await self._load()
        try:
            stat = await asyncio.to_thread(path.stat)
            entry = known.get(str(path))
            if entry is not None and entry[:2] == (stat.st_size, stat.st_mtime_ns):
                return entry[2]
            digest = await self._hash((path, stat.st_size, stat.st_mtime_ns))
        except OSError:
            return None
        await self._keep(path, stat, digest)
        return digest

    async def load(self) -> None:
        """Load the cache, for `known`, `paths_of` and `size_of`."""
        await self._load()

    def known(self, path: str, stat: os.stat_result) -> str | None:
        """The cached digest of this version of a file, or None; the file is not read."""
        entry = (self._known or {}).get(path)
        return entry[2] if entry is not None and entry[:2] == (stat.st_size, stat.st_mtime_ns) else None

    def size_of(self, sha256: str) -> int | None:
        """The length of a file with that digest, or None if none is cached."""
        known = [*(self._known or {}).values()]
        return next((size for size, _, digest in known if digest == sha256), None)

    def paths_of(self, sha256: str) -> list[str]:
        """The paths that had that digest when they were last hashed."""
        known = [*(self._known or {}).items()]
        return [path for path, (_, _, digest) in known if digest == sha256]

    async def note(self, path: Path, sha256: str) -> None:
        """Save a digest that has just been verified."""
        await self._load()
        await self._keep(path, await asyncio.to_thread(path.stat), sha256)

    async def _hash(self, version: _Version) -> str:
        """A file's digest, computed once for all callers; it stops when all of them are cancelled. OSError."""
        hashing = self._running.get(version)
        if hashing is None:
            if self._closed:
                raise InterruptedError("The download service is closed.")
            stop = threading.Event()
            work = asyncio.get_running_loop().run_in_executor(self._threads, sha256_of, version[0], stop)
            hashing = self._running[version] = _Hashing(work, stop)
        hashing.wanted_by += 1
        try:
            return await asyncio.shield(hashing.digest)
        finally:
            hashing.wanted_by -= 1
            if hashing.wanted_by == 0:
                hashing.stop.set()
                hashing.digest.cancel()
                del self._running[version]

    def _of_size(self, size: int) -> Iterator[Path]:
        seen: set[str] = set()
        for folder in self._places.folders():
            for root in self._places.roots(folder):
                for where, below, names in os.walk(root, followlinks=True):
                    real = os.path.realpath(where)
                    if real in seen:
                        below.clear()
                        continue
                    seen.add(real)
                    for name in names:
                        path = Path(where, name)
                        if extension_of(name) in MODEL_EXTENSIONS and not name.startswith("."):
                            yield from [path] if _has_size(path, size) else []

    async def _load(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            try:
                files = (await read_json(self._path) or {}).get("files", {})
                self._known = {path: (entry[0], entry[1], entry[2]) for path, entry in files.items()}
            except (UiapiError, AttributeError, LookupError, TypeError) as error:
                log.warning("The saved digests cannot be read and are computed again: %s", error)
                self._known = {}
        return self._known

    async def _keep(self, path: Path, stat: os.stat_result, digest: str) -> None:
        async with self._lock:
            known = await self._load()
            known[str(path)] = (stat.st_size, stat.st_mtime_ns, digest)
            files: dict[str, Any] = {name: list(entry) for name, entry in known.items()}
            try:
                await write_json(self._path, {"files": files})
            except UiapiError as error:
                # The file is hashed again when needed.
                log.warning("%s Digests are not saved.", error.message)


def _has_size(path: Path, size: int) -> bool:
    try:
        return abs(path.stat().st_size - size) <= 1
    except OSError:
        return False
