"""Chooses the source of a model: the request's table, the saved URLs, the workflow's own URLs, then what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...common.errors import UiapiError
from ...model_defs import ModelDef, as_kept
from ..finding.candidate import Candidate
from ..finding.shortlist import only_one
from ..sources.resolver import clean
from ..storage.model_folders import same_name
from ..workflow.required_models import Need

# A value of a download table or of the saved map: a URL, or a model definition as a dict.
Entry = str | Mapping[str, Any]


# The origins that say which very file a workflow needs; those of other choices know it by its name only.
_PRECISE = frozenset({"request", "saved", "workflow", "person"})


@dataclass(frozen=True)
class Choice:
    """The chosen source of a model.

    Attributes:
        model: its sources.
        directory: its directory, None if unknown.
        origin: where the source is from: request, saved, workflow, disk, person, or the origin of a candidate.
        sha256: the digest the file must have, if its origin gives one.
        key: its name in the table or the map.
        why: why it is the model's, for one that was found.
    """

    model: ModelDef
    directory: str | None
    origin: str
    sha256: str | None = None
    key: str = ""
    why: str = ""

    @property
    def is_precise(self) -> bool:
        """Whether a file that is present must be as the choice says; otherwise one of the same name will do."""
        return self.origin in _PRECISE


def choose(
    need: Need,
    table: Mapping[str, ModelDef | str],
    saved: Mapping[str, ModelDef | str],
    candidates: Sequence[Candidate] = (),
) -> Choice | None:
    """The source with the highest precedence, or None if the person must be asked.

    Args:
        candidates: what was found for the need, the likeliest first; one is used only if there is no choice.
    """
    for origin, entries in (("request", table), ("saved", saved)):
        for key in _keys(need):
            entry = entries.get(key)
            if entry is not None:
                return chosen(need, entry, origin, key)
    if need.urls:
        return Choice(ModelDef(url=need.urls[0]), need.directory, "workflow", need.sha256)
    only = only_one(need, candidates)
    return None if only is None else found_choice(need, only)


def found_choice(need: Need, found: Candidate) -> Choice:
    """The choice of a file that was found for a need."""
    sha256 = need.sha256 or found.sha256
    return Choice(ModelDef(url=found.url), need.directory or found.directory, found.origin, sha256, why=found.why)


def chosen(need: Need, entry: ModelDef | str, origin: str, key: str = "") -> Choice:
    """The choice of a given source for a need."""
    if isinstance(entry, str):
        return Choice(ModelDef(url=entry), need.directory, origin, key=key)
    return Choice(entry, need.directory or entry.ckpt_type, origin, entry.sha256, key)


def wanted_sha256(need: Need, choice: Choice | None) -> str | None:
    """The digest that a file which is present must have, None if unknown."""
    return choice.sha256 if choice is not None and choice.is_precise and choice.sha256 else need.sha256


def read_table(table: Mapping[str, Entry]) -> dict[str, ModelDef | str]:
    """A table with its dicts parsed as model definitions. UiapiError `invalid` names the invalid entry."""
    read: dict[str, ModelDef | str] = {}
    for name, entry in table.items():
        try:
            read[same_name(name)] = entry if isinstance(entry, str) else ModelDef.from_dict(entry)
        except UiapiError as error:
            raise UiapiError(error.code, f"{name}: {error.message}", error.details) from None
    return read


def read_saved(saved: Mapping[str, Entry]) -> dict[str, ModelDef | str]:
    """The saved map with its dicts parsed; invalid entries, as from manual edits, are skipped."""
    read: dict[str, ModelDef | str] = {}
    for name, entry in saved.items():
        try:
            read.update(read_table({name: entry}))
        except UiapiError:
            continue
    return read


def cleaned(model: ModelDef) -> dict[str, Any]:
    """A definition that is safe to save: without credentials in its URLs."""
    return _cleaned(model.to_dict())


def cleaned_entry(entry: Entry) -> str | dict[str, Any]:
    """An entry of the URL map that is safe to save and return."""
    return clean(entry) if isinstance(entry, str) else _cleaned(entry)


def _cleaned(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: clean(value) if isinstance(value, str) else value for key, value in as_kept(data).items()}


def unused(table: Iterable[str], choices: Iterable[Choice | None]) -> list[str]:
    """The names in a table that no need uses."""
    used = {choice.key for choice in choices if choice is not None and choice.origin == "request"}
    return sorted(set(table) - used)


def _keys(need: Need) -> list[str]:
    """The keys under which a need may be listed, the most specific first."""
    name = same_name(need.name)
    base = name.rpartition("/")[2]
    folders = [f"{need.directory}/{name}"] if need.directory else []
    return [*folders, name, *([base] if base != name else [])]
