"""The disk: room on it, its errors in a sentence, and moves that replace nothing."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ...common.errors import UiapiError

# Bytes left free on a disk beside what a download needs.
DISK_RESERVE = 256 << 20


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
