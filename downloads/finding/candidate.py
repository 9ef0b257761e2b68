"""A place where a missing model can be downloaded from, with the reason it was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..common.error_report import plain
from ..sources.resolver import clean

# Where a candidate was found: in the model record of a node, in a note of the workflow, in the official templates, in
# ComfyUI-Manager's list of models, in the table of well-known files, or by a search.
Origin = Literal["workflow", "note", "templates", "manager", "known", "civitai_hash", "huggingface", "civitai"]


@dataclass(frozen=True)
class Candidate:
    """A file that may be a missing model: its name, or its digest, is exactly that of the model.

    Attributes:
        name: the file's name, without a subfolder.
        url: where it can be downloaded.
        origin: where it was found.
        why: why it is a candidate, as one sentence for the person.
        directory: the ComfyUI directory it belongs to, None if unknown.
        size: bytes.
        sha256: lower-case hexadecimal digest.
        gated: whether its host asks for an account that accepted the licence.
        licence: the name of its licence.
        date: when it was published, as an ISO date.
        downloads: how often it was downloaded.
        base_model: the model it is made for, such as "SDXL 1.0".
    """

    name: str
    url: str
    origin: Origin
    why: str
    directory: str | None = None
    size: int | None = None
    sha256: str | None = None
    gated: bool | None = None
    licence: str | None = None
    date: str | None = None
    downloads: int | None = None
    base_model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The candidate as plan_downloads returns it."""
        shown = {key: plain(value) if isinstance(value, str) else value for key, value in asdict(self).items()}
        return {**shown, "url": clean(self.url)}
