"""What only the person at an open tab does about downloads: give a host's token, allow a host, try an address."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field

from ...bridge.app.dispatch import Call
from ...bridge.protocol.command_spec import Kind, Request, Risk, command
from .commands import room
from .schemas import PlannedModel

# Where the hosts' own clients, and ours, look for a token first.
VARIABLES = {"huggingface": "HF_TOKEN", "civitai": "CIVITAI_API_TOKEN"}


class HostToken(Request):
    """A token and whose it is."""

    host: Literal["huggingface", "civitai"]
    token: str = Field(min_length=1, max_length=500, pattern=r"^[!-~]+$")


class AllowHost(Request):
    """A host by its name."""

    host: str = Field(min_length=1, max_length=253)


class Address(Request):
    """Where a model may be had."""

    subjects = ("name",)
    name: str = Field(min_length=1, max_length=500)
    directory: str | None = None
    url: str = Field(min_length=1, max_length=4000)


@command("panel_check_address", response=PlannedModel, risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, timeout=60.0)
async def panel_check_address(call: Call, request: Address) -> dict[str, Any]:
    """Say what would come of fetching a model from an address, as it is typed; nothing is kept."""
    return await room(call).look_at(request.name, request.directory, request.url)


@command("panel_host_token", risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True)
async def panel_host_token(call: Call, request: HostToken) -> dict[str, Any]:
    """Use this token with its host until ComfyUI stops; it is written nowhere."""
    os.environ[VARIABLES[request.host]] = request.token
    return {"host": request.host}


@command("panel_allow_host", risk=Risk.WRITE_DISK, kind=Kind.TALK, panel=True, errors={"host_refused"})
async def panel_allow_host(call: Call, request: AllowHost) -> dict[str, Any]:
    """Let models come from this host, over https from a public address, until ComfyUI stops."""
    room(call).guard.allow(request.host)
    return {"host": request.host}
