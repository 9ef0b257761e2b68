"""The feed of the panel in the connected tabs: the state for all of them, the log for those whose panel is open.

The state is small and sent whenever it changes, for refused commands at most every REFUSALS_EVERY seconds. New entries
of the log and the programs are sent every SEND_EVERY seconds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from ...common.version import VERSION
from ..comfyui.adapter import Comfy
from ..policy.activity_log import Activity, Entry
from ..policy.approvals import Approvals
from ..policy.web_apps import WebApps
from ..protocol.codec import encode_event
from ..sweeps.registry import Sweeps
from ..tabs.registry import Webuis
from ..tabs.tab import WebuiManager

# Seconds between two updates of the log, and between two updates of rates while nothing else happens.
SEND_EVERY = 0.1
RATES_EVERY = 1.0
# Seconds between two checks whether unattended runs have ended.
LOOK_EVERY = 0.5
# Seconds between two updates of the state because commands were refused.
REFUSALS_EVERY = 1.0


class Shown(Protocol):
    """The part of the bridge that the panel shows."""

    comfy: Comfy
    webuis: Webuis
    activity: Activity
    approvals: Approvals
    web_apps: WebApps
    sweeps: Sweeps
    closing: bool


class Panel:
    """Sends the state and the log to the tabs.

    Args:
        bridge: the state to show; read at each update.
    """

    def __init__(self, bridge: Shown) -> None:
        self._bridge = bridge
        self._watching: set[WebuiManager] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._refusals: asyncio.TimerHandle | None = None
        # The commands that the pause or a rule refused since ComfyUI started, without those by an answer to a question.
        self._refused = 0
        self._last_refused: dict[str, str] | None = None
        self._fast = False

    # -- the state, to all ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state that every panel shows: rules, pause, connected tabs, the main tab, runs and sweeps."""
        bridge = self._bridge
        return {
            **bridge.approvals.state(),
            **bridge.web_apps.state(),
            "version": VERSION,
            "refusals": {"count": self._refused, "last": self._last_refused},
            "main_webui_id": bridge.webuis.main_id,
            "webuis": [bridge.webuis.describe(manager) for manager in bridge.webuis.connected()],
            "runs": bridge.activity.running(),
            "sweeps": bridge.sweeps.shown(),
        }

    def changed(self) -> None:
        """Send the state to every tab in the next turn of the loop."""
        if self._soon is None and not self._bridge.closing:
            self._soon = asyncio.get_running_loop().call_soon(self._send_all)

    def refused(self, entry: Entry, code: str) -> None:
        """Send the state soon because a command was refused; cheap, since a program may try again and again."""
        self._refused += 1
        self._last_refused = {"program": entry.program, "kind": entry.kind.value, "code": code}
        if self._refusals is None and not self._bridge.closing:
            self._refusals = asyncio.get_running_loop().call_later(REFUSALS_EVERY, self._send_refusals)

    def _send_refusals(self) -> None:
        self._refusals = None
        self.changed()

    def send_state(self, manager: WebuiManager) -> None:
        """Send the state to one tab."""
        self._send([manager], "panel_state", self.state())

    def _send_all(self) -> None:
        self._soon = None
        self._look()
        self._send(self._bridge.webuis.connected(), "panel_state", self.state())

    def _look(self) -> None:
        """Check which unattended runs have ended, and check again later while any goes on."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        activity = self._bridge.activity
        activity.drop_ended(self._bridge.comfy.queued_ids)
        if activity.unattended():
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    # -- the log, to those who watch --------------------------------------------------------------------------

    def watch(self, manager: WebuiManager) -> dict[str, Any]:
        """Send this tab new entries of the log from now on; returns the whole log."""
        # New entries up to now are sent to the other tabs and are part of this answer.
        self._flush()
        self._watching.add(manager)
        self.stir()
        return self._bridge.activity.everything()

    def leave(self, manager: WebuiManager) -> None:
        """Stop sending the log to this tab."""
        self._watching.discard(manager)

    def stir(self) -> None:
        """Send new entries of the log soon; cheap while no panel is open or an update is already scheduled."""
        if self._watching and not self._fast:
            self._fast = True
            self._arm(SEND_EVERY)

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
        """Send an event to several tabs, encoded once for all of them."""
        frame = encode_event(event, data)
        for manager in managers:
            if "panel" in manager.capabilities and manager.transport is not None:
                manager.transport.send_event(frame)

    def close(self) -> None:
        """Stop sending."""
        self._watching.clear()
        for handle in (self._timer, self._soon, self._looking, self._refusals):
            if handle is not None:
                handle.cancel()
