"""The command that reports what a workflow lacks before it can run, and what to do about each thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...bridge.app.dispatch import Call
from ...bridge.commands.missing_nodes import MissingNodes, missing_nodes
from ...bridge.protocol.command_spec import TAB_COMMAND_CODES, Kind, Risk, command
from ...bridge.protocol.lazy_types import LazyModule
from .commands import PLAN_TIMEOUT, downloads_of, wanted_by, workflow_of

if TYPE_CHECKING:
    from .requests import Doctor

requests = LazyModule(".requests", __package__)
schemas = LazyModule(".doctor_schemas", __package__)


@command(
    "doctor",
    response=schemas.Diagnosis,
    risk=Risk.WRITE_DISK,
    kind=Kind.READ,
    timeout=PLAN_TIMEOUT,
    errors={"too_large", "storage_failed"} | TAB_COMMAND_CODES,
)
async def doctor(call: Call, request: Doctor) -> dict[str, Any]:
    """Report what a workflow lacks before it can run, with the one next step for each; nothing is changed."""
    # Imported at first use, since ComfyUI waits for every extension to import.
    from .diagnosis import Circumstances, diagnosis

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
