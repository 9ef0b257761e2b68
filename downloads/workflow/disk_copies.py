"""Looks for missing models on the disk: in other subfolders, in other folders, and under other names.

A unique file of a missing model's name is proposed for the widgets; several different ones are for the person to
choose from. Files in other folders, and those with a similar name, are only reported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher

from ..storage.file_presence import Presence
from ..storage.model_folders import MAX_PART, Places, local_name
from .mentions import UNKNOWN_NODE, Use
from .model_lookup import CHOOSE, MISSING, RELINK, Copy, Found, Located, Lookup, Names, file_name
from .required_models import Need

log = logging.getLogger("uiapi")

# Files of one model that are looked at; a name that more files share says nothing about them.
MOST_COPIES = 16
# Similar names of one model, and how similar they are at least.
MOST_SIMILAR = 5
SIMILARITY = 0.9
# The work that comparing names may take for one request, in units of some 10 µs.
MOST_COMPARING = 30_000
# Seconds for the digests of files of equal size, without which the person chooses.
COMPARE_TIMEOUT = 20.0

# A model, and its ComfyUI directory and digest if the workflow gives none.
Wanted = tuple[Need, str | None, str | None]

# File names that many different models have.
_SHARED_BY_MANY = re.compile(
    r"(diffusion_|open_clip_)?(pytorch_)?(adapter_)?(model|lora_weights)([._-](fp16|bf16|fp32))?(-\d+-of-\d+)?"
)


class Disk:
    """What the disk has of the models of one request. It lists each folder only once.

    Args:
        places: ComfyUI's folders.
        presence: checks existing files.
    """

    def __init__(self, places: Places, presence: Presence) -> None:
        self._places = places
        self._presence = presence
        self._lookup = Lookup(places)
        self._left = MOST_COMPARING

    def find(self, need: Need, directory: str | None = None, sha256: str | None = None) -> Located:
        """Look up a model under its name, and everywhere else if it is missing.

        It blocks on the disk, and the cached digests must be loaded.

        Args:
            directory: its ComfyUI directory if the workflow gives none.
            sha256: its digest if the workflow gives none.
        """
        located = self._lookup.of(need, directory)
        if located.state != MISSING:
            return located
        sha256, directory = sha256 or need.sha256, need.directory or directory
        copies: dict[str, Copy] = {}
        uses = [
            self._of_use(use, sha256, copies) if found.state == MISSING else found
            for use, found in zip(need.uses, located.uses, strict=True)
        ]
        for copy in self._elsewhere(need.name, directory, sha256):
            copies.setdefault(copy.path, copy)
        located = replace(located, uses=uses, copies=tuple(copies.values())[:MOST_COPIES])
        state = _state(need, uses)
        if state == MISSING:
            return replace(located, similar=tuple(self._similar(need, directory)))
        one = next((use for use in uses if use.state == RELINK), None) if state == RELINK else None
        return replace(located, state=state, path=one.path if one else None, listed=one.listed if one else None)

    async def find_all(self, wanted: list[Wanted], *, compare: bool = False) -> list[Located]:
        """What `find` returns for each model.

        Args:
            compare: whether to compare files of equal size by their digests where one of them is to be chosen.
        """
        await self._presence.hashes.load()
        found = await asyncio.to_thread(lambda: [self.find(*one) for one in wanted])
        unsure = [path for located in found for path in _unsure(located)] if compare else []
        if not unsure:
            return found
        try:
            await asyncio.wait_for(self._presence.learn(unsure), COMPARE_TIMEOUT)
        except asyncio.TimeoutError:
            # What was computed so far is cached.
            log.debug("Files of equal size could not be compared in time.")
        pairs = [*zip(wanted, found, strict=True)]
        return await asyncio.to_thread(lambda: [self.find(*one) if _unsure(was) else was for one, was in pairs])

    def names(self, use: Use) -> Names | None:
        """The names that a widget lists; None if unknown, or if it holds more than the name or cannot be set."""
        # The page saves a node whose type is not installed unchanged, whatever its widgets hold.
        if use.widget is None or use.is_part or use.named_in == UNKNOWN_NODE:
            return None
        if use.choices is not None:
            return Names(use.choices)
        return self._lookup.names(use.folder) if use.folder is not None else None

    def _of_use(self, use: Use, sha256: str | None, copies: dict[str, Copy]) -> Found:
        """What a widget lists in place of a missing name; the files are added to `copies` by path."""
        names = self.names(use)
        if names is None:
            return Found(MISSING)
        found = [*self._copies(use.folder, names, use.value, sha256, here=True)]
        copies.update((copy.path, copy) for copy in found)
        usable = [copy for copy in found if copy.damage is None]
        same = [copy for copy in usable if sha256 is not None and copy.sha256 == sha256]
        if not same and _SHARED_BY_MANY.fullmatch(_stem(use.value)):
            return Found(MISSING)
        different = _different(same or usable)
        if len(different) == 1:
            return Found(RELINK, different[0].path, different[0].name)
        return Found(CHOOSE if different else MISSING)

    def _copies(self, folder: str | None, names: Names, name: str, sha256: str | None, *, here: bool) -> Iterator[Copy]:
        """The files of that name among the names of a folder, then those with that digest."""
        listed = dict.fromkeys(names.of_file(name)[:MOST_COPIES], "name")
        if sha256 is not None and folder is not None:
            for path in self._presence.hashes.paths_of(sha256):
                for root in self._places.roots(folder):
                    relative = os.path.relpath(path, root) if path.startswith(os.path.join(root, "")) else None
                    if relative is not None and relative in names:
                        listed.setdefault(relative, "digest")
        for one, match in listed.items():
            copy = self._copy(folder, one, sha256, match, here=here)
            if copy is not None and (match == "name" or copy.sha256 == sha256):
                yield copy

    def _copy(self, folder: str | None, name: str, sha256: str | None, match: str, *, here: bool) -> Copy | None:
        found = self._places.find_anywhere(name) if folder is None else (folder, self._places.find(folder, name))
        if found is None or found[1] is None:
            return None
        try:
            stat = os.stat(found[1])
        except OSError:
            return None
        damage = self._presence.look(found[1], sha256)
        known = self._presence.hashes.known(found[1], stat)
        why = damage.message if damage is not None else None
        return Copy(found[0], name, found[1], stat.st_size, stat.st_mtime, known, match, here, why)

    def _elsewhere(self, name: str, directory: str | None, sha256: str | None) -> Iterator[Copy]:
        own = self._places.folder(directory) if directory is not None else None
        folders = self._places.folders()
        for folder in sorted(folders, key=lambda folder: folder != own):
            yield from self._copies(folder, self._lookup.names(folder), name, sha256, here=False)

    def _similar(self, need: Need, directory: str | None) -> Iterator[str]:
        """The most similar names that ComfyUI lists in a model's folder."""
        lists = [self.names(use) for use in need.uses]
        names = next((names for names in lists if names is not None), None)
        if names is None and directory is not None:
            names = self._lookup.names(directory)
        close = sorted(self._alike(_stem(need.name), names or ()), reverse=True)
        yield from (name for _, name in close[:MOST_SIMILAR])

    def _alike(self, wanted: str, names: Iterable[str]) -> Iterator[tuple[float, str]]:
        if len(wanted) > MAX_PART:
            return
        matcher = SequenceMatcher(None, autojunk=False)
        matcher.set_seq2(wanted)
        for name in names:
            if self._left <= 0:
                return
            # A name that cannot be one of a model's cannot be relinked to.
            if local_name(name) is None:
                continue
            stem = _stem(name)
            matcher.set_seq1(stem)
            if matcher.real_quick_ratio() < SIMILARITY:
                continue
            self._left -= 1
            if matcher.quick_ratio() < SIMILARITY:
                continue
            self._left -= 10 + len(stem) * len(wanted) // 100
            ratio = matcher.ratio()
            if ratio >= SIMILARITY:
                yield ratio, name


