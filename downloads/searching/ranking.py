"""Ranks the candidates that a search found for a model, and decides whether one of them can be taken unasked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..finding.candidate import Candidate
from ..finding.publishers import is_well_known
from ..finding.shortlist import is_generic
from ..workflow.required_models import Need

# Candidates that are reported for a model.
MOST_CANDIDATES = 10
# Folders of ComfyUI that hold the same kind of model.
_ALIKE = {"unet": "diffusion_models", "clip": "text_encoders", "unet_gguf": "diffusion_models", "lora": "loras"} | {
    "clip_gguf": "text_encoders",
    "checkpoint": "checkpoints",
}
# Base models by the words of a name or folder, and of CivitAI's names for them.
_BASES = (
    re.compile(r"\b(sdxl|xl|pony|illustrious|noobai)", re.IGNORECASE),
    re.compile(r"\b(sd|v)\s?1\s?\.?\s?[45]", re.IGNORECASE),
    re.compile(r"\b(sd|v)\s?2(\s?\.?\s?[01])?\b", re.IGNORECASE),
    re.compile(r"\bsd\s?3", re.IGNORECASE),
    re.compile(r"\bflux", re.IGNORECASE),
    re.compile(r"\bwan", re.IGNORECASE),
    re.compile(r"\bqwen", re.IGNORECASE),
    re.compile(r"\bhunyuan", re.IGNORECASE),
    re.compile(r"\bltx", re.IGNORECASE),
)


@dataclass(frozen=True)
class Found:
    """The candidates that a search found for a model, the likeliest first."""

    candidates: tuple[Candidate, ...] = ()
    # Whether the first may be taken without asking the person.
    certain: bool = False


def ranked(need: Need, candidates: Iterable[Candidate]) -> Found:
    """The candidates by digest, directory, organisation and downloads, each digest once."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: _rank(need, one)):
        differs = need.sha256 is not None and candidate.sha256 is not None and candidate.sha256 != need.sha256.lower()
        again = any(_is_same(candidate, other) for other in kept)
        if not differs and not again:
            kept.append(candidate)
    return Found(tuple(kept[:MOST_CANDIDATES]), bool(kept) and _is_certain(need, kept))


def fit(need: Need, directory: str | None) -> int:
    """How a candidate's directory fits that of a need: 2 if equal, 1 if either is unknown, 0 if it is another one."""
    if need.directory is None or directory is None:
        return 1
    return 2 if alike(need.directory) == alike(directory) else 0


def alike(directory: str) -> str:
    """The directory under the name that stands for all of its kind."""
    return _ALIKE.get(directory.lower(), directory.lower())


def is_published(need: Need, candidate: Candidate) -> bool:
    """Whether a well-known organisation publishes a candidate for just the directory of a need."""
    known = is_well_known(_owner(candidate)) and candidate.sha256 is not None
    return known and need.directory is not None and fit(need, candidate.directory) == 2


def _is_certain(need: Need, kept: list[Candidate]) -> bool:
    first = kept[0]
    if _has_digest(need, first):
        return True
    others = [one for one in kept[1:] if fit(need, one.directory) > 0 or first.sha256 is None]
    return not others and fit(need, first.directory) > 0 and not is_generic(need.name)


def _rank(need: Need, candidate: Candidate) -> tuple[bool, int, bool, bool, bool, int, str]:
    """A key that sorts the likeliest candidate first."""
    return (
        not _has_digest(need, candidate),
        -fit(need, candidate.directory),
        not _fits_base(need, candidate),
        candidate.gated is True,
        not is_well_known(_owner(candidate)),
        -(candidate.downloads or 0),
        candidate.url,
    )


def _has_digest(need: Need, candidate: Candidate) -> bool:
    by_hash = candidate.origin == "civitai_hash"
    return by_hash or (need.sha256 is not None and candidate.sha256 == need.sha256.lower())


def _is_same(one: Candidate, other: Candidate) -> bool:
    return one.url == other.url or (one.sha256 is not None and one.sha256 == other.sha256)


def _fits_base(need: Need, candidate: Candidate) -> bool:
    """Whether a candidate is for the base model that a need's name or folder mentions, as far as both are known."""
    if candidate.base_model is None:
        return True
    wanted = _bases(need.name.replace("_", " ").replace("-", " "))
    offered = _bases(candidate.base_model.replace("-", " "))
    return not wanted or not offered or not wanted.isdisjoint(offered)


def _bases(text: str) -> set[int]:
    return {number for number, pattern in enumerate(_BASES) if pattern.search(text)}


def _owner(candidate: Candidate) -> str:
    """The owner of a candidate's repository on Hugging Face; empty for other origins."""
    if candidate.origin != "huggingface":
        return ""
    return candidate.url.partition("://")[2].partition("/")[2].partition("/")[0]
