"""Checks whether a path is inside a directory."""

from __future__ import annotations

import os


def within(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Whether `path`, with all symlinks resolved, is inside `folder`."""
    real, root = os.path.realpath(path), os.path.realpath(folder)
    try:
        return os.path.commonpath([real, root]) == root
    except ValueError:
        return False
