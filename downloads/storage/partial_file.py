"""The partial file of a transfer: preallocated beside its target, with a journal of what it holds by now.

Beside `x.safetensors` lie, while it is fetched, `.x.safetensors.uiapi-part` (the bytes), `.x.safetensors.uiapi-json`
(the journal) and `.x.safetensors.uiapi-lock`, and `.x.safetensors.uiapi-copy` while it is copied on this disk
(places.py refuses names that start with a dot, so none of them can be a model's). The journal is written only after
the bytes it speaks of are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...common.errors import UiapiError
from ...common.json_store import sync_directory
from .open_folder import Check, Folder

log = logging.getLogger("uiapi")

JOURNAL_VERSION = 1
# Bytes left free on a disk beside what a download needs.
DISK_RESERVE = 256 << 20


@dataclass(frozen=True)
class Identity:
    """What tells one version of a remote file from another.

    Attributes:
        size: its length in bytes.
        validator: its ETag or its Last-Modified date.
        sha256: the digest it must have.
        address: where it was asked for, without the query.
    """

    size: int | None
    validator: str | None
    sha256: str | None
    address: str | None = None

    @property
    def resumable(self) -> bool:
        """Whether a later request can be known to be of the same bytes."""
        return self.size is not None and (self.validator is not None or self.sha256 is not None)

    def may_be(self, address: str, size: int | None, sha256: str | None) -> bool:
        """Whether it may be the file that is wanted from that address; `size` and `sha256` None if nobody said."""
        if size not in (None, self.size):
            return False
        if self.sha256 is not None and sha256 is not None:
            return self.sha256 == sha256
        return self.address == address


class Block:
    """A stretch of the file that one connection fetches: `position` moves from `start` to `end`."""

    __slots__ = ("end", "position", "start")

    def __init__(self, start: int, end: int | None) -> None:
        self.start = start
        self.position = start
        self.end = end


class Ledger:
    """Which bytes of a file are there, being fetched, or still to be claimed.

    Args:
        total: the file's length, None while it is not known; it is then one block without an end.
        gaps: the stretches that are missing; all of it if left out.
    """

    def __init__(self, total: int | None, gaps: list[tuple[int, int]] | None = None) -> None:
        self.total = total
        self._gaps: list[tuple[int, int]] = [(0, total or 0)] if gaps is None else sorted(gaps)
        self._gaps = [gap for gap in self._gaps if gap[0] < gap[1]]
        self._active: list[Block] = []

    def claim(self, most: int) -> Block | None:
        """The first missing stretch, up to `most` bytes of it; None when all is claimed."""
        if not self._gaps:
            return None
        start, end = self._gaps[0]
        cut = min(end, start + most)
        if cut == end:
            del self._gaps[0]
        else:
            self._gaps[0] = (cut, end)
        block = Block(start, cut)
        self._active.append(block)
        return block

    def claim_all(self) -> Block:
        """The whole file as one block, of unknown end if the total is."""
        self._gaps = []
        block = Block(0, self.total)
        self._active = [block]
        return block

    def release(self, block: Block) -> None:
        """Give a block back: what it did not get is missing again."""
        if block not in self._active:
            return
        self._active.remove(block)
        if block.end is None:
            self._gaps = []
        elif block.position < block.end:
            self._gaps = sorted([*self._gaps, (block.position, block.end)])

    def missing(self) -> list[tuple[int, int]]:
        """Every stretch that is not there, in order."""
        active = [(b.position, b.end) for b in self._active if b.end is not None and b.position < b.end]
        return sorted([*self._gaps, *active])

    @property
    def unclaimed(self) -> int:
        """Bytes no connection is at."""
        return sum(end - start for start, end in self._gaps)

    @property
    def frontier(self) -> int:
        """How many bytes from the start are there without a gap."""
        ends = [b.position for b in self._active if b.end is None or b.position < b.end]
        if self._gaps:
            ends.append(self._gaps[0][0])
        return min(ends) if ends else self.total or 0

    @property
    def present(self) -> int:
        """How many bytes are there."""
        if self.total is None:
            return self._active[0].position if self._active else 0
        return self.total - sum(end - start for start, end in self.missing())


class Partial:
    """The partial file of one target. Every method blocks on the disk for a moment; `allocate` and `sync` longer.

    Args:
        target: the final path.
        check: asked about the folder once it is held open.
    """

    def __init__(self, target: Path, check: Check | None = None) -> None:
        self.target = target
        self._check = check
        self._folder: Folder | None = None
        self.path = target.with_name(f".{target.name}.uiapi-part")
        self.journal = target.with_name(f".{target.name}.uiapi-json")
        self.copy = target.with_name(f".{target.name}.uiapi-copy")
        self._new_journal = self.journal.with_name(self.journal.name + "-new")
        self.descriptor = -1
        self._writes = hasattr(os, "pwrite")

    def is_there(self) -> bool:
        """Whether anything of it lies beside the target."""
        return any(os.path.lexists(path) for path in self._files())

    def load(self) -> tuple[Identity, list[tuple[int, int]]] | None:
        """What an earlier transfer left: of which file, and what is missing. None if nothing of use is there."""
        try:
            self._part_from_others()
            data = json.loads(self.journal.read_text("utf-8"))
            size = self.path.stat().st_size
            identity = Identity(data["size"], data["validator"], data["sha256"], data.get("address"))
            gaps = [(int(start), int(end)) for start, end in data["missing"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = isinstance(identity.size, int) and size == identity.size
        if data.get("version") != JOURNAL_VERSION or not whole or not identity.resumable:
            return None
        ends = [0, *(edge for gap in gaps for edge in gap), size]
        return (identity, gaps) if ends == sorted(ends) else None

    def open(self) -> None:
        """Open the partial, made if need be, and the folders above it.

        Raises:
            UiapiError: `disk_full`, `storage_failed`, or as the check of its folder.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Folder(self.target.parent, self._check)
            self._part_from_others()
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
            self.descriptor = self._folder.open(self.path.name, flags)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def _part_from_others(self) -> None:
        """Take a partial away that is the same file as a model: who landed or linked it was killed in between.

        Writing to it would write to that model.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(self.path).st_nlink > 1:
                self.path.unlink()

    def allocate(self, total: int, *, fresh: bool) -> None:
        """Have the disk set `total` bytes aside; `fresh` empties the partial first. UiapiError as `open`."""
        try:
            if fresh:
                os.ftruncate(self.descriptor, 0)
            taken: int = getattr(os.fstat(self.descriptor), "st_blocks", 0) * 512
            check_space(self.target, total - taken)
            if hasattr(os, "posix_fallocate") and total:
                try:
                    os.posix_fallocate(self.descriptor, 0, total)
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                        raise
            os.ftruncate(self.descriptor, total)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes at an offset. UiapiError as `open`."""
        try:
            view = memoryview(data)
            while view:
                if self._writes:
                    count = os.pwrite(self.descriptor, view, offset)
                else:
                    os.lseek(self.descriptor, offset, os.SEEK_SET)
                    count = os.write(self.descriptor, view)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise disk_error(error, self.target) from error

    def look_at(self, step: Callable[[BinaryIO], None]) -> None:
        """Have `step` read what is there, by a descriptor of its own. UiapiError as `open`, and what it raises."""
        try:
            with self.path.open("rb") as file:
                step(file)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def check_room(self, count: int) -> None:
        """UiapiError `disk_full` when the disk has no room for `count` more bytes, else as `open`."""
        try:
            check_space(self.target, count)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def sync(self) -> None:
        """Have the bytes written so far survive a power cut. UiapiError as `open`."""
        try:
            getattr(os, "fdatasync", os.fsync)(self.descriptor)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def note(self, identity: Identity, missing: list[tuple[int, int]]) -> None:
        """Write the journal. UiapiError as `open`."""
        data: dict[str, Any] = {
            "version": JOURNAL_VERSION,
            "size": identity.size,
            "validator": identity.validator,
            "sha256": identity.sha256,
            "address": identity.address,
            "missing": missing,
        }
        beside = self._new_journal
        try:
            # Anew each time: a link that was put there must not lead the journal elsewhere.
            beside.unlink(missing_ok=True)
            with beside.open("x", encoding="utf-8") as file:
                file.write(json.dumps(data))
                file.flush()
                # Without this a power cut may leave its name with nothing behind it, and all would be fetched again.
                os.fsync(file.fileno())
            os.replace(beside, self.journal)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def close(self) -> None:
        """Close the partial; it stays where it is."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def remove(self) -> None:
        """Close the partial and take away all that lies beside the target; what cannot be is reported."""
        self.close()
        for path in self._files():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed (%s); delete it by hand.", path, error.strerror)

    def _files(self) -> tuple[Path, ...]:
        return self.path, self.journal, self._new_journal, self.copy

    def land(self, *, overwrite: bool) -> None:
        """Close the partial and give it its final name; a file that is there already stays unless `overwrite`.

        Raises:
            UiapiError: `conflict` when a file of that name has appeared, else as `open`.
        """
        assert self._folder is not None  # noqa: S101 - it was opened
        os.close(self.descriptor)
        self.descriptor = -1
        try:
            self._folder.check_still_there()
            if overwrite:
                self._folder.replace(self.path.name, self.target.name)
            else:
                self._folder.move_without_replacing(self.path.name, self.target.name)
            sync_directory(self.target.parent)
        except FileExistsError:
            raise UiapiError(
                "conflict", f"{self.target.name} appeared while it was being fetched; the one that is there was kept."
            ) from None
        except OSError as error:
            raise disk_error(error, self.target) from error
        self.remove()


def check_space(target: Path, needed: int) -> None:
    """UiapiError `disk_full` when the disk of `target` has no room for `needed` more bytes; OSError."""
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + DISK_RESERVE > free:
        raise UiapiError(
            "disk_full",
            f"{target.name} needs {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB free; make room.",
            {"needed": needed, "free": free},
        )


def disk_error(error: OSError, target: Path) -> UiapiError:
    """A failed disk operation as what the caller is told."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return UiapiError("disk_full", f"The disk is full; make room and fetch {target.name} again.")
    return UiapiError(
        "storage_failed", f"{target.name} cannot be written ({error.strerror}); mend the disk or its permissions."
    )
