"""The index of a folder with the files of a sweep: index.json and index.csv, which grow with each result.

index.json is a list with one row on each line and is valid JSON at any time. A row that a killed process
has left half written is dropped when the folder is opened again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.files import write

# The text after the last row.
END = b"\n]\n"

Row = dict[str, Any]


class Index:
    """The rows of both files.

    Attributes:
        rows: all rows, each with index, fields, status, error, files, texts and prompt_id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.json, self.csv = folder / "index.json", folder / "index.csv"
        self.rows: list[Row] = []
        self._paths: list[str] = []

    def read(self) -> None:
        """Read index.json; a row that was not written completely is left out."""
        try:
            text = self.json.read_text("utf-8", "replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UiapiError("storage_failed", f"{self.json} cannot be read: {error.strerror}.") from error
        self.rows = [row for line in text.splitlines() if (row := _row(line)) is not None]

    def write(self, rows: Iterable[Row], paths: Sequence[str]) -> None:
        """Write both files anew with these rows; `paths` are the columns of index.csv for fields."""
        self.rows, self._paths = [*rows], [*paths]
        lines = b",\n".join(_line(row) for row in self.rows)
        write(self.json, b"[" + (b"\n" + lines if lines else b"") + END)
        write(
            self.csv, "".join([self._csv(self._header()), *(self._csv(self._cells(row)) for row in self.rows)]).encode()
        )

    def add(self, row: Row) -> None:
        """Add a row to both files. Raises UiapiError `storage_failed`."""
        separator = b",\n" if self.rows else b"\n"
        try:
            with self.json.open("r+b", buffering=0) as file:
                file.seek(-len(END), os.SEEK_END)
                # One call, so that a process that is killed has written all of it or nothing.
                file.write(separator + _line(row) + END)
            with self.csv.open("ab", buffering=0) as file:
                file.write(self._csv(self._cells(row)).encode())
        except OSError as error:
            sentence = f"The index in {self.folder} cannot be written: {error.strerror}; free some space."
            raise UiapiError("storage_failed", sentence) from error
        self.rows.append(row)

    def _header(self) -> list[str]:
        return ["index", *self._paths, "status", "error", "files", "prompt_id"]

    def _cells(self, row: Row) -> list[Any]:
        values = [_cell(row["fields"].get(path, "")) for path in self._paths]
        error = row["error"]["message"] if row["error"] else ""
        return [row["index"], *values, row["status"], error, ";".join(row["files"]), row["prompt_id"] or ""]

    @staticmethod
    def _csv(cells: Sequence[Any]) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        return line.getvalue().encode("utf-8", "backslashreplace").decode()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict)) or value is None else value


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(", ", ": ")).encode("utf-8", "backslashreplace")


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line.strip().removesuffix(","))
    except ValueError:
        return None
    whole = isinstance(row, dict) and isinstance(row.get("fields"), dict) and isinstance(row.get("files"), list)
    return row if whole else None
