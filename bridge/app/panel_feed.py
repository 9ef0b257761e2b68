"""The feed of the panel in the connected tabs: the state for all of them, the log for those whose panel is open.

The state is small and sent whenever it changes. New entries of the log and the programs are sent every TELL_EVERY
seconds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from ..comfyui.adapter import Comfy
from ..policy.activity_log import Activity
from ..policy.approvals import Approvals
from ..protocol.codec import encode_event
from ..tabs.registry import Webuis
from ..tabs.tab import WebuiManager

# Seconds between two tellings of what is new, and between two of how rates fall while nothing else happens.
TELL_EVERY = 0.1
RATES_EVERY = 1.0
# Seconds between two looks at whether a run that nobody waits for goes on.
LOOK_EVERY = 0.5


class Shown(Protocol):
    """What the panel shows, which the bridge has."""

    comfy: Comfy
    webuis: Webuis
    activity: Activity
    approvals: Approvals
    closing: bool


class Panel:
    """Sends the state and the log to the tabs.

    Args:
        bridge: what is shown; read at each sending.
    """

    def __init__(self, bridge: Shown) -> None:
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
        frame = encode_event(event, data)
        for manager in managers:
            if "panel" in manager.capabilities and manager.transport is not None:
                manager.transport.send_event(frame)

    def close(self) -> None:
        """Tell nothing more."""
        self._watching.clear()
        for handle in (self._timer, self._soon, self._looking):
            if handle is not None:
                handle.cancel()
