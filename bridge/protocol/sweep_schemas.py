"""The responses of the commands about sweeps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from .schemas import Answer, OutputFile, OutputText, Written


class SetField(Written):
    """The result of one write of a variation."""

    path: str


class SweepError(Answer):
    """Why a variation has no result."""

    code: str
    message: str = Field(description="One sentence that says what to do.")
    details: dict[str, Any] | None = None


class Variation(Answer):
    """One prompt of a sweep."""

    index: int
    variation: int = Field(description="The index of the variation; the same for all its seeds.")
    repeat: int = Field(description="Which of the prompts of this variation it is, from 0; see `seeds`.")
    fields: list[SetField]
    warnings: list[str]
    error: SweepError | None


class SweepResult(Variation):
    """The result of one prompt of a sweep."""

    prompt_id: str | None = Field(description="Null if it was never queued.")
    status: Literal["success", "error", "cancelled"]
    files: list[OutputFile | OutputText] = Field(description="The files and texts it made, as in `outputs` of a run.")
    execution_time: float | None = Field(None, description="Seconds that ComfyUI took.")


class Swept(Answer):
    """The state of a sweep, and results of it."""

    sweep_id: str
    total: int = Field(description="How many prompts it has: variations times seeds.")
    done: int = Field(description="How many have succeeded.")
    failed: int
    cancelled: int
    exported: int = Field(
        description="How many the page has exported; once that is all, the tab is not needed any more."
    )
    status: Literal["running", "finished", "failed", "cancelled"] = Field(
        description='"failed" if an error ended it early, or the page could not export everything.'
    )
    results: list[SweepResult] = Field(description="In order, up to the first that has not ended or has no room.")
    next: int | None = Field(description="The index with which sweep_status goes on; null if all were returned.")
    warnings: list[str]


class ExportedPrompt(Variation):
    """One prompt, which was not queued."""

    prompt: dict[str, Any] | None = Field(description="API format; null if there is an error.")
    workflow: dict[str, Any] | None = Field(description="UI format, for the metadata of the files.")


class ExportedPrompts(Answer):
    """Prompts of variations, in order."""

    prompts: list[ExportedPrompt]
    total: int = Field(description="How many there are: variations times seeds.")
    next: int | None = Field(description="The value of `first` for the following ones; null if there are none.")


class TabPrompt(Answer):
    """One prompt as the page returns it: whole, or as its differences from the last that is whole."""

    fields: list[Any] | None = None
    warnings: list[str] | None = None
    error: dict[str, Any] | None = None
    texts: list[str] | None = None
    changes: list[list[int | str]] | None = Field(None, description="Each [index, text].")


class TabPrompts(Answer):
    """The page's answer."""

    prompts: list[TabPrompt]
    stopped: dict[str, Any] | None = Field(None, description="Why there are no more.")
