"""Finds candidates for missing models without a network: in the workflow, and in lists that are on this computer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..storage.model_folders import Places
from ..workflow.required_models import Need
from .addresses import file_url
from .candidate import Candidate
from .known_models import TABLE, read_known
from .manager_list import list_file, read_list
from .note_links import NoteLink, NoteLinks, note_links
from .shortlist import base_name, ranked
from .templates import read_templates, template_folders

log = logging.getLogger("uiapi")

_Stamp = tuple[Any, ...]


class Catalog:
    """Finds candidates without a network.

    Args:
        folder_paths: ComfyUI's module, which says where custom nodes and the user's files are.
    """

    def __init__(self, folder_paths: Any) -> None:
        self._folder_paths = folder_paths
        self._places = Places(folder_paths)
        self._reading = asyncio.Lock()
        self._stamp: _Stamp | None = None
        self._by_name: dict[str, list[Candidate]] = {}

    async def warm(self) -> None:
        """Read the lists on a thread, unless they have not changed since they were read."""
        async with self._reading:
            await asyncio.to_thread(self._read)

    async def of(self, workflow: Any, needs: Sequence[Need]) -> list[list[Candidate]]:
        """The candidates for each of a workflow's needs. UiapiError as `Needs.read`."""
        await self.warm()
        return await asyncio.to_thread(self._of, workflow, needs)

    def _of(self, workflow: Any, needs: Sequence[Need]) -> list[list[Candidate]]:
        notes = note_links(workflow)
        return [self.candidates(need, notes) for need in needs]

    def candidates(self, need: Need, workflow_notes: NoteLinks) -> list[Candidate]:
        """The candidates for a need in the order of their origins, those for another directory last.

        Uses no disk: only lists that were read by `warm` are used.

        Args:
            workflow_notes: the links of the workflow's notes.
        """
        name = base_name(need.name)
        found = [_recorded(need, name, url) for url in need.urls]
        found += [_noted(name, link) for link in workflow_notes.get(name, ())]
        found += _without_copies(need, self._by_name.get(name, ()), self._places)
        return ranked(need, found, self._places.folder)

    def _read(self) -> None:
        began = time.perf_counter()
        folders, listed = template_folders(), list_file(self._folder_paths)
        lists = [listed] if listed is not None else []
        stamp = (
            *((version, folder, _changed(folder)) for version, folder in folders),
            *((path, _changed(path)) for path in (*lists, TABLE)),
        )
        if stamp == self._stamp:
            return
        found: dict[str, list[Candidate]] = {}
        self._add(found, (one for _, folder in folders for one in read_templates(folder)))
        self._add(found, (one for path in lists for one in read_list(path)))
        self._add(found, read_known(TABLE))
        self._by_name, self._stamp = found, stamp
        took = (time.perf_counter() - began) * 1000
        log.debug("The lists of models name %d files; they were read in %.0f ms.", len(found), took)

    def _add(self, found: dict[str, list[Candidate]], candidates: Iterable[Candidate]) -> None:
        for one in candidates:
            found.setdefault(one.name, []).append(one)


def _changed(path: Path) -> int | None:
    """When a file or a folder last changed, None if it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _recorded(need: Need, name: str, url: str) -> Candidate:
    why = "The workflow names this URL for the model."
    canonical = file_url(url)
    address = url if canonical is None else str(canonical)
    return Candidate(name, address, "workflow", why, directory=need.directory, sha256=need.sha256)


def _noted(name: str, link: NoteLink) -> Candidate:
    return Candidate(
        name, link.url, "note", f"The note #{link.node[:40]} in the workflow links to a file of this name."
    )


def _without_copies(need: Need, listed: Sequence[Candidate], places: Places) -> list[Candidate]:
    """The candidates of the lists; those of the shipped table only for what the lists it was made from do not have."""
    folders = {one.directory for one in listed if one.origin != "known"}
    return [one for one in listed if one.origin != "known" or one.directory not in folders]
