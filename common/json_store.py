"""Reads and writes versioned JSON files atomically.

The format is `{"version": 1, <key>: …}`. A write goes to a temporary file that is synced and renamed. A file with
invalid content is renamed to include the date, and reported; a file of a newer version, or one that cannot be read,
raises an error and is left as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from .errors import UiapiError

log = logging.getLogger("uiapi")

VERSION = 1
# Seconds after which a temporary file no longer belongs to a write in progress.
_WRITES_TAKE = 5.0


class Damaged(UiapiError):
    """A file had invalid content and was renamed, so that a new one can be written."""


async def read_json(path: Path, check: Callable[[dict[str, Any]], object] = lambda data: None) -> dict[str, Any] | None:
    """Return the object in a file, or None if the file does not exist.

    Args:
        path: the file.
        check: raises ValueError, with the reason, if the object is invalid.

    Raises:
        Damaged: the file is not JSON or failed the check, and was renamed.
        UiapiError: `storage_failed` if it cannot be read or was written by a newer version of this package.
    """
    # Here and below imported at first use, since ComfyUI waits for every extension to import.
    import aiofiles

    try:
        async with aiofiles.open(path, encoding="utf-8") as file:
            text = await file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise await set_aside(path, f"it is not valid JSON: {error}") from error
    except OSError as error:
        raise UiapiError(
            "storage_failed", f"{path.name} cannot be read ({error.strerror}); check its permissions."
        ) from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise await set_aside(path, f"it is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise await set_aside(path, "it is not valid JSON: not an object")
    version = data.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise UiapiError(
            "storage_failed",
            f"{path.name} was written by a newer ComfyUI-uiapi (version {version}); update, or move the file away.",
        )
    try:
        check(data)
    except ValueError as error:
        raise await set_aside(path, str(error)) from error
    return data


async def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data`, with the version, to a file; a concurrent reader sees either the old or the new content.

    A cancellation is raised after the write has finished: an interrupted one would leave a descriptor and a file open.

    Raises:
        UiapiError: `storage_failed`; the old file is unchanged.
    """
    text = json.dumps({"version": VERSION, **data}, indent=1, ensure_ascii=False)
    writing = asyncio.create_task(_write(path, text), name=f"uiapi write {path.name}")
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        if not writing.cancelled() and writing.exception() is not None:
            log.error("%s", writing.exception())
        raise


async def _write(path: Path, text: str) -> None:
    import aiofiles

    try:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        handle, name = await asyncio.to_thread(tempfile.mkstemp, ".tmp", f".{path.name}.", path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        # A lone surrogate, which UTF-8 cannot encode, becomes its JSON escape.
        async with aiofiles.open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            await file.write(text)
            await file.flush()
            await asyncio.to_thread(os.fsync, handle)
        await asyncio.to_thread(os.replace, name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise
    await asyncio.to_thread(sync_directory, path.parent)


async def set_aside(path: Path, why: str) -> Damaged:
    """Rename an invalid file to include the date, so that a new one can be written; returns the error to raise.

    Raises:
        UiapiError: `storage_failed`; the file keeps its name.
    """
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S-%f")
    kept = path.with_name(f"{path.name}.broken-{stamp}")
    try:
        await asyncio.to_thread(os.replace, path, kept)
    except OSError as failure:
        raise _unwritable(path, failure) from failure
    damaged = Damaged("storage_failed", f"{path.name} cannot be used ({why}); it was kept as {kept.name}.")
    log.error("%s", damaged.message)
    return damaged


def sweep(directory: Path, pattern: str = ".*.json.*.tmp") -> None:
    """Remove the temporary files of writes that were killed, as far as possible. Blocks on the disk."""
    # Another ComfyUI may be writing to the same directory.
    before = time.time() - _WRITES_TAKE
    for path in directory.glob(pattern):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def sync_directory(path: Path) -> None:
    """Make a rename in a directory survive a power cut, on platforms that can sync directories."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> UiapiError:
    return UiapiError(
        "storage_failed", f"{path.name} cannot be written ({error.strerror}); check the disk and its permissions."
    )
