"""One transfer for each target, across all ComfyUI processes that share a models folder."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..common.threads import settled
from .disk import disk_error
from .open_folder import Check, Folder, make_folders, remove_folders

# Windows has no such locks, and cannot open files relative to an open folder either.
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None


class Held(Exception):
    """The target is locked, in this process or another."""


@asynccontextmanager
async def target_lock(target: Path, check: Check | None = None) -> AsyncIterator[None]:
    """Lock a target for the duration of the context.

    Folders created for the target are removed afterwards if they are empty.

    Args:
        target: the final path of the file.
        check: called with the target's folder, its links resolved, before it is created or opened.

    Raises:
        Held: the target is locked already; it is not waited for.
        UiapiError: `disk_full` or `storage_failed` if the lock cannot be created, or as `check`.
    """
    opened, unlock = await settled(_take, target, check)
    try:
        if unlock is None:
            raise Held
        yield
    finally:
        await settled(_leave, opened, unlock)


def _take(target: Path, check: Check | None) -> tuple[list[tuple[Folder, bool]], Callable[[], None] | None]:
    """Return the folders that were opened, and what removes the lock; None if the target is locked already."""
    opened: list[tuple[Folder, bool]] = []
    try:
        opened = make_folders(target.parent, check)
        return opened, _locked(opened[-1][0], f".{target.name}.uiapi-lock")
    except OSError as error:
        remove_folders(opened)
        raise disk_error(error, target) from error


def _leave(opened: list[tuple[Folder, bool]], unlock: Callable[[], None] | None) -> None:
    if unlock is not None:
        unlock()
    remove_folders(opened)


def _locked(folder: Folder, name: str) -> Callable[[], None] | None:
    if fcntl is None:
        return _locked_by_path(folder.path / name)
    descriptor = folder.open_own(name, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The previous holder may have removed the lock file; a lock on a removed file protects nothing.
        current = os.path.samestat(os.fstat(descriptor), folder.seen(name))
    except (BlockingIOError, FileNotFoundError):
        current = False
    except BaseException:
        os.close(descriptor)
        raise
    if not current:
        os.close(descriptor)
        return None

    def unlock() -> None:
        # Removed while locked, so that it cannot be acquired in between.
        with suppress(OSError):
            folder.unlink(name)
        os.close(descriptor)

    return unlock


def _locked_by_path(path: Path) -> Callable[[], None] | None:
    # Not thread-local: it is acquired in one thread and released in another.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    # Windows refuses to remove a file that is open, and removes it on release.
    return lock.release
