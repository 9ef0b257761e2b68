"""The panel's commands about downloads: set a host's token, allow a host, check a URL, search for models."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import Kind, Request, Risk, Strict, command
from .commands import downloads_of, schemas

# The variables in which a host's own client, and this one, look for a token first.
VARIABLES = {"huggingface": "HF_TOKEN", "civitai": "CIVITAI_API_TOKEN"}


# Models that are searched for at a time.
MOST_SOUGHT = 200


class HostToken(Request):
    """A token and its host."""

    host: Literal["huggingface", "civitai"]
    token: str = Field(min_length=1, max_length=500, pattern=r"^[!-~]+$")


class AllowHost(Request):
    """The name of a host."""

    host: str = Field(min_length=1, max_length=253)


class Address(Request):
    """A URL to check for a model."""

    subjects = ("name",)
    name: str = Field(min_length=1, max_length=500)
    directory: str | None = None
    url: str = Field(min_length=1, max_length=4000)


class Sought(Strict):
    """A model to search for."""

    name: str = Field(min_length=1, max_length=1000)
    directory: str | None = Field(None, max_length=200)
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")


class FindModels(Request):
    """Models to search for at their hosts."""

    models: list[Sought] = Field(min_length=1, max_length=MOST_SOUGHT)


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
