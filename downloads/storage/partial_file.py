"""The partial file of a transfer: preallocated next to its target, with a journal of the bytes it contains.

While `x.safetensors` is downloaded, its folder contains `.x.safetensors.uiapi-part` (the bytes),
`.x.safetensors.uiapi-json` (the journal) and `.x.safetensors.uiapi-lock`; while it is copied from this disk,
`.x.safetensors.uiapi-copy`. No model can have such a name, since model_folders.py refuses names that start with a dot.
The journal is written only after the bytes it lists are on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ...common.errors import UiapiError
from ...common.json_store import sync_directory
from .disk import check_space, disk_error
from .ledger import Identity
from .open_folder import Check, Folder, make_folders

log = logging.getLogger("uiapi")

JOURNAL_VERSION = 1


class Partial:
    """The partial file of one target. Every method blocks on the disk briefly; `allocate` and `sync` for longer.

    Args:
        target: the final path.
        check: called with the folder once it is open.
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
        """Whether any of its files exists."""
        return any(os.path.lexists(path) for path in self._files())

    def reopened(self) -> BinaryIO:
        """Open the partial file once more, so that reading does not move the writer's position. OSError."""
        folder = self._opened()
        return open(self.path.name, "rb", buffering=0, opener=lambda name, flags: folder.open_own(name, flags))

    def _opened(self) -> Folder:
        """Return its folder, which is opened and checked first if necessary. OSError, or UiapiError as the check."""
        if self._folder is None:
            self._folder = Folder(self.target.parent, self._check)
        return self._folder

    def load(self) -> tuple[Identity, list[tuple[int, int]]] | None:
        """Load what an earlier transfer left: its identity and the missing ranges. None if nothing is usable."""
        try:
            folder = self._opened()
            self._part_from_others(folder)
            with open(self.journal.name, "rb", opener=folder.open_own) as file:
                data = json.load(file)
            size = folder.seen(self.path.name).st_size
            identity = Identity(data["size"], data["validator"], data["sha256"], data.get("address"))
            gaps = [(int(start), int(end)) for start, end in data["missing"]]
        except (OSError, ValueError, KeyError, TypeError, UiapiError):
            return None
        finally:
            if self.descriptor < 0:
                self.close()
        whole = isinstance(identity.size, int) and size == identity.size
        if data.get("version") != JOURNAL_VERSION or not whole or not identity.resumable:
            return None
        ends = [0, *(edge for gap in gaps for edge in gap), size]
        return (identity, gaps) if ends == sorted(ends) else None

    def open(self) -> None:
        """Open the partial file; it and its folders are created if needed.

        Raises:
            UiapiError: `disk_full`, `storage_failed`, or as the check of its folder.
        """
        try:
            *above, (self._folder, _) = make_folders(self.target.parent, self._check)
            for folder, _ in above:
                folder.close()
            self._part_from_others(self._folder)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self.descriptor = self._folder.open_own(self.path.name, flags)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def _part_from_others(self, folder: Folder) -> None:
        """Remove a partial file that is a hard link to a model, left by a process killed while renaming it.

        Writing to it would overwrite that model.
        """
        with contextlib.suppress(FileNotFoundError):
            if folder.seen(self.path.name).st_nlink > 1:
                folder.unlink(self.path.name)

    def allocate(self, total: int, *, fresh: bool) -> None:
        """Reserve `total` bytes on the disk; `fresh` empties the file first. UiapiError as `open`."""
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
        """Write bytes at an offset. UiapiError as `open`."""
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
        """Call `step` with the file, opened separately for reading. UiapiError as `open`, and as `step`."""
        try:
            with self.reopened() as file:
                step(file)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def check_room(self, count: int) -> None:
        """Raise UiapiError `disk_full` if the disk has no space for `count` more bytes, else as `open`."""
        try:
            check_space(self.target, count)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def sync(self) -> None:
        """Flush the bytes written so far to the disk. UiapiError as `open`."""
        try:
            getattr(os, "fdatasync", os.fsync)(self.descriptor)
        except OSError as error:
            raise disk_error(error, self.target) from error

    def note(self, identity: Identity, missing: list[tuple[int, int]]) -> None:
        """Write the journal; if it cannot be written, the one before stays. UiapiError as `open`."""
        data: dict[str, Any] = {
            "version": JOURNAL_VERSION,
            "size": identity.size,
            "validator": identity.validator,
            "sha256": identity.sha256,
            "address": identity.address,
            "missing": missing,
        }
        new = self._new_journal.name
        try:
            folder = self._opened()
            # Created anew each time, so that a planted link cannot redirect the journal.
            folder.unlink(new)
            with open(new, "x", encoding="utf-8", opener=folder.open_own) as file:
                file.write(json.dumps(data))
                file.flush()
                # Without this, a power cut may leave an empty journal, and everything would be downloaded again.
                os.fsync(file.fileno())
            folder.replace(new, self.journal.name)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._opened().unlink(new)
            raise disk_error(error, self.target) from error

    def close(self) -> None:
        """Close the partial file without removing it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def remove(self) -> None:
        """Close the partial file and remove all its files; one that cannot be removed is logged."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        try:
            folder = self._opened()
        except FileNotFoundError:
            return
        except (OSError, UiapiError) as error:
            log.warning("The partial file of %s cannot be removed (%s); delete it manually.", self.target, error)
            return
        for path in self._files():
            try:
                folder.unlink(path.name)
            except OSError as error:
                log.warning("%s cannot be removed (%s); delete it manually.", path, error.strerror)
        self.close()

    def _files(self) -> tuple[Path, ...]:
        return self.path, self.journal, self._new_journal, self.copy

    def land(self, *, overwrite: bool) -> None:
        """Close the partial file and rename it to its final name; an existing file is replaced only if `overwrite`.

        Raises:
            UiapiError: `conflict` if a file of that name has appeared, else as `open`.
        """
        assert self._folder is not None  # noqa: S101 - set by open
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
                "conflict", f"{self.target.name} appeared while it was being downloaded; the existing file was kept."
            ) from None
        except OSError as error:
            raise disk_error(error, self.target) from error
        self.remove()
