"""Reads the facts that model hosts give about a file, none of which is trusted to be of the documented type."""

from __future__ import annotations

import re
from typing import Any

from ..transfer.http_client import line_of

# Larger than any file or number of downloads.
MOST = 1 << 50

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def count(value: Any) -> int | None:
    """A length in bytes or a number of downloads."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else None


def day(value: Any) -> str | None:
    """The date of a time in ISO format."""
    found = _DAY.match(value) if isinstance(value, str) else None
    return found[0] if found else None


def line(value: Any, most: int = 80) -> str | None:
    """A host's text as one printable line."""
    return line_of(value, most) or None
