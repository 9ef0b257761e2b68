"""The panel's commands about downloads: set a host's token, allow a host, check a URL, search for models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import Kind, Risk, command
from ...bridge.protocol.lazy_types import LazyModule
from .commands import downloads_of, schemas

if TYPE_CHECKING:
    from .requests import Address, AllowHost, FindModels, HostToken, ModelFolders

requests = LazyModule(".requests", __package__)

# The variables in which a host's own client, and this one, look for a token first.
VARIABLES = {"huggingface": "HF_TOKEN", "civitai": "CIVITAI_API_TOKEN"}


@command("panel_model_folders", response=schemas.ModelFolders, risk=Risk.READ, kind=Kind.TALK, panel=True)
async def panel_model_folders(call: Call, request: ModelFolders) -> dict[str, Any]:
    """List the model directories of this ComfyUI, and those that each of some models probably belongs to."""
    # Imported at first use: ComfyUI waits for every extension to import, and this file is imported at startup.
    from ..finding.likely_folders import likely_folders

    folders = sorted(downloads_of(call).places.folders())
    return {"folders": folders, "likely": [likely_folders(one.name, one.fields, folders) for one in request.models]}


@command(
    "panel_check_address", response=schemas.PlannedModel, risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, timeout=60.0
)
async def panel_check_address(call: Call, request: Address) -> dict[str, Any]:
    """Report what downloading a model from a URL would do, while it is typed; nothing is saved."""
    return await downloads_of(call).look_at(request.name, request.directory, request.url)


@command(
    "panel_find_models", response=schemas.FoundModels, risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, timeout=60.0
)
async def panel_find_models(call: Call, request: FindModels) -> dict[str, Any]:
    """Search Hugging Face and CivitAI for models, on behalf of the person; nothing is downloaded or saved."""
    return await downloads_of(call).search([(one.name, one.directory, one.sha256) for one in request.models])


@command("panel_host_token", risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True)
async def panel_host_token(call: Call, request: HostToken) -> dict[str, Any]:
    """Use this token with its host until ComfyUI stops; it is never written to disk."""
    os.environ[VARIABLES[request.host]] = request.token
    return {"host": request.host}


@command("panel_allow_host", risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, errors={"host_refused"})
async def panel_allow_host(call: Call, request: AllowHost) -> dict[str, Any]:
    """Allow downloads from this host, over https from a public address, until ComfyUI stops."""
    downloads_of(call).guard.allow(request.host)
    return {"host": request.host}
