"""Commands about ComfyUI's node types, validation and queue."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import uuid4

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..comfyui.api_prompts import is_api_node, left_out, unknown_needed, without_idle
from ..comfyui.node_catalog import node_info as describe_node
from ..protocol.command_spec import TAB_COMMAND_CODES, Kind, Request, Risk, command
from ..protocol.lazy_types import LazyModule
from .fields import FILES

schemas = LazyModule("..protocol.schemas", __package__)

log = logging.getLogger("uiapi")


class SearchNodes(Request):
    """The conditions for node types, all of which must match."""

    subjects = ("query",)
    query: str = Field("", max_length=500, description="Words in its name, title, category or description.")
    category: str = Field("", max_length=200, description='Such as "image" or "sampling/custom_sampling".')
    input_type: str = Field("", max_length=200, description='The type of an input, such as "IMAGE".')
    output_type: str = Field("", max_length=200, description="The type of an output.")
    limit: int = Field(50, ge=1, le=1000)


class NodeInfo(Request):
    """The node type."""

    subjects = ("type",)
    type: str = Field(min_length=1, max_length=500)


class Validate(Request):
    """The workflow in API format; default: the open one."""

    needs_api = True

    workflow: dict[str, Any] | None = Field(None, description=f"In API format. {FILES}")


class Interrupt(Request):
    """The run to stop; default: the running one."""

    prompt_id: str | None = None


class QueueCancel(Request):
    """The prompts to remove from the queue."""

    prompt_ids: list[str] = Field(min_length=1, max_length=1000)


@command("search_nodes", response=schemas.NodeTypes, risk=Risk.READ)
async def search_nodes(call: Call, request: SearchNodes) -> dict[str, Any]:
    """Find node types by words, category, and input and output types."""
    comfy = call.bridge.comfy
    found = await asyncio.to_thread(
        call.bridge.catalogue.search,
        comfy.node_classes,
        comfy.node_titles,
        query=request.query,
        category=request.category,
        takes=request.input_type,
        gives=request.output_type,
    )
    return {"nodes": [kind.brief() for kind in found[: request.limit]], "total": len(found)}


@command("node_info", response=schemas.NodeTypeInfo, errors=["unknown_node_type", "execution_failed"], risk=Risk.READ)
async def node_info(call: Call, request: NodeInfo) -> dict[str, Any]:
    """Describe a node type in full: its inputs with defaults, ranges and choices, and its outputs."""
    comfy = call.bridge.comfy
    node_class = comfy.node_classes.get(request.type)
    if node_class is None:
        near = await asyncio.to_thread(
            call.bridge.catalogue.search, comfy.node_classes, comfy.node_titles, query=request.type
        )
        raise UiapiError(
            "unknown_node_type",
            f"ComfyUI has no node type {request.type!r}; find one with search_nodes.",
            {"nearest": [kind.name for kind in near[:10]]},
        )
    title = comfy.node_titles.get(request.type, request.type)
    try:
        return await asyncio.to_thread(describe_node, request.type, node_class, title)
    except Exception as error:  # A custom node's class may raise anything; this is not an internal error.
        log.warning("The node type %s cannot be described.", request.type, exc_info=True)
        raise UiapiError(
            "execution_failed",
            f"The node type {request.type!r} failed to describe itself; update or remove its package.",
            {"type": request.type, "message": str(error), "exception_type": type(error).__name__},
        ) from None


@command("validate", response=schemas.Validated, errors=TAB_COMMAND_CODES, risk=Risk.READ)
async def validate(call: Call, request: Validate) -> dict[str, Any]:
    """Validate a workflow in ComfyUI; returns errors by node, and missing node types."""
    prompt = request.workflow
    if prompt is None:
        prompt = (await call.tab("get_workflow_api"))["output"]
    wrong = [node_id for node_id, node in prompt.items() if not is_api_node(node)]
    if wrong:
        raise UiapiError("invalid", f"Node {wrong[0]} is not in API format; send the workflow in API format.")
    comfy = call.bridge.comfy
    runs, idle = without_idle(prompt, comfy.node_classes)
    types = {node["class_type"] for node in runs.values() if node.get("class_type") is not None}
    findings = {"missing_node_types": sorted(types - set(comfy.node_classes)), "warnings": left_out(prompt, idle)}
    unknown = unknown_needed(runs)
    if unknown is not None:
        error = {"type": "unknown_node_type", "message": unknown.message, "details": "", "extra_info": {}}
        return {"valid": False, "error": error, "node_errors": {}, **findings}
    valid, error, node_errors = await comfy.validate(uuid4().hex, runs)
    return {"valid": valid, "error": error, "node_errors": node_errors, **findings}


@command("queue", response=schemas.QueueContents, risk=Risk.READ, method="GET")
async def queue(call: Call, request: Request) -> dict[str, Any]:
    """List the running and the waiting prompts of ComfyUI's queue."""
    running, waiting = call.bridge.comfy.queued()
    return {"running": running, "waiting": waiting}


@command("queue_cancel", response=schemas.Cancelled, risk=Risk.DRIVE, kind=Kind.RUN)
async def queue_cancel(call: Call, request: QueueCancel) -> dict[str, Any]:
    """Remove waiting prompts from ComfyUI's queue."""
    cancelled = [prompt_id for prompt_id in request.prompt_ids if call.bridge.comfy.cancel(prompt_id)]
    return {"cancelled": cancelled, "not_waiting": [item for item in request.prompt_ids if item not in cancelled]}


@command("queue_clear", response=schemas.Cancelled, risk=Risk.DRIVE, kind=Kind.RUN)
async def queue_clear(call: Call, request: Request) -> dict[str, Any]:
    """Remove all waiting prompts from ComfyUI's queue; the running one goes on."""
    _, waiting = call.bridge.comfy.queued()
    call.bridge.comfy.clear_queue()
    return {"cancelled": [item["prompt_id"] for item in waiting]}


@command("interrupt", response=schemas.Interrupted, errors=["conflict"], risk=Risk.DRIVE, kind=Kind.RUN)
async def interrupt(call: Call, request: Interrupt) -> dict[str, Any]:
    """Stop the running prompt, or only the given one if it is running."""
    running, _ = call.bridge.comfy.queued()
    ids = [item["prompt_id"] for item in running]
    if request.prompt_id is not None and request.prompt_id not in ids:
        raise UiapiError(
            "conflict",
            "That prompt is not running; if it is waiting, remove it from the queue with queue_cancel.",
            {"running": ids},
        )
    if ids:
        call.bridge.comfy.interrupt()
    return {"interrupted": ids}
