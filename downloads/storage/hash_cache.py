"""Known SHA256 digests of files on disk, and the search for a file that is there already under another name."""

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

# Files of the right length that are hashed for one question; hashing is faster than any download, up to a point.
MOST_CANDIDATES = 8
# Files hashed at a time; more would only wait for the same disk.
THREADS = 2

# A file as it was at one time: path, length in bytes, time of change in nanoseconds.
_Version = tuple[Path, int, int]


@dataclass
class _Hashing:
    """A file being hashed for all who want to know."""

    digest: asyncio.Future[str]
    stop: threading.Event
    wanted_by: int = 0


class Hashes:
    """Digests by path, length and time of change.

    Args:
        path: where they are kept.
        places: the folders that are searched.
    """

    def __init__(self, path: Path, places: Places) -> None:
        self._path = path
        self._places = places
        self._known: dict[str, tuple[int, int, str]] | None = None
        self._lock = asyncio.Lock()
        # Threads of our own: a slow disk is not to hold those that ComfyUI's other work shares.
        self._threads = ThreadPoolExecutor(THREADS, "uiapi hash of a copy")
        self._running: dict[_Version, _Hashing] = {}
        self._closed = False

    def close(self) -> None:
        """Have what is being hashed end soon; its threads would keep the process from ending."""
        self._closed = True
        for hashing in self._running.values():
            hashing.stop.set()
        self._threads.shutdown(wait=False)

    async def find(self, sha256: str, size: int, *, besides: Path) -> Path | None:
        """A model file with that digest, wherever it is in the model folders.

        Args:
            size: its length in bytes; one byte off is looked at as well, since some hosts round.
            besides: a path that does not count.
        """
        candidates = await asyncio.to_thread(lambda: [*self._of_size(size)])
        for path in [path for path in candidates if path != besides][:MOST_CANDIDATES]:
            if await self.of(path) == sha256:
                return path
        return None

    async def of(self, path: Path) -> str | None:
        """A file's digest; None if it cannot be read. Hashes it if it is not known."""
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
        """Have the digests that are known ready for `known` and `size_of`."""
        await self._load()

    def known(self, path: str, stat: os.stat_result) -> str | None:
        """The digest of a file as it is now, where it is known already; nothing is read."""
        entry = (self._known or {}).get(path)
        return entry[2] if entry is not None and entry[:2] == (stat.st_size, stat.st_mtime_ns) else None

    def size_of(self, sha256: str) -> int | None:
        """The length of the files with that digest, where one is known."""
        known = [*(self._known or {}).values()]
        return next((size for size, _, digest in known if digest == sha256), None)

    async def note(self, path: Path, sha256: str) -> None:
        """Remember a digest that was just found to be right."""
        await self._load()
        await self._keep(path, await asyncio.to_thread(path.stat), sha256)

    async def _hash(self, version: _Version) -> str:
        """A file's digest, hashed once for all who wait for it, and no further once nobody does. OSError."""
        hashing = self._running.get(version)
        if hashing is None:
            if self._closed:
                raise InterruptedError("The room is closed.")
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
                log.warning("The remembered digests cannot be read and are found anew: %s", error)
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
                # Then it is hashed again some time; the file itself is none the worse.
                log.warning("%s Digests are not remembered.", error.message)


def _has_size(path: Path, size: int) -> bool:
    try:
        return abs(path.stat().st_size - size) <= 1
    except OSError:
        return False
