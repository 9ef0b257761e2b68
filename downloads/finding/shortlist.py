"""Orders the candidates for a missing model, says what speaks for and against each, and whether there is a choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..storage.model_folders import same_name
from ..workflow.required_models import Need
from .addresses import file_url, is_civitai, owner_of
from .candidate import Candidate, Origin
from .publishers import is_well_known

# The origins in the order in which they are tried.
ORIGINS: tuple[Origin, ...] = (
    *("workflow", "note", "templates", "manager", "known"),
    *("civitai_hash", "huggingface", "civitai"),
)
# The origins that a download uses without the person's word; a note may be about another version of the file.
TRUSTED = frozenset({"templates", "manager", "known"})

# The most candidates for one model; more are no help to anybody.
MOST = 25
# Names that many repositories give to different files.
_GENERIC = re.compile(
    r"(?i)((diffusion_)?pytorch_model|model|pytorch_lora_weights|adapter_model|ip-adapter|lora|vae|unet|decoder|encoder"
    r"|text_encoder|controlnet|transformer)([._-](fp16|fp32|bf16|fp8|\d{5}-of-\d{5}))*\.\w+"
)
_WORD = re.compile(r"[a-z0-9]+")


def base_name(name: str) -> str:
    """A model's name without its subfolder."""
    return same_name(name).rpartition("/")[2]


def is_generic(name: str) -> bool:
    """Whether many repositories have different files of that name."""
    return _GENERIC.fullmatch(base_name(name)) is not None


def ranked(need: Need, candidates: Sequence[Candidate], same_folder: Callable[[str], str]) -> list[Candidate]:
    """The candidates for a need, the likeliest first, each URL once in a directory.

    Args:
        same_folder: returns the current name of a directory that may be given by an older name.
    """
    name = base_name(need.name)
    views = sorted((_View(one, need, name, same_folder) for one in candidates), key=lambda view: view.order)
    exact = {view.candidate.directory for view in views if view.is_named}
    kept: list[_View] = []
    for view in views:
        one = view.candidate
        # A list that gives a file by another name is wrong if it has a file of the very name.
        if not view.is_named and one.origin != "workflow" and one.directory in exact:
            continue
        copy = next((index for index, other in enumerate(kept) if _same_file(one, other.candidate)), None)
        if copy is not None:
            kept[copy] = replace(kept[copy], candidate=_merged(kept[copy].candidate, one))
        elif len(kept) < MOST:
            kept.append(view)
    return [view.explained() for view in kept]


def only_one(need: Need, candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that a download may use by itself, or None if there is a choice, or no trusted one.

    As everywhere, the first origin that knows the file decides.

    Args:
        candidates: those for the need, as `ranked` returns them.
    """
    if is_generic(need.name):
        return None
    fitting = [one for one in candidates if one.directory is None or need.directory in (None, one.directory)]
    first = min((ORIGINS.index(one.origin) for one in fitting), default=None)
    deciding = [one for one in fitting if ORIGINS.index(one.origin) == first]
    if len(deciding) != 1 or deciding[0].origin not in TRUSTED:
        return None
    return deciding[0] if deciding[0].directory is not None else None


@dataclass(frozen=True)
class _View:
    """A candidate in relation to a need, whose file's name is `name`."""

    candidate: Candidate
    need: Need
    name: str
    same_folder: Callable[[str], str]

    @cached_property
    def is_named(self) -> bool:
        """Whether the URL ends in the file's name, or its host does not show it."""
        url = file_url(self.candidate.url)
        return url is not None and (url.name == self.name or is_civitai(url))

    @cached_property
    def differs(self) -> bool:
        """Whether it is for another directory than the workflow needs it in."""
        own, needed = self.candidate.directory, self.need.directory
        return own is not None and needed is not None and self.same_folder(own) != self.same_folder(needed)

    @property
    def words(self) -> int:
        """How many words of the model's subfolder the URL contains; these distinguish files of the same name."""
        url = self.candidate.url.lower().removesuffix(self.name.lower())
        folder = same_name(self.need.name).rpartition("/")[0].lower()
        return sum(word in url for word in _WORD.findall(folder))

    @property
    def order(self) -> tuple[bool, int, bool, int, bool]:
        """What it is sorted by: its directory, its origin, its name, its subfolder and its publisher."""
        rank = ORIGINS.index(self.candidate.origin)
        return self.differs, rank, not self.is_named, -self.words, not self.is_official

    @property
    def is_official(self) -> bool:
        """Whether a well-known publisher has it."""
        return is_well_known(owner_of(self.candidate.url))

    def explained(self) -> Candidate:
        """The candidate with what else there is to know about it, and its directory as the workflow names it."""
        clauses = []
        one = self.candidate
        if one.directory is not None and self.need.directory is not None and not self.differs:
            one = replace(one, directory=self.need.directory)
        if self.differs:
            clauses.append(f"but for {self.candidate.directory} instead of {self.need.directory}")
        if not self.is_named:
            clauses.append("where the file has another name")
        if is_generic(self.name):
            clauses.append("but many repositories have another file of this name")
        if not clauses:
            return one
        return replace(one, why=f"{one.why.rstrip('.')}, {', '.join(clauses)}.")


def _same_file(one: Candidate, other: Candidate) -> bool:
    """Whether two candidates are one file; a note does not say which directory a file is for."""
    return one.url == other.url and (None in (one.directory, other.directory) or one.directory == other.directory)


def _merged(first: Candidate, other: Candidate) -> Candidate:
    """One candidate of two for the same file; a list confirms what a note says."""
    origin, why = (other.origin, other.why) if first.origin == "note" else (first.origin, first.why)
    return replace(
        first,
        origin=origin,
        why=why,
        directory=first.directory or other.directory,
        size=first.size if first.size is not None else other.size,
        sha256=first.sha256 or other.sha256,
        base_model=first.base_model or other.base_model,
    )
