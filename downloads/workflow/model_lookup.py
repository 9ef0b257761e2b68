"""Looks up needed models on the disk, and whether ComfyUI lists them by the same spelling as the widgets.

ComfyUI rejects a name that is not in its list, even if a file could be found by it, as with another platform's
separators or in another letter case. Files that lie elsewhere are found in disk_copies.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

from ..storage.model_folders import MODEL_EXTENSIONS, Places, extension_of, same_name
from .mentions import COMBO, Use
from .required_models import Need

# Whether a file is usable is checked in storage/file_presence.py.
PRESENT, SPELLED_DIFFERENTLY, MISSING = "present", "spelled_differently", "missing"
# States of a file that ComfyUI lists under another path: there is one, or there are several and one has to be chosen.
RELINK, CHOOSE = "relink", "choose"


@dataclass(frozen=True)
class Copy:
    """A file that may be a missing model.

    Attributes:
        directory: the ComfyUI directory it is in, None if unknown.
        name: its name as ComfyUI lists it there.
        path: the file.
        size: bytes.
        modified: Unix time.
        sha256: its digest, if cached.
        match: "name" if its file name is that of the model, "digest" if only its digest is.
        here: whether a widget that names the model lists it.
        damage: why it cannot be this model, None if it can.
    """

    directory: str | None
    name: str
    path: str
    size: int
    modified: float
    sha256: str | None
    match: str
    here: bool
    damage: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The copy as analyze_workflow returns it."""
        return {key: getattr(self, key) for key in self.__dataclass_fields__}


@dataclass(frozen=True)
class Found:
    """What was found for one use.

    Attributes:
        state: present, spelled_differently, relink, choose or missing.
        path: the file, None if it is missing or has to be chosen.
        listed: the name in the widget's list, if the widget holds another one.
    """

    state: str
    path: str | None = None
    listed: str | None = None


@dataclass(frozen=True)
class Located:
    """What was found for a need.

    Attributes:
        state: present, spelled_differently, relink, choose or missing, for a run now.
        path: the file, None if it is missing or has to be chosen.
        listed: the name that ComfyUI lists, if a use has another one.
        uses: what was found for each of its uses.
        copies: the files that may be a model that is not found by its name.
        similar: listed names like that of a missing model.
    """

    state: str
    path: str | None
    listed: str | None
    uses: list[Found]
    copies: tuple[Copy, ...] = ()
    similar: tuple[str, ...] = ()


class Lookup:
    """Looks up models. It reads each folder's list only once, so create a new one for each request.

    Args:
        places: ComfyUI's folders.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lists: dict[str, Names] = {}
        # A plan looks up several models at a time.
        self._listing = Lock()

    def of(self, need: Need, directory: str | None = None) -> Located:
        """Look up a model; `directory` is used if the workflow gives none. Blocks on the disk."""
        directory = need.directory or directory
        own = self._places.find(directory, need.name) if directory else None
        # If the folder is unknown, a file of that name in any folder matches.
        plain = Found(PRESENT, own) if own is not None else Found(MISSING) if directory else None
        uses = [self._of_use(use, need.name, plain) for use in need.uses]
        pairs = [*zip(need.uses, uses, strict=True)]
        active = [pair for pair in pairs if pair[0].reason is None] or pairs
        # ComfyUI rejects the run if a combo does not list the name, even if the file exists elsewhere.
        if any(use.named_in == COMBO and found.state == MISSING for use, found in active):
            return Located(MISSING, None, None, uses)
        path = own or next((found.path for found in uses if found.path is not None), None)
        listed = next((found.listed for _, found in active if found.listed is not None), None)
        if listed is not None:
            return Located(SPELLED_DIFFERENTLY, path, listed, uses)
        return Located(PRESENT if path is not None else MISSING, path, None, uses)

    def _of_use(self, use: Use, name: str, plain: Found | None) -> Found:
        if use.is_part:
            file = self.names(use.folder or "").meant(use.value)
            return self._found(use.folder, file) if file is not None else Found(MISSING)
        if use.choices is not None:
            listed = Names(use.choices).spelled(use.value)
            return Found(SPELLED_DIFFERENTLY, self._anywhere(listed), listed) if listed is not None else Found(MISSING)
        if use.folder is None:
            return plain or self._found(None, name)
        names = self.names(use.folder)
        if use.value not in names and (listed := names.spelled(use.value)) is not None:
            return Found(SPELLED_DIFFERENTLY, self._places.find(use.folder, listed), listed)
        return self._found(use.folder, name)

    def _found(self, folder: str | None, name: str) -> Found:
        path = self._places.find(folder, name) if folder is not None else self._anywhere(name)
        return Found(PRESENT, path) if path is not None else Found(MISSING)

    def _anywhere(self, name: str) -> str | None:
        found = self._places.find_anywhere(name)
        return found[1] if found is not None else None

    def names(self, folder: str) -> Names:
        """The names that ComfyUI lists in a folder. Blocks on the disk."""
        with self._listing:
            if folder not in self._lists:
                self._lists[folder] = Names(self._places.listed(folder))
            return self._lists[folder]


class Names:
    """The file names in a combo's list."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def spelled(self, name: str) -> str | None:
        """The listed name of the same file, preferably in the same letter case, or None."""
        return self._by_slashes.get(same_name(name)) or self._by_case.get(same_name(name).casefold())

    def meant(self, name: str) -> str | None:
        """The listed name that matches a name without its suffix, its subfolder, or both; None if none does."""
        return self._by_end.get(same_name(name))

    def of_file(self, name: str) -> list[str]:
        """The listed names with the file name of `name`, whatever their subfolder and letter case."""
        return self._by_file.get(file_name(name).casefold(), [])

    @cached_property
    def _by_file(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._names:
            found.setdefault(file_name(name).casefold(), []).append(name)
        return found

    @cached_property
    def _by_slashes(self) -> dict[str, str]:
        return {same_name(name): name for name in self._names}

    @cached_property
    def _by_case(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self._names:
            found.setdefault(same_name(name).casefold(), name)
        return found

    @cached_property
    def _by_end(self) -> dict[str, str]:
        found: dict[str, str] = {}
        # As in ComfyUI: whole names take precedence over parts, and .safetensors over other suffixes.
        names = sorted(self._names, key=lambda name: extension_of(name) != ".safetensors")
        for name in names:
            for whole in _with_and_without_suffix(same_name(name)):
                found.setdefault(whole, name)
        for name in names:
            for whole in _with_and_without_suffix(same_name(name)):
                parts = whole.split("/")
                for start in range(1, len(parts)):
                    found.setdefault("/".join(parts[start:]), name)
        return found


def file_name(name: str) -> str:
    """A model's name without its subfolder."""
    return same_name(name).rpartition("/")[2]


def _with_and_without_suffix(name: str) -> list[str]:
    extension = extension_of(name)
    return [name, name[: -len(extension)]] if extension in MODEL_EXTENSIONS else [name]
