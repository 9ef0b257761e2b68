"""The commands of the panel, which only the person at a connected tab can use."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..policy.approvals import DECIDED, Rule
from ..protocol.command_spec import Kind, Request, Risk, command
from ..tabs.tab import WebuiManager


class Watch(Request):
    """Whether the panel is open."""

    on: bool = True


class Decide(Request):
    """What the person has decided; what is left out stays."""

    paused: bool | None = None
    rules: dict[Kind, Rule] | None = None


class Forget(Request):
    """Whose answers to forget."""

    program: str = Field(max_length=200)


class MakeMain(Request):
    """Which tab is to be the main one."""

    main: int


@command("panel_watch", risk=Risk.READ, kind=Kind.TALK, panel=True)
async def panel_watch(call: Call, request: Watch) -> dict[str, Any]:
    """Begin or end to be told of programs; answers the whole log."""
    panel = call.bridge.panel
    if request.on:
        return panel.watch(_person(call))
    panel.leave(_person(call))
    return {"entries": [], "programs": []}


@command("panel_decide", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_decide(call: Call, request: Decide) -> dict[str, Any]:
    """Pause or release programs, or set the rule for a kind of command."""
    rules = {kind: rule for kind, rule in (request.rules or {}).items() if kind in DECIDED}
    await call.bridge.approvals.decide(paused=request.paused, rules=rules)
    return call.bridge.panel.state()


@command("panel_forget", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_forget(call: Call, request: Forget) -> dict[str, Any]:
    """Ask again about a program."""
    call.bridge.approvals.forget(program=request.program)
    return call.bridge.panel.state()


@command("panel_main", risk=Risk.DRIVE, kind=Kind.TALK, panel=True, errors=["unknown_webui"])
async def panel_main(call: Call, request: MakeMain) -> dict[str, Any]:
    """Make a tab the main one, which programs mean when they name none."""
    call.bridge.webuis.make_main(request.main)
    call.bridge.panel.changed()
    return call.bridge.panel.state()


def _person(call: Call) -> WebuiManager:
    if call.caller.tab is None:
        raise UiapiError("unknown_command", "Only the person at an open tab can do this.")
    return call.caller.tab
