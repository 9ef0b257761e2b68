"""Keeps the browser profile of `uiapi tab` for one process at a time."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UiapiError

# How often a profile in use is tried again, and the seconds in between: a process that has closed its tab is about to
# end.
TRIES, PAUSE = 10, 0.1
# The errors of a lock that another process holds.
HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


@contextlib.contextmanager
def claimed(profile: Path) -> Iterator[None]:
    """Keep a profile for this process; the system releases it when the process ends, however that happens.

    Raises UiapiError `conflict` if another process has it, and `storage_failed` if the folder cannot be written to.
    """
    path = profile.with_name(f"{profile.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        sentence = f"{path.parent} cannot be written to: {error.strerror}; make it writable for the browser's profile."
        raise UiapiError("storage_failed", sentence) from error
    with file:
        for attempt in range(TRIES):
            if _lock(file.fileno()):
                break
            if attempt == TRIES - 1:
                sentence = "Another uiapi tab is opening or closing its tab for this ComfyUI; try again in a moment."
                raise UiapiError("conflict", sentence, status=409)
            time.sleep(PAUSE)
        yield


def _lock(descriptor: int) -> bool:
    """Lock an open file; returns False if another process has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks must not keep the tab from opening.
        return error.errno not in HELD
    return True
