"""The command that lists the missing nodes of a workflow, and the question about node types that it asks the page."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..comfyui.missing_nodes import MAX_TYPES, described, missing_types
from ..protocol.command_spec import TAB_COMMAND_CODES, Request, Risk, command, tab_command
from ..protocol.schemas import Answer

# Without the page's answer, a node type that only its scripts have is listed as missing.
UNASKED = frozenset({"no_webui", "tab_failed", "timeout", "client_disconnected"})
# Seconds the page may take.
PAGE_TIMEOUT = 5.0


class MissingNodes(Request):
    """The workflow; default: the open one."""

    workflow: dict[str, Any] | None = Field(None, description="In UI or API format.")


class PageTypes(Request):
    """The node types to look up."""

    types: list[str] = Field(max_length=MAX_TYPES)


class KnownTypes(Answer):
    """Those of the types that the page makes without ComfyUI."""

    types: list[str]


class MissingNode(Answer):
    """A node of a missing type."""

    id: str = Field(description='Inside a subgraph such as "12:3".')
    title: str | None


class NodePack(Answer):
    """A pack that has a missing type."""

    id: str | None = Field(description="Its id in the registry of ComfyUI's packs, if known.")
    title: str
    repository: str | None = Field(description="Its URL.")
    version: str | None = Field(description="The version that the workflow was made with.")
    origin: Literal["workflow", "manager"] = Field(description="Where its name comes from.")
    state: Literal["missing", "loaded", "failed", "disabled", "not_loaded"] = Field(
        description="Whether it is installed; one that failed to import has an error."
    )
    error: str | None


class MissingNodeType(Answer):
    """A node type that ComfyUI does not have."""

    type: str | None = Field(description="null if the workflow does not name it.")
    count: int = Field(description="The number of its nodes.")
    nodes: list[MissingNode] = Field(description="Its nodes, at most 100.")
    packs: list[NodePack] = Field(description="The packs that have it, the likeliest first.")
    how: str = Field(description="One sentence that says how to get it.")


class MissingNodeTypes(Answer):
    """What a workflow lacks."""

    types: list[MissingNodeType]
    total: int = Field(description="The number of missing types, of which at most 1000 are listed.")
    manager: Literal["tasks", "batch", "queue"] | None = Field(
        description="The kind of routes with which ComfyUI-Manager installs packs; null if it is not running."
    )
    page_asked: bool = Field(
        description="False if no page could say which of the types it makes itself; these are then listed as well."
    )


tab_command(
    "page_types",
    "Return those of some node types that the page makes without ComfyUI.",
    request=PageTypes,
    response=KnownTypes,
    risk=Risk.READ,
    route=False,
)


@command("missing_nodes", response=MissingNodeTypes, risk=Risk.READ, errors={"too_large"} | TAB_COMMAND_CODES)
async def missing_nodes(call: Call, request: MissingNodes) -> dict[str, Any]:
    """List the node types of a workflow that ComfyUI does not have, and the packs that have them."""
    workflow = request.workflow
    if workflow is None:
        workflow = (await call.tab("get_workflow"))["workflow"]
    bridge = call.bridge
    missing = await asyncio.to_thread(missing_types, workflow, bridge.comfy.node_classes.keys())
    made = await _made_by_page(call, [one.type for one in missing if one.type is not None])
    missing = [one for one in missing if one.type not in (made or ())]
    api = bridge.packs.install_api()

    def describe() -> list[dict[str, Any]]:
        # Nothing is read for a workflow without missing nodes.
        if not missing:
            return []
        lists, installed = bridge.packs.lists(), bridge.packs.installed()
        return [described(one, lists, installed, manager=api is not None) for one in missing[:MAX_TYPES]]

    types = await asyncio.to_thread(describe)
    return {"types": types, "total": len(missing), "manager": api, "page_asked": made is not None}


async def _made_by_page(call: Call, types: list[str]) -> frozenset[str] | None:
    """Those of the types that the page makes itself; None if no page answers."""
    if not types:
        return frozenset()
    try:
        answer = await call.tab("page_types", {"types": types[:MAX_TYPES]}, min(call.timeout, PAGE_TIMEOUT))
    except UiapiError as error:
        if error.code not in UNASKED:
            raise
        return None
    return frozenset(answer["types"])
