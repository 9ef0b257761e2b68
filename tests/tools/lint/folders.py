"""The rule for the size of folders: few enough entries to read at a glance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# The most files and folders that one folder may contain.
MAX_ENTRIES = 15
# Folders that may contain more, with the reason.
LARGER = {
    ".": "ComfyUI, GitHub and the tools look for their files there",
}


def problems(files: Iterable[Path], larger: Mapping[str, str] = LARGER) -> Iterator[str]:
    """Yields a sentence for each folder with too many entries, given every file's path from the root."""
    entries: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for path in (file, *file.parents[:-1]):
            entries[path.parent.as_posix()].add(path.name)
    for folder, names in sorted(entries.items()):
        if len(names) > MAX_ENTRIES and folder not in larger:
            yield f"{folder}: has {len(names)} files and folders; group them so that it has at most {MAX_ENTRIES}."
    for folder in sorted(larger):
        if len(entries.get(folder, ())) <= MAX_ENTRIES:
            yield f"{folder}: no longer needs to be excepted; remove it from LARGER in tests/tools/lint/folders.py."
