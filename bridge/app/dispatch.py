"""How a command runs: found, checked, carried out here or in the tab, and answered, whichever way it came in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...common.errors import UiapiError, disconnected
from ..policy.activity_log import Entry
from ..protocol.command_spec import COMMANDS, STEERING_KEYS, Command, Kind, Preview, Request, Risk
from ..protocol.subscriptions import Subscriber
from ..tabs.graph_snapshot import READABLE, Snapshot
from ..tabs.tab import PendingRequest, WebuiManager

if TYPE_CHECKING:
    from .bridge import Bridge


# What needs nobody's leave.
TALK = frozenset({Kind.TALK})
# What a request may demand of the graph it meets, and the capability of a page that checks it.
CONDITIONS = {"if_revision": "revisions", "workflow_tab": "tabs"}


@dataclass(frozen=True)
class Caller:
    """Who asks: a program by the name it gives itself, or the person at an open tab.

    A caller on a websocket can be told things: `emit(event, data)` sends an event that belongs to this
    request, and `subscriptions` holds its subscriptions by request id. `asks` says whether the person may be asked
    for its sake, `local` whether it is certainly on this machine.
    """

    program: str = ""
    tab: WebuiManager | None = None
    agent: str = ""
    request_id: str = ""
    asks: bool = True
    local: bool = False
    emit: Callable[[str, dict[str, Any]], None] | None = None
    subscriptions: dict[str, Subscriber] = field(default_factory=dict)


class Call:
    """One command in progress, handed to its handler.

    Args:
        bridge: the bridge that carries it out.
        command: the command.
        caller: the program or tab that sent it.
        request: what the caller sent.
        entry: its entry in the person's log; None for the person's own commands and for Kind.TALK.
    """

    def __init__(
        self, bridge: Bridge, command: Command, caller: Caller, request: Request, entry: Entry | None = None
    ) -> None:
        self.bridge = bridge
        self.command = command
        self.caller = caller
        self.request = request
        self.entry = entry
        # The tab that answered the first step; the following steps go to the same one.
        self.answered_by: WebuiManager | None = None
        # The graph's revision and the workflow tab that the last answer was about, if the tab reports them.
        self.revision: str | None = None
        self.workflow_tab: str | None = None
        # When the snapshot was taken that was read instead of a tab; in seconds of Unix time.
        self.snapshot_time: float | None = None
        # The preview the person agreed to, if they were asked: that and nothing else is carried out.
        self.agreed: Preview | None = None

    @property
    def timeout(self) -> float:
        """Seconds this call may wait for the tab."""
        return self.request.timeout or self.command.timeout

    @property
    def may_ask(self) -> bool:
        """Whether the person may be asked because of this call."""
        return self.caller.asks

    def webui(self) -> WebuiManager:
        """The tab this call addresses.

        Raises UiapiError `no_webui`, `unknown_webui` or, after the first step, `client_disconnected`.
        """
        if self.answered_by is None:
            return self.bridge.webuis.find(self.request.webui, wait=self.request.wait_for_webui)
        if not self.answered_by.connected:
            raise disconnected()
        return self.answered_by

    async def tab(self, name: str, data: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        """Have the addressed tab carry out command `name`; its answer has the declared form."""
        try:
            webui = self.webui()
        except UiapiError as error:
            snapshot = self.snapshot()
            if error.code != "no_webui" or snapshot is None or name not in READABLE:
                raise
            self.snapshot_time = snapshot.taken
            return snapshot.answer(name, data or {})
        pending = webui.open(name, data or {}, timeout or self.timeout)
        pending.webui = self.request.webui
        self.prepare(webui, pending)
        answer = await webui.ask(pending)
        self.answered_by = pending.owner
        self.revision = pending.told.get("revision", self.revision)
        self.workflow_tab = pending.told.get("workflow_tab", self.workflow_tab)
        return COMMANDS[name].check_answer(answer)

    def facts(self) -> dict[str, Any]:
        """The keys that the envelope has because of the graph: its revision, its workflow tab, whether it is stale."""
        stale = self.snapshot_time is not None
        facts = {
            "revision": self.revision,
            "workflow_tab": self.workflow_tab,
            "stale": stale or None,
            "snapshot_time": self.snapshot_time,
        }
        return {key: value for key, value in facts.items() if value is not None}

    def prepare(self, webui: WebuiManager, pending: PendingRequest) -> None:
        """Have a tab told, beside the data, on what conditions it is asked and by whom."""
        pending.conditions = self._conditions(webui)
        if self.entry is not None:
            self.bridge.activity.sent(pending.request_id, self.entry)

    def snapshot(self) -> Snapshot | None:
        """What the last main tab told, if this caller takes that in place of an open one."""
        # It may be another tab's than the one that is named.
        named = self.request.webui is not None or self.request.workflow_tab is not None
        return self.bridge.webuis.last_snapshot if self.request.allow_stale and not named else None

    def _conditions(self, webui: WebuiManager) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        # The steps after the first go to the workflow tab in which that one was carried out.
        asked = {"workflow_tab": self.workflow_tab} if self.facts() else vars(self.request)
        for key, capability in CONDITIONS.items():
            value = asked.get(key)
            if value is not None:
                # A tab that is still to come cannot be at a revision that somebody has read, so none is waited for.
                if capability not in webui.capabilities:
                    raise UiapiError("invalid", f"No open page can check {key}; reload the page or leave {key} out.")
                conditions[key] = value
        if "watch" in webui.capabilities:
            conditions["by"] = self.caller.program
        return conditions

    def data(self) -> dict[str, Any]:
        """What the caller sent, without the keys that only steer the bridge."""
        return self.request.model_dump(exclude_unset=True, exclude=STEERING_KEYS, by_alias=True)  # type: ignore[arg-type]


async def dispatch(bridge: Bridge, command: Command, data: Any, caller: Caller) -> dict[str, Any]:
    """Carry out a command and answer its envelope; a refusal or failure is raised as UiapiError."""
    request = command.parse(data)

    def work() -> Awaitable[dict[str, Any]]:
        return _noted(bridge, command, caller, request)

    if request.idempotency_key is not None and command.risk is not Risk.READ:
        return await bridge.repeats.once(caller.program, request.idempotency_key, command.name, data, work)
    return await work()


async def _noted(bridge: Bridge, command: Command, caller: Caller, request: Request) -> dict[str, Any]:
    """Carry out a command; a program's is noted for the person at the browser, and only done if they allow it."""
    kinds = command.kinds(request)
    if caller.tab is not None or kinds == TALK:
        return await _carry_out(Call(bridge, command, caller, request))
    entry = bridge.activity.begin(caller.program, command, request)
    code: str | None = "cancelled"
    try:
        call = Call(bridge, command, caller, request, entry)
        if not bridge.approvals.free(kinds):
            await bridge.approvals.admit(call, kinds, entry)
        envelope = await _carry_out(call)
        code = None
        bridge.activity.follow(entry, envelope)
        return envelope
    except UiapiError as error:
        code = error.code
        raise
    finally:
        bridge.activity.end(entry, code)


async def _carry_out(call: Call) -> dict[str, Any]:
    command = call.command
    if command.handler is None:
        answer = await call.tab(command.name, call.data())
    else:
        answer = await command.handler(call, call.request)
    if command.flat:
        return {"status": "ok", **call.facts(), **answer}
    return {"status": "ok", "response": answer, **call.facts()}


def find_command(name: str, *, panel: bool = False) -> Command:
    """The command callers may use by that name, a tab also the panel's own; UiapiError `unknown_command`."""
    command = COMMANDS.get(name)
    if command is None or not (command.route or (panel and command.panel)):
        raise UiapiError(
            "unknown_command",
            f"There is no command {name[:80]!r}; /uiapi/docs lists the commands.",
        )
    return command
