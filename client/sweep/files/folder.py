"""A folder with the files of a sweep, named by their values, which a later call can complete."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.files import write
from ...common.pictures import SHOWN
from ..item import SweepItem
from ..variations import Variation
from .entry import Entry
from .index import Index, Row
from .names import key_of, names_of, plain, suffix_of

# The sweep that was started last, so that a later call can follow it, and a lock for the process that writes.
STATE, LOCK = ".uiapi-sweep.json", ".uiapi-sweep.lock"


@contextmanager
def opened(folder: Path, variations: Sequence[Variation], *, resume: bool) -> Iterator[SweepFolder]:
    """Yields the folder, which is created if it does not exist, and keeps other processes out of it.

    Raises UiapiError `conflict` or `storage_failed`.
    """
    # ComfyUI's own environment has it too, but not every program needs it.
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=0):
            yield SweepFolder(folder, variations, resume=resume)
    except Timeout:
        sentence = f"Another uiapi sweep writes to {folder}; wait for it, or name another folder."
        raise UiapiError("conflict", sentence, status=409) from None
    except UiapiError:
        # Also a lost connection of the sweep, which is an OSError.
        raise
    except OSError as error:
        sentence = f"{folder} cannot be written: {error.strerror}; choose another path."
        raise UiapiError("storage_failed", sentence) from error


class SweepFolder:
    """The folder.

    Args:
        folder: an existing one.
        variations: all variations that are wanted.
        resume: keep what an earlier call has completed; otherwise an existing index is an error.

    Attributes:
        index: its rows.
        left: the variations that are yet to be run.
    """

    def __init__(self, folder: Path, variations: Sequence[Variation], *, resume: bool) -> None:
        self.folder = folder
        self.index = Index(folder)
        self.index.read()
        if not resume and (self.index.rows or (folder / STATE).exists()):
            advice = "add --resume to complete it, or name another folder."
            raise UiapiError("conflict", f"{folder} has the index of an earlier sweep; {advice}", status=409)
        # The number and the name of every variation with the same fields, without those that are done.
        self._wanted: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, (variation, name) in enumerate(zip(variations, names_of(variations), strict=True)):
            self._wanted[key_of(variation)].append((number, name))
        kept = [*self._kept()]
        self._taken = {file.casefold() for row in kept for file in row["files"]}
        paths = dict.fromkeys(path for variation in variations for path, _ in variation)
        self.index.write(kept, [*dict.fromkeys([*paths, *(path for row in kept for path in row["fields"])])])
        self._variations = variations

    @property
    def left(self) -> list[Variation]:
        """The variations that are yet to be run, in their order."""
        return [
            self._variations[number] for number in sorted(number for due in self._wanted.values() for number, _ in due)
        ]

    def _kept(self) -> Iterator[Row]:
        """Yields the rows that need not be done again: those that succeeded and whose files exist."""
        others = itertools.count(sum(map(len, self._wanted.values())))
        for row in self.index.rows:
            whole = row.get("status") == "success" and not row.get("error")
            if not whole or not all(self._has(file) for file in row["files"]):
                continue
            due = self._wanted.get(key_of(row["fields"].items()))
            # Rows that are not wanted this time are kept after the others.
            row["index"] = due.pop(0)[0] if due else next(others)
            yield row

    def _has(self, file: Any) -> bool:
        try:
            return isinstance(file, str) and (self.folder / file).stat().st_size > 0
        except OSError:
            return False

    def begun(self, sweep_id: str, url: str, variations: Sequence[Variation]) -> None:
        """Note a sweep that has started, so that another process can follow it."""
        fields = [[[path, plain(value)] for path, value in variation] for variation in variations]
        state = {"sweep_id": sweep_id, "url": url, "variations": fields}
        write(self.folder / STATE, json.dumps(state, ensure_ascii=False).encode("utf-8", "backslashreplace"))

    def ended(self) -> None:
        """Note that no sweep is under way."""
        (self.folder / STATE).unlink(missing_ok=True)

    def under_way(self, url: str) -> tuple[str, list[Variation]] | None:
        """Returns the ID of the sweep at this URL that was started last, with its variations, or None."""
        try:
            state = json.loads((self.folder / STATE).read_text("utf-8"))
            return (state["sweep_id"], state["variations"]) if state["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def wants(self, variation: Variation) -> bool:
        """Returns whether a variation is yet to be run."""
        return bool(self._wanted.get(key_of(variation)))

    def entries(self) -> list[Entry]:
        """Returns the entries of a contact sheet: every variation with its first picture, or why it has none."""
        # A variation that failed and was run again has two rows; the last counts.
        rows = {row["index"]: row for row in self.index.rows}
        again: Counter[str] = Counter()
        entries = []
        for number, variation in enumerate(self._variations):
            key, row = key_of(variation), rows.get(number)
            fields, repeat = dict(map(tuple, variation)), again[key]
            again[key] += 1
            if row is None:
                entries.append(Entry(fields, None, "", repeat))
            elif row["error"]:
                entries.append(Entry(fields, None, row["error"]["message"], repeat, failed=True))
            else:
                pictures = [file for file in row["files"] if Path(file).suffix.lower() in SHOWN]
                note = "" if pictures else "\n".join(row["texts"] or row["files"]) or "no picture"
                entries.append(Entry(fields, self.folder / pictures[0] if pictures else None, note, repeat))
        return entries

    def add(self, variation: Variation, item: SweepItem) -> Row | None:
        """Save the files of a result and add its row; returns None for a variation that is not wanted."""
        due = self._wanted.get(key_of(variation))
        if not due:
            return None
        number, name = due.pop(0)
        row: Row = {
            "index": number,
            "fields": {path: plain(value) for path, value in variation},
            "status": "error" if item.error is not None and item.status == "success" else item.status,
            "error": None if item.error is None else {"code": item.error.code, "message": item.error.message},
            "files": [path.name for path in self._save(name, item)],
            "texts": [str(text) for text in item.texts],
            "prompt_id": item.prompt_id,
        }
        if item.warnings:
            row["warnings"] = item.warnings
        self.index.add(row)
        return row

    def _save(self, name: str, item: SweepItem) -> list[Path]:
        if item.error is not None:
            return []
        # Saved files come before previews, so that they get the plain name and are on the sheet.
        files = sorted(item.files, key=lambda file: file.type != "output")
        files = files or [text.as_file() for text in item.texts]
        saved: list[Path] = []
        for file in files:
            suffix = suffix_of(file.filename)
            number = len(saved) + 1
            stem = name if number == 1 else f"{name}~{number}"
            # A file of an earlier sweep with other values keeps its name.
            while f"{stem}{suffix}".casefold() in self._taken:
                stem += "~"
            saved.append(file.save(self.folder / f"{stem}{suffix}"))
            self._taken.add(saved[-1].name.casefold())
        return saved
