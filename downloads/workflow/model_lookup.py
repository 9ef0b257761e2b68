"""Looks up needed models on the disk, and whether ComfyUI lists them by the same spelling as the widgets.

ComfyUI rejects a name that is not in its list, even if a file could be found by it, as with another platform's
separators or in another letter case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..storage.model_folders import MODEL_EXTENSIONS, Places, extension_of, same_name
from .mentions import COMBO, Use
from .required_models import Need

# Whether a file is usable is checked in storage/file_presence.py.
PRESENT, SPELLED_DIFFERENTLY, MISSING = "present", "spelled_differently", "missing"


@dataclass(frozen=True)
class Found:
    """What was found for one use.

    Attributes:
        state: present, spelled_differently or missing.
        path: the file, None if it is missing.
        listed: the spelling in the widget's list, if the widget holds another one.
    """

    state: str
    path: str | None = None
    listed: str | None = None


@dataclass(frozen=True)
class Located:
    """What was found for a need.

    Attributes:
        state: present, spelled_differently or missing, for a run now.
        path: the file, None if it is missing.
        listed: the spelling that ComfyUI lists, if a use has another one.
        uses: what was found for each of its uses.
    """

    state: str
    path: str | None
    listed: str | None
    uses: list[Found]


class Lookup:
    """Looks up models. It reads each folder's list only once, so create a new one for each request.

    Args:
        places: ComfyUI's folders.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._lists: dict[str, _Names] = {}

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
            file = self._names(use.folder or "").meant(use.value)
            return self._found(use.folder, file) if file is not None else Found(MISSING)
        if use.choices is not None:
            listed = _Names(use.choices).spelled(use.value)
            return Found(SPELLED_DIFFERENTLY, self._anywhere(listed), listed) if listed is not None else Found(MISSING)
        if use.folder is None:
            return plain or self._found(None, name)
        names = self._names(use.folder)
        if use.value not in names and (listed := names.spelled(use.value)) is not None:
            return Found(SPELLED_DIFFERENTLY, self._places.find(use.folder, listed), listed)
        return self._found(use.folder, name)

    def _found(self, folder: str | None, name: str) -> Found:
        path = self._places.find(folder, name) if folder is not None else self._anywhere(name)
        return Found(PRESENT, path) if path is not None else Found(MISSING)

    def _anywhere(self, name: str) -> str | None:
        found = self._places.find_anywhere(name)
        return found[1] if found is not None else None

    def _names(self, folder: str) -> _Names:
        if folder not in self._lists:
            self._lists[folder] = _Names(self._places.listed(folder))
        return self._lists[folder]


class _Names:
    """The file names in a combo's list."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def spelled(self, name: str) -> str | None:
        """The listed name of the same file, preferably in the same letter case, or None."""
        return self._by_slashes.get(same_name(name)) or self._by_case.get(same_name(name).casefold())

    def meant(self, name: str) -> str | None:
        """The listed name that matches a name without its suffix, its subfolder, or both; None if none does."""
        return self._by_end.get(same_name(name))

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


def _with_and_without_suffix(name: str) -> list[str]:
    extension = extension_of(name)
    return [name, name[: -len(extension)]] if extension in MODEL_EXTENSIONS else [name]