def _unsure(located: Located) -> list[str]:
    """The files to choose from whose digest might show that they are identical."""
    alike = [copy for copy in located.copies if copy.here and copy.damage is None]
    sizes = [copy.size for copy in alike]
    unsure = [copy.path for copy in alike if copy.sha256 is None and sizes.count(copy.size) > 1]
    return unsure if located.state == CHOOSE else []


def _state(need: Need, uses: list[Found]) -> str:
    """The state of a model that is missing by its name, by what was found for its uses."""
    pairs = [*zip(need.uses, uses, strict=True)]
    active = [pair for pair in pairs if pair[0].reason is None] or pairs
    # The widgets of nodes whose type is not installed list nothing.
    states = {found.state for use, found in active if use.named_in != UNKNOWN_NODE}
    if not states & {RELINK, CHOOSE} or MISSING in states:
        return MISSING
    return CHOOSE if CHOOSE in states else RELINK


def _different(copies: list[Copy]) -> list[Copy]:
    """The first of each group of identical files."""
    kept: list[Copy] = []
    for copy in copies:
        if not any(_identical(copy, other) for other in kept):
            kept.append(copy)
    return kept


def _identical(one: Copy, other: Copy) -> bool:
    if one.sha256 is not None and one.sha256 == other.sha256:
        return True
    try:
        return os.path.samefile(one.path, other.path)
    except OSError:
        return False


def _stem(name: str) -> str:
    return os.path.splitext(file_name(name))[0].casefold()
