"""Finds candidates for missing models without a network: in the workflow, and in lists that are on this computer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..storage.model_folders import same_name
from ..workflow.required_models import Need
from .candidate import Candidate

# The links of a workflow's notes, by the file name at their end.
NoteLinks = Mapping[str, Sequence[str]]


class Catalog:
    """Finds candidates without a network."""

    async def warm(self) -> None:
        """Read the lists on a thread, unless they have been read since they last changed."""

    def candidates(self, need: Need, workflow_notes: NoteLinks) -> list[Candidate]:
        """The candidates for a need in the order of their origins, the likeliest of each origin first.

        Uses no disk: only lists that were read by `warm` are used.

        Args:
            workflow_notes: the links of the workflow's notes.
        """
        name = same_name(need.name).rpartition("/")[2]
        return [_recorded(need, name, url) for url in need.urls]


def _recorded(need: Need, name: str, url: str) -> Candidate:
    why = "The workflow names this URL for the model."
    return Candidate(name, url, "workflow", why, directory=need.directory, sha256=need.sha256)
