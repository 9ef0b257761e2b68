"""The command that lists the missing nodes of a workflow, and the question about node types that it asks the page."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..protocol.command_spec import TAB_COMMAND_CODES, Request, Risk, command, tab_command
from ..protocol.lazy_types import LazyModule

schemas = LazyModule("..protocol.missing_node_schemas", __package__)

# Without the page's answer, a node type that only its scripts have is listed as missing.
UNASKED = frozenset({"no_webui", "tab_failed", "timeout", "client_disconnected"})
# Node types in one answer.
MAX_TYPES = 1000
# Seconds the page may take.
PAGE_TIMEOUT = 5.0


class MissingNodes(Request):
    """The workflow; default: the open one."""

    workflow: dict[str, Any] | None = Field(None, description="In UI or API format.")


class PageTypes(Request):
    """The node types to look up."""

    types: list[str] = Field(max_length=MAX_TYPES)


tab_command(
    "page_types",
    "Return those of some node types that the page makes without ComfyUI.",
    request=PageTypes,
    response=schemas.KnownTypes,
    risk=Risk.READ,
    route=False,
)


@command("missing_nodes", response=schemas.MissingNodeTypes, risk=Risk.READ, errors={"too_large"} | TAB_COMMAND_CODES)
async def missing_nodes(call: Call, request: MissingNodes) -> dict[str, Any]:
    """List the node types of a workflow that ComfyUI does not have, and the packs that have them."""
    # Imported at first use, since ComfyUI waits for every extension to import.
    from ..comfyui.missing_nodes import described, missing_types

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
