"""The commands of the panel, which only the person at a connected tab can use."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..policy.origins import MAX_ORIGIN
from ..policy.rules import DECIDED, Rule
from ..policy.web_apps import Decision
from ..protocol.command_spec import Kind, Request, Risk, command
from ..tabs.tab import WebuiManager


class Watch(Request):
    """Whether the panel is open."""

    on: bool = True


class Decide(Request):
    """The person's decision; anything left out is unchanged."""

    paused: bool | None = None
    rules: dict[Kind, Rule] | None = None


class Forget(Request):
    """The program whose answers to forget."""

    program: str = Field(max_length=200)


class DecideWebApp(Request):
    """The person's decision about a web app; what is left out stays as it is."""

    origin: str = Field(max_length=MAX_ORIGIN)
    decision: Decision | None = None
    rules: dict[Kind, Rule] | None = None


class ForgetWebApp(Request):
    """The web app to forget."""

    origin: str = Field(max_length=MAX_ORIGIN)


class MakeMain(Request):
    """The new main tab."""

    main: int


@command("panel_watch", risk=Risk.READ, kind=Kind.TALK, panel=True)
async def panel_watch(call: Call, request: Watch) -> dict[str, Any]:
    """Start or stop receiving the log; returns the whole log."""
    panel = call.bridge.panel
    if request.on:
        return panel.watch(_person(call))
    panel.leave(_person(call))
    return {"entries": [], "programs": []}


@command("panel_decide", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_decide(call: Call, request: Decide) -> dict[str, Any]:
    """Pause or release programs, or set the rules for kinds of commands."""
    rules = {kind: rule for kind, rule in (request.rules or {}).items() if kind in DECIDED}
    await call.bridge.approvals.decide(paused=request.paused, rules=rules)
    return call.bridge.panel.state()


@command("panel_forget", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_forget(call: Call, request: Forget) -> dict[str, Any]:
    """Forget the person's answers about a program, so that they are asked again."""
    call.bridge.approvals.forget(program=request.program)
    return call.bridge.panel.state()


@command("panel_web_app", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_web_app(call: Call, request: DecideWebApp) -> dict[str, Any]:
    """Allow or refuse a web app, or set its rules."""
    bridge = call.bridge
    rules = {kind: rule for kind, rule in (request.rules or {}).items() if kind in DECIDED}
    if rules or request.decision is Decision.REFUSE:
        bridge.approvals.forget(program=request.origin)
    await bridge.web_apps.decide(request.origin, request.decision, rules)
    return bridge.panel.state()


@command("panel_forget_web_app", risk=Risk.DRIVE, kind=Kind.TALK, panel=True)
async def panel_forget_web_app(call: Call, request: ForgetWebApp) -> dict[str, Any]:
    """Forget a web app, so that the person is asked about it again."""
    call.bridge.approvals.forget(program=request.origin)
    await call.bridge.web_apps.forget(request.origin)
    return call.bridge.panel.state()


@command("panel_main", risk=Risk.DRIVE, kind=Kind.TALK, panel=True, errors=["unknown_webui"])
async def panel_main(call: Call, request: MakeMain) -> dict[str, Any]:
    """Make a tab the main one, which is used when a program names no tab."""
    call.bridge.webuis.make_main(request.main)
    call.bridge.panel.changed()
    return call.bridge.panel.state()


def _person(call: Call) -> WebuiManager:
    if call.caller.tab is None:
        raise UiapiError("unknown_command", "Only the person at an open tab can do this.")
    return call.caller.tab
