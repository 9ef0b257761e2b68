"""Adds a second name for a file on this disk: by a hard link, or by a copy that is complete before it is renamed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

from ...common.errors import UiapiError
from ...common.json_store import sync_directory
from ..common.progress import Progress
from .disk import check_space, disk_error
from .file_check import check_file
from .open_folder import Check, Folder
from .partial_file import Partial

# Bytes copied between two checks for cancellation.
CHUNK = 4 << 20


async def link_or_copy(
    source: Path, target: Path, progress: Progress, check: Check | None = None, *, overwrite: bool
) -> None:
    """Link or copy a file to a second name, whose extension determines the expected format.

    If cancelled, it returns only once its temporary files are removed; a file renamed already counts as a success.

    Raises:
        UiapiError: `conflict` if the name is taken and `overwrite` is false, `not_a_model`, `size_mismatch`,
            `disk_full`, `storage_failed`.
    """
    progress.phase = "downloading"
    stop = threading.Event()
    work = asyncio.ensure_future(asyncio.to_thread(_bring, source, target, progress, stop, check, overwrite=overwrite))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({work})
        if not progress.is_in_place:
            raise


def _bring(
    source: Path, target: Path, progress: Progress, stop: threading.Event, check: Check | None, *, overwrite: bool
) -> None:
    partial = Partial(target, check)
    temporary = partial.copy.name
    folder = None
    try:
        folder = Folder(target.parent, check)
        # Left by a killed process; it may be a hard link to a model, so it is removed and not written to.
        folder.unlink(temporary)
        size = source.stat().st_size
        check_file(source, target.name)
        progress.bytes, progress.total = 0, size
        try:
            folder.link_from(os.path.realpath(source), temporary)
        except OSError:
            check_space(target, size)
            _copy(source, folder, temporary, progress, stop)
            if progress.bytes != size and not stop.is_set():
                raise UiapiError("conflict", f"{source.name} changed while it was copied; download it again.") from None
        if stop.is_set():
            return
        folder.check_still_there()
        if overwrite:
            folder.replace(temporary, target.name)
        else:
            folder.move_without_replacing(temporary, target.name)
        progress.bytes, progress.is_in_place = size, True
        sync_directory(target.parent)
        # An earlier partial file is of no use now.
        partial.remove()
    except FileExistsError:
        raise UiapiError("conflict", f"{target.name} exists already; the existing file was kept.") from None
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.unlink(temporary)
            folder.close()


def _copy(source: Path, folder: Folder, name: str, progress: Progress, stop: threading.Event) -> None:
    with source.open("rb") as read, open(name, "xb", opener=folder.open) as written:
        while not stop.is_set() and (piece := read.read(CHUNK)):
            written.write(piece)
            progress.bytes += len(piece)
        written.flush()
        os.fsync(written.fileno())
