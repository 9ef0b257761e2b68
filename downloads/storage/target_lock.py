"""One transfer for each target, across all ComfyUI processes that share a models folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..common.threads import settled
from .disk import disk_error


class Held(Exception):
    """The target is locked, in this process or another."""


@asynccontextmanager
async def target_lock(target: Path) -> AsyncIterator[None]:
    """Lock a target for the duration of the context.

    Folders created for the target are removed afterwards if they are empty.

    Args:
        target: the final path of the file.

    Raises:
        Held: the target is locked already; it is not waited for.
        UiapiError: `disk_full` or `storage_failed` if the lock cannot be created.
    """
    path = target.with_name(f".{target.name}.uiapi-lock")
    made = await settled(_make_folders, target.parent)
    # Not thread-local: it is acquired in one thread and released in another.
    lock = FileLock(path, thread_local=False)
    try:
        if not await settled(_take, lock, target):
            raise Held
        yield
    finally:
        await settled(_leave, lock, path, made)


def _make_folders(folder: Path) -> list[Path]:
    """Create a folder and its parents; returns those that did not exist, outermost first."""
    missing = [folder, *folder.parents]
    made = [path for path in missing if not path.exists()][::-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    return made


def _take(lock: FileLock, target: Path) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise disk_error(error, target) from error
    # The previous holder may have removed the lock file; a lock on a removed file protects nothing.
    if _is_current(lock):
        return True
    lock.release()
    return False


def _is_current(lock: FileLock) -> bool:
    descriptor = getattr(getattr(lock, "_context", None), "lock_file_fd", None)
    if not isinstance(descriptor, int):
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock.lock_file))
    except OSError:
        return False


def _leave(lock: FileLock, path: Path, made: list[Path]) -> None:
    if lock.is_locked:
        # Removed while locked, so that it cannot be acquired in between; Windows refuses and removes it on release.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            folder.rmdir()
