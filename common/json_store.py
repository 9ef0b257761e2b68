"""JSON files that are whole at every moment: written beside, synced, renamed; read with their version checked.

The form is `{"version": 1, <key>: …}`. A file that does not hold what it should is set aside under its date and
reported; one of a newer version, or one that cannot be read, is an error and stays as it is.
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

import aiofiles

from .errors import UiapiError

log = logging.getLogger("uiapi")

VERSION = 1
# Seconds after which a file beside is no write that is still going on.
_WRITES_TAKE = 5.0


class Damaged(UiapiError):
    """A file did not hold what it should, and was set aside; its place is free for a new one."""


async def read_json(path: Path, check: Callable[[dict[str, Any]], object] = lambda data: None) -> dict[str, Any] | None:
    """The object in a file, or None when there is no file.

    Args:
        path: the file.
        check: raises ValueError, with the reason, where the object is not what it should be.

    Raises:
        Damaged: the file is not JSON or failed the check, and was set aside.
        UiapiError: `storage_failed` when it cannot be read or a newer version of this package wrote it.
    """
    try:
        async with aiofiles.open(path, encoding="utf-8") as file:
            text = await file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise await set_aside(path, f"it is not valid JSON: {error}") from error
    except OSError as error:
        raise UiapiError(
            "storage_failed", f"{path.name} cannot be read ({error.strerror}); mend its permissions."
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
    """Put `data`, with the version, into a file; whoever reads it meanwhile sees the old or the new whole.

    Cancelled, it is let go once it is done: a write that is left halfway would leave a descriptor and a file behind.

    Raises:
        UiapiError: `storage_failed`, with the old file as it was.
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
    try:
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        handle, name = await asyncio.to_thread(tempfile.mkstemp, ".tmp", f".{path.name}.", path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        # Half a character, which UTF-8 cannot hold, becomes its JSON escape.
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
    """Keep a file that is not what it should be under its date, so that a new one can be begun; returns what to raise.

    Raises:
        UiapiError: `storage_failed`, with the file where it was.
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
    """Take away what a write left that was killed in the middle, where that can be done. Blocks on the disk."""
    # Another ComfyUI may be writing into the same folder right now.
    before = time.time() - _WRITES_TAKE
    for path in directory.glob(pattern):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def sync_directory(path: Path) -> None:
    """Have a rename in a folder survive a power cut, where the platform lets folders be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> UiapiError:
    return UiapiError(
        "storage_failed", f"{path.name} cannot be written ({error.strerror}); mend the disk or its permissions."
    )
