"""The response of the command doctor."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...bridge.protocol.missing_node_schemas import MissingNodeType
from ...bridge.protocol.schemas import Answer
from .schemas import Disk, PlannedModel, Search


class Fix(Answer):
    """A command that needs no person; with a workflow in the request, send download_models the same workflow."""

    command: Literal["relink_models", "download_models"]
    data: dict[str, Any]


class LackingModel(PlannedModel):
    """A model that the workflow names, with its state."""

    state: Literal["present", "not_needed", "relink", "choose", "found", "unknown", "damaged", "gated", "blocked"] = (
        Field(description="relink: present under another name; found: a source is known; unknown: none is.")
    )
    next: str | None = Field(description="The next step, as one sentence; null if it is present or not needed.")
    fix: Fix | None = Field(description="The command for this step; null if a person is needed.")


class LackingNodeType(MissingNodeType):
    """A node type that ComfyUI does not have."""

    next: str = Field(description="The next step, as one sentence.")
    fix: None = Field(description="Packs are installed by a person only.")


class CheckedDisk(Disk):
    """Space on one disk, in bytes."""

    next: str | None = Field(description="What to do if it lacks space.")


class Diagnosis(Answer):
    """What a workflow lacks."""

    ready: bool = Field(description="Whether no node type and no model is missing.")
    nodes: list[LackingNodeType] = Field(description="At most 1000.")
    models: list[LackingModel]
    disks: list[CheckedDisk] = Field(description="The disks that downloads would be written to.")
    fixes: list[Fix] = Field(description="The commands that carry out the fixes of all models.")
    search: Search | None = Field(description="What a search took, if the request wanted one.")
    left: int = Field(description="How many things remain after them that need a person.")
