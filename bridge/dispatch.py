"""How a command runs: found, checked, carried out here or in the tab, and answered, whichever way it came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .commands import COMMANDS, STEERING_KEYS, Command, Request, Risk
from .errors import UiapiError
from .manager import WebuiManager
from .snapshots import READABLE, Snapshot

if TYPE_CHECKING:
    from .hub import Bridge


# What a request may demand of the graph it meets, and the capability of a page that checks it.
CONDITIONS = {"if_revision": "revisions", "workflow_tab": "tabs"}


@dataclass(frozen=True)
class Caller:
    """Who asks.

    A caller on a websocket can be told things: `emit(event, data)` sends an event that belongs to this
    request, and `subscriptions` holds, by request id, what ends each of its subscriptions.
    """

    name: str
    agent: str = ""
    request_id: str = ""
    emit: Callable[[str, dict[str, Any]], None] | None = None
    subscriptions: dict[str, Callable[[], None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One command being carried out, handed to its handler."""

    bridge: Bridge
    command: Command
    caller: Caller
    request: Request
    # What the tab said beside its answers: the graph's revision and the workflow tab; answered beside the status.
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def timeout(self) -> float:
        """Seconds this call may wait for the tab."""
        return self.request.timeout or self.command.timeout

    def webui(self) -> WebuiManager:
        """The tab this call addresses. UiapiError `no_webui` or `unknown_webui`."""
        return self.bridge.webuis.find(self.request.webui, wait=self.request.wait_for_webui)

    async def tab(self, name: str, data: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        """Have the addressed tab carry out command `name`; its answer has the declared form."""
        try:
            webui = self.webui()
        except UiapiError as error:
            snapshot = self.snapshot()
            if error.code != "no_webui" or snapshot is None or name not in READABLE:
                raise
            self.told.update(stale=True, snapshot_time=snapshot.taken)
            return snapshot.answer(name, data or {})
        pending = webui.open(name, data or {}, timeout or self.timeout)
        pending.conditions = self._conditions(webui)
        answer = await webui.ask(pending)
        self.told.update(pending.told)
        return COMMANDS[name].check_answer(answer)

    def snapshot(self) -> Snapshot | None:
        """What the last main tab told, if this caller takes that in place of an open one."""
        return self.bridge.webuis.last_snapshot if self.request.allow_stale else None

    def _conditions(self, webui: WebuiManager) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        for key, capability in CONDITIONS.items():
            # What follows a command's first step goes to the workflow tab that step was carried out in.
            value = self.told.get(key) if self.told else getattr(self.request, key)
            if value is not None:
                # A tab that is still to come cannot be at a revision that somebody has read, so none is waited for.
                if capability not in webui.capabilities:
                    raise UiapiError("invalid", f"No open page can check {key}; reload the page or leave {key} out.")
                conditions[key] = value
        if "watch" in webui.capabilities:
            conditions["by"] = self.caller.name
        return conditions

    def data(self) -> dict[str, Any]:
        """What the caller sent, without the keys that only steer the bridge."""
        return self.request.model_dump(exclude_unset=True, exclude=STEERING_KEYS, by_alias=True)  # type: ignore[arg-type]


async def dispatch(bridge: Bridge, command: Command, data: Any, caller: Caller) -> dict[str, Any]:
    """Carry out a command and answer its envelope; a refusal or failure is raised as UiapiError."""
    request = command.parse(data)
    call = Call(bridge, command, caller, request)
    if request.idempotency_key is not None and command.risk is not Risk.READ:
        return await bridge.repeats.once(request.idempotency_key, command.name, data, lambda: _carry_out(call))
    return await _carry_out(call)


async def _carry_out(call: Call) -> dict[str, Any]:
    command = call.command
    if command.handler is None:
        answer = await call.tab(command.name, call.data())
    else:
        answer = await command.handler(call, call.request)
    if command.flat:
        return {"status": "ok", **call.told, **answer}
    return {"status": "ok", "response": answer, **call.told}


def find_command(name: str) -> Command:
    """The command callers may use by that name; UiapiError `unknown_command`."""
    command = COMMANDS.get(name)
    if command is None or not command.route:
        raise UiapiError(
            "unknown_command",
            f"There is no command {name[:80]!r}; the README lists the commands.",
        )
    return command
