"""The commands about workflow templates, which say as well which models a template lacks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import TAB_COMMAND_CODES, Kind, Risk, command
from ...bridge.protocol.lazy_types import LazyModule
from .commands import downloads_of

if TYPE_CHECKING:
    from ..finding.template_list import Template
    from .requests import ListTemplates, OpenTemplate

requests = LazyModule(".requests", __package__)
schemas = LazyModule(".template_schemas", __package__)


@command("list_templates", response=schemas.Templates, risk=Risk.READ)
async def list_templates(call: Call, request: ListTemplates) -> dict[str, Any]:
    """List the workflow templates that the page offers: the official ones, and examples of node packs."""
    # Imported at first use, since ComfyUI waits for every extension to import.
    from ..finding.template_list import matching

    found = matching(await asyncio.to_thread(_all, call), request.query)
    return {"templates": [template.brief() for template in found[: request.limit]], "total": len(found)}


@command(
    "open_template",
    response=schemas.Opened,
    errors={"unknown_template", "too_large"} | TAB_COMMAND_CODES,
    risk=Risk.DRIVE,
    kind=Kind.LOAD,
    flat=True,
)
async def open_template(call: Call, request: OpenTemplate) -> dict[str, Any]:
    """Open a workflow template in a new workflow tab; returns as well which of its models are missing."""
    from ..finding.template_list import named, workflow_of

    call.webui()
    template = named(await asyncio.to_thread(_all, call), request.name, request.pack)
    workflow = await asyncio.to_thread(workflow_of, template)
    needed = await downloads_of(call).analysis.describe(workflow)
    missing = [
        {key: model[key] for key in ("name", "directory", "url")}
        for model in needed
        if model["needed"] and model["state"] == "missing"
    ]
    answer: dict[str, Any] = await call.tab("load_workflow", {"workflow": workflow, "name": template.name})
    return {**answer, "missing_models": missing}


def _all(call: Call) -> list[Template]:
    from ..finding.template_list import templates_in
    from ..finding.templates import template_folders

    return templates_in([folder for _, folder in template_folders()], call.bridge.comfy.pack_roots())
