"""The panel in the open tabs: what they are told of programs, and the commands that only the person there may use.

Every tab that can show it hears the state (small, told whenever it changes); the log and the programs are told to
those that have their panel open, at most TELL_EVERY.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...common.errors import UiapiError
from ..policy.approvals import DECIDED, Rule
from ..protocol.command_spec import Kind, Request, Risk, command
from ..protocol.websocket_connection import encode_event
from ..tabs.websocket_transport import SocketTransport
from .dispatch import Call

if TYPE_CHECKING:
    from ..tabs.tab import WebuiManager
    from .bridge import Bridge

# Seconds between two tellings of what is new, and between two of how rates fall while nothing else happens.
TELL_EVERY = 0.1
RATES_EVERY = 1.0
# Seconds between two looks at whether a run that nobody waits for goes on.
LOOK_EVERY = 0.5


class Panel:
    """Tells the tabs.

    Args:
        bridge: whose tabs, log and rules these are.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._watching: set[WebuiManager] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._fast = False

    # -- the state, to all ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What every panel shows: rules and pause, the open tabs and the main one, programs' runs."""
        bridge = self._bridge
        return {
            **bridge.approvals.told(),
            "main_webui_id": bridge.webuis.main_id,
            "webuis": [bridge.webuis.describe(manager) for manager in bridge.webuis.connected()],
            "runs": bridge.activity.running(),
        }

    def changed(self) -> None:
        """Tell every tab the state, once this turn of the loop is over."""
        if self._soon is None and not self._bridge.closing:
            self._soon = asyncio.get_running_loop().call_soon(self._tell_all)

    def tell(self, manager: WebuiManager) -> None:
        """Tell one tab the state."""
        self._send([manager], "panel_state", self.state())

    def _tell_all(self) -> None:
        self._soon = None
        self._look()
        self._send(self._bridge.webuis.connected(), "panel_state", self.state())

    def _look(self) -> None:
        """See which runs that nobody waits for have ended, as long as there are any."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        activity = self._bridge.activity
        activity.drop_ended(self._bridge.comfy.queued_ids)
        if activity.unattended():
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    # -- the log, to those who watch --------------------------------------------------------------------------

    def watch(self, manager: WebuiManager) -> dict[str, Any]:
        """From now on tell this tab what is new in the log; answers all of it."""
        # What is new up to now is the others' news and part of the answer.
        self._flush()
        self._watching.add(manager)
        self.stir()
        return self._bridge.activity.everything()

    def leave(self, manager: WebuiManager) -> None:
        """Tell this tab no more."""
        self._watching.discard(manager)

    def stir(self) -> None:
        """There is something new in the log; costs next to nothing while nobody watches or it is about to be told."""
        if self._watching and not self._fast:
            self._fast = True
            self._arm(TELL_EVERY)

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fast = None, False
        news = self._bridge.activity.news()
        self._send(self._watching, "activity", news)
        if self._watching and self._bridge.activity.busy():
            self._arm(RATES_EVERY)

    def _send(self, managers: Iterable[WebuiManager], event: str, data: dict[str, Any]) -> None:
        """Encoded once for all: with many tabs, each would otherwise cost as much as there are tabs."""
        text = encode_event(event, data)
        for manager in managers:
            if "panel" in manager.capabilities and isinstance(manager.transport, SocketTransport):
                manager.transport.send_encoded(text)

    def close(self) -> None:
        """Tell nothing more."""
        self._watching.clear()
        for handle in (self._timer, self._soon, self._looking):
            if handle is not None:
                handle.cancel()


# -- what the person at a tab may ask -----------------------------------------------------------------------


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
