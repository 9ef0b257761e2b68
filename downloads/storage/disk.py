"""Checks for free disk space, and error messages for failed disk operations."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ...common.errors import UiapiError

# Bytes that a download leaves free on a disk.
DISK_RESERVE = 256 << 20


def check_space(target: Path, needed: int) -> None:
    """Raise UiapiError `disk_full` if the disk of `target` has no space for `needed` more bytes. OSError."""
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > 0 and needed + DISK_RESERVE > free:
        raise UiapiError(
            "disk_full",
            f"{target.name} needs {needed / 1e9:.2f} GB but the disk has {free / 1e9:.2f} GB free; free some space.",
            {"needed": needed, "free": free},
        )


def disk_error(error: OSError, target: Path) -> UiapiError:
    """The UiapiError for a failed disk operation."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return UiapiError("disk_full", f"The disk is full; free some space and download {target.name} again.")
    return UiapiError(
        "storage_failed", f"{target.name} cannot be written ({error.strerror}); check the disk and its permissions."
    )
