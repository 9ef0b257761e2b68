"""Fetches single files: tries their sources in turn, links an existing copy on the disk, or transfers the file.

Callers with equal requests share one Fetch, which is cancelled when all of them are; other requests for its target
wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.progress import Progress
from ..common.settings import Settings
from ..common.threads import settled
from ..common.throttle import Backoff
from ..common.urls import read_url
from ..sources.offers import LocalOffer, Offer, explained
from ..sources.resolver import Sources
from ..storage.file_presence import Presence, differs
from ..storage.hash_cache import Hashes
from ..storage.local_copy import link_or_copy
from ..storage.model_folders import Places
from ..storage.partial_file import Partial
from ..storage.target_lock import Held, target_lock
from ..transfer.transfer import Order
from ..transfer.transfer_thread import Engine
from ..transfer.turns import Turn, Turns
from ..workflow.loader_folders import pack_of

# Errors after which no other source is tried.
_FINAL = frozenset({"disk_full", "storage_failed", "conflict", "shutting_down"})
# Errors of a lookup after which it is retried.
_PASSING = frozenset({"source_failed", "rate_limited"})
# Seconds between checks whether another process has released a target.
LOOK_INTERVAL = 0.5


@dataclass(frozen=True)
class Agreed:
    """What the person was shown of a file and agreed to: its size, if known, and whether it replaces another."""

    size: int | None
    replaces: bool


@dataclass(frozen=True)
class FetchRequest:
    """One file to fetch.

    Attributes:
        directory: its ComfyUI directory.
        name: its name there, with its subfolder.
        model: its sources.
        sha256: the digest it must have, None if unknown.
        overwrite: whether an existing file is replaced.
        size: the size in bytes that the person agreed to, None if they were not asked or it was unknown.
    """

    directory: str
    name: str
    model: ModelDef
    sha256: str | None = None
    overwrite: bool = False
    size: int | None = None

    def target(self, places: Places, settings: Settings) -> Path:
        """The path the file is to be written to. Blocks; UiapiError as Places.target."""
        try:
            return places.target(self.directory, self.name, allow_pickle=settings.allow_pickle, replace=self.overwrite)
        except UiapiError as error:
            pack = pack_of(self.directory) if error.code == "unknown_folder" else None
            if pack is None:
                raise
            message = f"This ComfyUI has no model folder {self.directory!r}; install {pack}, which adds it."
            raise UiapiError(error.code, message, error.details) from None


class Fetch:
    """A file being fetched."""

    def __init__(self, target: Path, request: FetchRequest) -> None:
        self.target = target
        self.request = request
        self.progress = Progress(phase="queued")
        self.source: str | None = None
        self.address: str | None = None
        self.wanted_by = 0
        self.keep_partial = True
        # It is being cancelled, since no caller wants it any more, and cannot be joined.
        self.leaving = False
        self.task: asyncio.Task[Path] | None = None

    def serves(self, request: FetchRequest) -> bool:
        """Whether a caller with `request` can share this fetch; another source or digest may be another file."""
        return self.request == request and not self.leaving and self.task is not None and not self.task.done()


class Fetches:
    """All fetches in progress.

    Args:
        engine: transfers files.
        places: the model folders.
        sources: looks up references.
        hashes: finds files present under another name.
        presence: checks existing files.
        settings: the operator's limits.
        file_added: awaited with (directory, path) when a new file is complete.
        backoff: creates the pauses between retries of a lookup.
    """

    def __init__(
        self,
        engine: Engine,
        places: Places,
        sources: Sources,
        hashes: Hashes,
        presence: Presence,
        settings: Settings,
        file_added: Callable[[str, Path], Awaitable[None]],
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._engine = engine
        self._places = places
        self._sources = sources
        self._hashes = hashes
        self._presence = presence
        self._settings = settings
        self._file_added = file_added
        self._backoff = backoff
        self._turns = Turns(settings.max_downloads)
        self._running: dict[Path, Fetch] = {}

    async def begin(self, request: FetchRequest) -> Fetch:
        """Start a fetch, or join one with an equal request. Every `begin` needs a `finish`.

        A fetch of the same target with another request is waited for first.

        Raises:
            UiapiError: `bad_path`, `unknown_folder`, `unsupported_type` or `pickle_refused` for a request that is
                refused; nothing has been created then.
        """
        target = await asyncio.to_thread(request.target, self._places, self._settings)
        while (fetch := self._running.get(target)) is not None and not fetch.serves(request):
            if fetch.task is not None:
                await asyncio.wait({fetch.task})
            if self._running.get(target) is fetch:
                del self._running[target]
        if fetch is None:
            fetch = Fetch(target, request)
            fetch.task = asyncio.create_task(self._run(fetch, request), name=f"uiapi fetch {target.name}")
            self._running[target] = fetch
        fetch.wanted_by += 1
        return fetch

    async def finish(self, fetch: Fetch, *, keep_partial: Callable[[], bool]) -> Path:
        """Wait for a fetch and return the path of its file. If cancelled, the fetch continues while others want it.

        If cancelled after the file was renamed, the path is returned regardless.

        Args:
            keep_partial: called if the last caller is cancelled; returns whether the partial file is kept.

        Raises:
            UiapiError: the fetch failed.
        """
        task = fetch.task
        assert task is not None  # noqa: S101 - set by begin
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if fetch.wanted_by == 1 and not task.done():
                fetch.keep_partial, fetch.leaving = keep_partial(), True
                task.cancel()
                await asyncio.wait({task})
            if fetch.progress.is_in_place and task.done() and not task.cancelled() and task.exception() is None:
                return task.result()
            raise
        finally:
            fetch.wanted_by -= 1
            if task.done() and not task.cancelled():
                # Retrieved, so that asyncio does not log an exception that was never retrieved.
                task.exception()
            if task.done() and self._running.get(fetch.target) is fetch:
                del self._running[fetch.target]

    async def discard(self, directory: str | None, name: str) -> None:
        """Remove a file's partial file, unless this or another process is fetching it."""
        if directory is None:
            return
        with suppress(Held, UiapiError):
            target = await asyncio.to_thread(lambda: self._places.target(directory, name, allow_pickle=True))
            partial = Partial(target, self._places.check_folder)
            if await asyncio.to_thread(partial.is_there):
                async with target_lock(target, self._places.check_folder):
                    await settled(partial.remove)

    async def _run(self, fetch: Fetch, request: FetchRequest) -> Path:
        while True:
            async with self._turns.turn(_host_of(request)) as turn:
                with suppress(Held):
                    async with target_lock(fetch.target, self._places.check_folder):
                        return await self._held(fetch, request, turn)
            # Another process is fetching it; the turn is given up meanwhile.
            fetch.progress.phase = "waiting"
            await asyncio.sleep(LOOK_INTERVAL)

    async def _held(self, fetch: Fetch, request: FetchRequest, turn: Turn) -> Path:
        try:
            path = await self._locked(fetch, request, turn)
        except asyncio.CancelledError:
            if not fetch.progress.is_in_place:
                if not fetch.keep_partial:
                    await settled(Partial(fetch.target, self._places.check_folder).remove)
                raise
            path = fetch.target
        if fetch.progress.is_in_place:
            await self._file_added(request.directory, path)
        return path

    async def _locked(self, fetch: Fetch, request: FetchRequest, turn: Turn) -> Path:
        existing = await asyncio.to_thread(self._places.find, request.directory, request.name)
        if existing is not None and not request.overwrite:
            fetch.progress.phase = "verifying"
            damage = await self._presence.damage(existing, request.sha256)
            if damage is not None:
                raise damage.anew()
            found = await self._other_digest(request, Path(existing))
            if found is not None:
                raise differs(existing, found, request.sha256 or "")
            return Path(existing)
        failures: list[UiapiError] = []
        for kind, text in request.model.sources:
            try:
                fetch.progress.phase = "resolving"
                offer = await self._look_up(kind, text, request.name, turn)
                await self._bring(fetch, request, offer, turn)
                return fetch.target
            except UiapiError as error:
                failures.append(error)
                if error.code in _FINAL:
                    break
        if not failures:
            raise UiapiError("invalid", f"{request.name} has no source; give a URL.")
        raise failures[0] if failures[-1].code not in _FINAL else failures[-1]

    async def _look_up(self, kind: str, text: str, name: str, turn: Turn) -> Offer | LocalOffer:
        backoff = self._backoff()
        while True:
            try:
                async with turn.patiently():
                    return await self._sources.look_up(kind, text, name)
            except UiapiError as error:
                if error.code not in _PASSING:
                    raise
                pause = backoff.next_pause(error.details.get("retry_after"))
                if pause is None:
                    raise
                await turn.pause(pause)

    async def _bring(self, fetch: Fetch, request: FetchRequest, offer: Offer | LocalOffer, turn: Turn) -> None:
        check = self._places.check_folder
        if isinstance(offer, LocalOffer):
            fetch.source, fetch.progress.phase = "local", "verifying"
            agreed_size(request, offer.size)
            found = await self._other_digest(request, offer.path)
            if found is not None:
                raise UiapiError(
                    "hash_mismatch",
                    f"{offer.path.name} on the disk does not match the SHA-256 expected for {request.name}; "
                    "check the digest, or choose another name.",
                    {"sha256": found, "expected": request.sha256},
                )
            await link_or_copy(offer.path, fetch.target, fetch.progress, check, overwrite=request.overwrite)
            return
        fetch.source, fetch.address = offer.source, offer.shown
        expected = agreed_size(request, offer.size)
        sha256 = agreed_sha256(request, offer)
        size = offer.size if offer.size is not None else offer.about
        if sha256 is not None and size is not None:
            fetch.progress.phase = "connecting"
            same_file = await self._hashes.find(sha256, size, besides=fetch.target)
            if same_file is not None:
                fetch.source = "disk"
                await link_or_copy(same_file, fetch.target, fetch.progress, check, overwrite=request.overwrite)
                return
        order = Order(offer.url, fetch.target, offer.secret, expected, sha256, request.overwrite, check)
        try:
            await self._engine.fetch(order, fetch.progress, turn)
        except UiapiError as error:
            raise explained(error, offer) from error
        if sha256 is not None:
            # The file is complete, even if its digest cannot be saved.
            with suppress(OSError):
                await self._hashes.note(fetch.target, sha256)

    async def _other_digest(self, request: FetchRequest, path: Path) -> str | None:
        """The digest of a file on the disk if it is not the wanted one, else None. UiapiError `storage_failed`."""
        if request.sha256 is None:
            return None
        found = await self._hashes.of(path)
        if found is None:
            raise UiapiError("storage_failed", f"{path.name} cannot be read to verify it; check its permissions.")
        return found if found != request.sha256.lower() else None


