"""Reads the table of well-known files that ships with the extension, `known_models.json`.

It is made by `python3 dev.py known-models`, and used where the lists that it was made from are not installed.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from .candidate import Candidate

log = logging.getLogger("uiapi")

TABLE = Path(__file__).with_name("known_models.json")
# The columns of the table; those at the end of a row that are unknown are left out.
COLUMNS = ("name", "directory", "url", "size", "sha256")
_WHY = "It is in the table of well-known files that ships with this extension."


def read_known(path: Path) -> list[Candidate]:
    """The files in the table. Blocks on the disk."""
    try:
        rows: list[list[Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.warning("The table of well-known models cannot be read: %s; install the extension again.", error)
        return []
    return [Candidate(origin="known", why=_WHY, **dict(zip(COLUMNS, row, strict=False))) for row in rows]


def table_of(candidates: list[Candidate]) -> str:
    """The text of the table for these files, with one line for each, ordered by name."""
    rows = set()
    for one in candidates:
        row = [one.name, one.directory, one.url, one.size, one.sha256]
        while row[-1] is None:
            row.pop()
        rows.add(json.dumps(row, ensure_ascii=False))
    return "[\n" + ",\n".join(sorted(rows)) + "\n]\n"
