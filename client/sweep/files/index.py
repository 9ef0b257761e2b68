"""The index of a folder with the files of a sweep: index.json and index.csv, which grow with each result.

index.json is a list with one row on each line and is valid JSON at any time. A row that a killed process
has left half written is dropped when the folder is opened again.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.files import write

# The text after the last row, and the keys of a row that hold lists of texts.
END = b"\n]\n"
LISTS = ("files", "texts")
# How the index of a sweep with rows begins.
BEGINNING = '[\n{"index": '

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
        """Read index.json; a row that was not written completely is left out.

        Raises UiapiError `storage_failed`, or `conflict` for a file that is not the index of a sweep.
        """
        try:
            text = self.json.read_text("utf-8", "replace")
        except FileNotFoundError:
            return
        except OSError as error:
            sentence = f"{self.json} cannot be read: {error.strerror}; name another folder."
            raise UiapiError("storage_failed", sentence) from error
        self.rows = [row for value in _values(text) if (row := _row(value)) is not None]
        if not self.rows and not _is_own(text):
            sentence = f"{self.json} is not the index of a sweep; name another folder."
            raise UiapiError("conflict", sentence, status=409)

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
                end = file.seek(-len(END), os.SEEK_END)
                try:
                    _write_whole(file, separator + _line(row) + END)
                except OSError:
                    file.truncate(end)
                    file.seek(end)
                    file.write(END)
                    raise
            with self.csv.open("ab", buffering=0) as file:
                _write_whole(file, self._csv(self._cells(row)).encode())
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


def _write_whole(file: io.FileIO, content: bytes) -> None:
    """Write to a file in one call, so that a process that is killed has written all of it or nothing."""
    # A disk that becomes full takes a part of it without an error.
    if file.write(content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_own(text: str) -> bool:
    """Returns whether a text without whole rows is what is left of the index of a sweep."""
    try:
        return bool(json.loads(text) == [])
    except (ValueError, RecursionError):
        return BEGINNING.startswith(text[: len(BEGINNING)])


def _values(text: str) -> Iterator[Any]:
    """Yields the values in a list, also if another program has formatted it, or its end is missing."""
    try:
        whole = json.loads(text)
        yield from whole if isinstance(whole, list) else ()
        return
    except (ValueError, RecursionError):
        pass
    for line in text.splitlines():
        try:
            yield json.loads(line.strip().removesuffix(","))
        except (ValueError, RecursionError):
            continue


def _row(value: Any) -> Row | None:
    """Returns a row with all its keys, or None for anything else."""
    if not isinstance(value, dict):
        return None
    row = {"error": None, "texts": [], "prompt_id": None, **value}
    error = row["error"]
    whole = (
        isinstance(row.get("fields"), dict)
        and all(isinstance(row.get(key), list) and all(isinstance(one, str) for one in row[key]) for key in LISTS)
        and (error is None or (isinstance(error, dict) and isinstance(error.get("message"), str)))
        and isinstance(row.get("status"), str)
    )
    return row if whole else None
