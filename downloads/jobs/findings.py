"""Finds files for the models of a workflow: in lists on this computer, and by searches if the request wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...model_defs import ModelDef
from ..finding.candidate import Candidate
from ..finding.catalog import Catalog
from ..searching.search import Searches
from ..storage.file_presence import Presence
from ..storage.model_folders import Places
from ..workflow.disk_copies import Disk
from ..workflow.model_lookup import MISSING
from ..workflow.required_models import Need
from .prepared_models import prepared_models
from .source_choice import Choice, choose, found_choice


@dataclass(frozen=True)
class Wanted:
    """What a request wants done about models without a known URL.

    Attributes:
        search: whether model hosts are searched.
        accept: whether what is found is used without asking, where only one file can be meant.
    """

    search: bool = False
    accept: bool = False


@dataclass(frozen=True)
class Findings:
    """What was found for each of the needs of a workflow, in their order.

    Attributes:
        choices: the source of each, None if the person must be asked.
        candidates: the files that may be each of them, the likeliest first.
        search: a report of the search, None if there was none.
    """

    choices: list[Choice | None]
    candidates: list[list[Candidate]]
    search: dict[str, Any] | None = None


class Finder:
    """Finds the sources of models.

    Args:
        catalog: the lists on this computer.
        searches: searches model hosts.
        places: the model folders.
        presence: checks existing files.
    """

    def __init__(self, catalog: Catalog, searches: Searches, places: Places, presence: Presence) -> None:
        self._catalog = catalog
        self._searches = searches
        self._places = places
        self._presence = presence

    async def of(
        self,
        workflow: Any,
        needs: Sequence[Need],
        table: Mapping[str, ModelDef | str],
        saved: Mapping[str, ModelDef | str],
        wanted: Wanted,
    ) -> Findings:
        """What is found for a workflow's needs. Only those missing on the disk are searched for.

        Raises:
            UiapiError: as `Needs.read`, or `shutting_down`.
        """
        candidates = await self._catalog.of(workflow, needs)
        choices = [choose(need, table, saved, found) for need, found in zip(needs, candidates, strict=True)]
        lacking = [
            number
            for number, need in enumerate(needs)
            if choices[number] is None and not candidates[number] and need.reason is None
        ]
        if wanted.search:
            disk = Disk(self._places, self._presence)
            states = await prepared_models([(needs[number], None) for number in lacking], disk, self._presence)
            lacking = [
                number
                for number, state in zip(lacking, states, strict=True)
                if state.choice is None and state.located.state == MISSING
            ]
        search = await self._searches.find([needs[number] for number in lacking]) if wanted.search else None
        for number in lacking:
            found = self._searches.known(needs[number])
            candidates[number] = [*found.candidates]
            if wanted.accept and found.certain:
                choices[number] = found_choice(needs[number], found.candidates[0])
        return Findings(choices, candidates, search)

    async def search(self, needs: Sequence[Need]) -> dict[str, Any]:
        """Search for models on behalf of the person: what was found for each, and a report. UiapiError as `of`."""
        report = await self._searches.find(needs)
        found = [[one.to_dict() for one in self._searches.known(need).candidates] for need in needs]
        return {"models": [{"candidates": candidates} for candidates in found], "search": report}
