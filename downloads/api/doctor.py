"""The command that reports what a workflow lacks before it can run, and what to do about each thing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...bridge.app.dispatch import Call
from ...bridge.commands.missing_nodes import MissingNodes, MissingNodeType, missing_nodes
from ...bridge.protocol.command_spec import TAB_COMMAND_CODES, Kind, Risk, command
from ...bridge.protocol.schemas import Answer
from . import schemas
from .commands import PLAN_TIMEOUT, downloads_of, wanted_by, workflow_of
from .diagnosis import Circumstances, diagnosis
from .requests import Search
from .schemas import Disk, PlannedModel


class Doctor(Search):
    """The workflow to examine."""

    def kinds(self) -> frozenset[Kind]:
        """It sends requests to the models' hosts, as a download does."""
        return frozenset({Kind.DOWNLOAD})


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
    search: schemas.Search | None = Field(description="What a search took, if the request wanted one.")
    left: int = Field(description="How many things remain after them that need a person.")


@command(
    "doctor",
    response=Diagnosis,
    risk=Risk.WRITE_DISK,
    kind=Kind.READ,
    timeout=PLAN_TIMEOUT,
    errors={"too_large", "storage_failed"} | TAB_COMMAND_CODES,
)
async def doctor(call: Call, request: Doctor) -> dict[str, Any]:
    """Report what a workflow lacks before it can run, with the one next step for each; nothing is changed."""
    workflow = await workflow_of(call, request)
    nodes = await missing_nodes(call, MissingNodes.model_validate({"workflow": workflow}))
    plan = await downloads_of(call).plan(workflow, {}, wanted=wanted_by(request))

    def may(kind: Kind) -> bool:
        # A command of the person at a tab needs no approval.
        return call.caller.tab is not None or call.bridge.approvals.allows(kind, call.caller.program)

    around = Circumstances(
        is_open=request.workflow is None,
        may_change=may(Kind.CHANGE),
        may_download=may(Kind.DOWNLOAD),
        accepts=request.accept,
    )
    return diagnosis(nodes["types"], plan, around)
