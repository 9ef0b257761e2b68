"""What a Dask task of a farm receives: one prompt, and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Input:
    """An input file that a prompt names.

    Attributes:
        node_id, name: the node and its input.
        file: the name under which it is uploaded, which begins with the digest of its content.
    """

    node_id: str
    name: str
    file: str


@dataclass(frozen=True)
class Job:
    """One prompt.

    Attributes:
        sweep_id: shared by all prompts of a sweep.
        index: the number of the variation.
        prompt_id: its ID in whichever ComfyUI runs it.
        prompt: the workflow in API format.
        workflow: the workflow in UI format, for the metadata of its files.
        inputs: the files that it names.
        fetch: whether the contents of its files are returned.
        shared: the folder where they are written instead.
    """

    sweep_id: str
    index: int
    prompt_id: str
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None = None
    inputs: tuple[Input, ...] = field(default=())
    fetch: bool = True
    shared: str | None = None
