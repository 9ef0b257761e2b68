"""The result of one variation of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.errors import UiapiError, refusal
from ..common.notices import warnings_in
from ..common.results import OutputFile, Outputs, OutputText, outputs_of


@dataclass
class SweepItem(Outputs):
    """The result of one variation.

    Attributes:
        index: the number of the variation, from 0.
        fields: {path: value} that the variation was run with.
        status: "success", or how it ended otherwise, such as "error" or "interrupted".
        error: why it has no result, or why its files could not be fetched; None if all is well.
        files: all output files, in the order of the nodes.
        texts: all text outputs.
        prompt_id: its ID in ComfyUI; None if it was never queued.
        warnings: about its fields and its prompt.
        repeat: which of several runs with the same fields it is, from 0.
    """

    index: int
    fields: dict[str, Any]
    status: str = "success"
    error: UiapiError | None = None
    files: list[OutputFile] = field(default_factory=list)
    texts: list[OutputText] = field(default_factory=list)
    prompt_id: str | None = None
    warnings: list[str] = field(default_factory=list)
    repeat: int = 0


def item_of(result: Mapping[str, Any]) -> SweepItem:
    """Returns the item in the server's response."""
    files, texts = outputs_of(result.get("files"))
    fields = result.get("fields") or []
    written = {str(one.get("path")): one.get("value") for one in fields}
    about = {str(one.get("path")): {"warnings": one.get("warnings")} for one in fields}
    return SweepItem(
        int(result["index"]),
        written,
        str(result.get("status")),
        error_of(result.get("error")),
        files,
        texts,
        result.get("prompt_id"),
        [*warnings_in(about), *(str(warning) for warning in result.get("warnings") or ())],
        result.get("repeat") or 0,
    )


def error_of(error: Any) -> UiapiError | None:
    """Returns the error in a result, or None."""
    if not isinstance(error, Mapping):
        return None
    return refusal({**error, "error": error.get("error") or error.get("message")})