def _host_of(request: FetchRequest) -> str:
    """The host whose turn a fetch takes: that of its first source, or the source's kind if it names no host."""
    for kind, text in request.model.sources:
        with suppress(ValueError):
            return read_url(text).host or kind
        return kind
    return ""


def agreed_size(request: FetchRequest, size: int | None) -> int | None:
    """The size a file must have. UiapiError `size_mismatch` if the source's size is not the one agreed to."""
    if request.size is not None and size is not None and size != request.size:
        raise UiapiError(
            "size_mismatch",
            f"{request.name} now has {size} bytes, and the person at the browser agreed to {request.size}; "
            "start the download again.",
            {"size": size, "expected": request.size},
        )
    return request.size if size is None else size


def agreed_sha256(request: FetchRequest, offer: Offer) -> str | None:
    """The digest a file must have. UiapiError `hash_mismatch` if the source's digest is another one."""
    wanted = request.sha256.lower() if request.sha256 else None
    if wanted is not None and offer.sha256 is not None and wanted != offer.sha256:
        raise UiapiError(
            "hash_mismatch",
            f"{offer.shown} does not match the SHA-256 expected for {request.name}; check the digest or the source.",
            {"sha256": offer.sha256, "expected": wanted},
        )
    return wanted or offer.sha256
