"""The panel's commands about downloads: set a host's token, allow a host, check a URL."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import Kind, Request, Risk, command
from .commands import downloads_of
from .schemas import PlannedModel

# The variables in which a host's own client, and this one, look for a token first.
VARIABLES = {"huggingface": "HF_TOKEN", "civitai": "CIVITAI_API_TOKEN"}


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


@command("panel_check_address", response=PlannedModel, risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, timeout=60.0)
async def panel_check_address(call: Call, request: Address) -> dict[str, Any]:
    """Report what downloading a model from a URL would do, while it is typed; nothing is saved."""
    return await downloads_of(call).look_at(request.name, request.directory, request.url)


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
