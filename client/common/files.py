"""Atomic file writes: a file is written completely or stays as it was."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from .errors import UiapiError


def write(path: str | Path, content: bytes) -> Path:
    """Write a file, replacing an existing one; returns its path. Raises UiapiError `storage_failed`."""
    target = Path(os.path.expanduser(path))
    try:
        if target.exists() and not target.is_file():
            # A pipe or a device, such as /dev/stdout, cannot be replaced.
            target.write_bytes(content)
        else:
            _replace(Path(os.path.realpath(target)), content)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UiapiError("storage_failed", f"{target} cannot be written: {why}; choose another path.") from error
    return target


def _replace(target: Path, content: bytes) -> None:
    part = target.with_name(f".uiapi-{os.urandom(16).hex()}.part")
    try:
        part.write_bytes(content)
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def free_name(folder: Path, name: str, content: bytes, taken: Iterable[Path] = ()) -> Path:
    """Returns a path for a file in a folder; the name is numbered if a file with other content has it.

    Paths in `taken` are never returned.
    """
    # A name from another machine must not lead out of the folder.
    plain = Path(Path(name).name or "file")
    target, number = folder / plain, 1
    used = {*taken}
    while target in used or (target.exists() and not _holds(target, content)):
        number += 1
        target = folder / f"{plain.stem}_{number}{plain.suffix}"
    return target


def _holds(target: Path, content: bytes) -> bool:
    with contextlib.suppress(OSError):
        return target.is_file() and target.stat().st_size == len(content) and target.read_bytes() == content
    return False
