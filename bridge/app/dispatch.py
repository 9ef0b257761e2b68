"""Dispatches a command: validates the request, asks for approval, runs the handler and returns the envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...common.errors import UiapiError, disconnected, wrong_page
from ..comfyui.input_images import Pictures, has_url
from ..policy.activity_log import Entry
from ..protocol.command_spec import COMMANDS, STEERING_KEYS, Command, Kind, Preview, Request, Risk
from ..protocol.nonfinite import fits_page
from ..protocol.subscriptions import Subscriber
from ..tabs.graph_snapshot import READABLE, Snapshot
from ..tabs.tab import PendingRequest, WebuiManager
from .workflow_files import read_file

if TYPE_CHECKING:
    from .bridge import Bridge


# Commands of only these kinds need no approval.
TALK = frozenset({Kind.TALK})
# Further kinds of a command for which a file has to be downloaded.
DOWNLOADS = frozenset({Kind.DOWNLOAD})
# Commands that send events before their response.
STREAMED = frozenset({"run", "execute"})
# Commands by which a page of ComfyUI acts as a tab.
OF_PAGES = frozenset({"webui_ready", "webui_response", "webui_disconnect", "client_disconnect"})
# The conditions a request may set, and the capability of a page that checks each.
CONDITIONS = {"if_revision": "revisions", "workflow_tab": "tabs"}


@dataclass(frozen=True)
class Caller:
    """The sender of a request: a program, or the person at a connected tab.

    Attributes:
        program: the name that the program gives itself.
        tab: the person's tab; None for a program.
        agent: its User-Agent.
        request_id: the id of the request.
        asks: whether the person may be asked for approval.
        local: whether it is certainly on this machine.
        web_app: whether it is a web page from elsewhere, whose name is its origin.
        emit: sends an event that belongs to this request; None unless the caller is on a websocket.
        subscriptions: the subscriptions of its websocket by request id.
    """

    program: str = ""
    tab: WebuiManager | None = None
    agent: str = ""
    request_id: str = ""
    asks: bool = True
    local: bool = False
    web_app: bool = False
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
        by_url: whether values may be downloaded for it, which was checked.
    """

    def __init__(
        self,
        bridge: Bridge,
        command: Command,
        caller: Caller,
        request: Request,
        entry: Entry | None = None,
        *,
        by_url: bool = False,
    ) -> None:
        self.bridge = bridge
        self.command = command
        self.caller = caller
        self.request = request
        self.entry = entry
        self._by_url = by_url
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

    def notify_waiting(self, reason: str) -> None:
        """Send `waiting_for_person` to a program on a websocket: its request waits for the person.

        It is sent to the websocket's subscriptions, and to a request that receives events anyway; others may take the
        next frame for the response. `reason` is approval, url (of a model) or offer (of a workflow).
        """
        data = {"command": self.command.name, "reason": reason, "request": self.caller.request_id}
        for subscriber in self.caller.subscriptions.values():
            if subscriber.wants("waiting_for_person"):
                subscriber.send("waiting_for_person", data)
        if self.caller.emit is not None and self.command.name in STREAMED:
            self.caller.emit("waiting_for_person", data)

    def webui(self) -> WebuiManager:
        """The tab this call addresses.

        Raises UiapiError `no_webui`, `unknown_webui` or, after the first step, `client_disconnected`.
        """
        if self.answered_by is None:
            return self.bridge.webuis.find(self.request.webui, wait=self.request.wait_for_webui)
        if not self.answered_by.connected:
            raise disconnected()
        return self.answered_by

    def pictures(self) -> Pictures:
        """Return the store for files in values, as a context."""
        return Pictures(self.bridge.pictures, downloads=self._by_url)

    async def tab(self, name: str, data: dict[str, Any] | None = None, timeout: float | None = None) -> Any:
        """Send command `name` to the addressed tab and return its answer, which is validated."""
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
        self.revision = pending.extras.get("revision", self.revision)
        self.workflow_tab = pending.extras.get("workflow_tab", self.workflow_tab)
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
        """Add the conditions and the program's name to a request for a tab."""
        pending.program = self.caller.program
        pending.conditions = self._conditions(webui)
        if self.entry is not None:
            self.bridge.activity.sent(pending.request_id, self.entry)

    def snapshot(self) -> Snapshot | None:
        """Return the last main tab's snapshot, if the request accepts one."""
        # The snapshot may be of another tab than the named one.
        named = self.request.webui is not None or self.request.workflow_tab is not None
        return self.bridge.webuis.last_snapshot if self.request.allow_stale and not named else None

    def _conditions(self, webui: WebuiManager) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        # The steps after the first go to the workflow tab in which that one was carried out.
        asked = {"workflow_tab": self.workflow_tab} if self.facts() else vars(self.request)
        for key, capability in CONDITIONS.items():
            value = asked.get(key)
            if value is not None:
                # Waiting for a tab would not help: a new one cannot have a revision that was read before.
                if capability not in webui.capabilities:
                    raise UiapiError("invalid", f"The page cannot check {key}; reload it, or leave {key} out.")
                conditions[key] = value
        if "watch" in webui.capabilities:
            conditions["by"] = self.caller.program
        return conditions

    def data(self) -> dict[str, Any]:
        """Return what the caller sent, without the keys that are for the bridge."""
        return self.request.model_dump(exclude_unset=True, exclude=STEERING_KEYS, by_alias=True)  # type: ignore[arg-type]


async def dispatch(bridge: Bridge, command: Command, data: Any, caller: Caller) -> dict[str, Any]:
    """Carry out a command and return its envelope. Raises UiapiError if it is refused or fails."""
    if caller.web_app and command.name in OF_PAGES:
        raise wrong_page()
    request = command.parse(data)

    def work() -> Awaitable[dict[str, Any]]:
        return _noted(bridge, command, caller, request)

    if request.idempotency_key is not None and command.risk is not Risk.READ:
        return await bridge.repeats.once(caller.program, request.idempotency_key, command.name, data, work)
    return await work()


async def _noted(bridge: Bridge, command: Command, caller: Caller, request: Request) -> dict[str, Any]:
    """Carry out a command; a program's command is logged for the person and needs their approval."""
    if vars(request).get("workflow") is not None:
        await read_file(request, api=request.needs_api or not bridge.webuis.connected())
    kinds = command.kinds(request)
    values = request.values()
    for path, value in values:
        if not fits_page(value):
            raise UiapiError("invalid", f"{path}: a number is too large for the page; send one below 1.8e308.")
    by_url = has_url(values)
    if by_url:
        bridge.guard.check_download("a value by URL")
        kinds |= DOWNLOADS
    if caller.tab is not None or kinds == TALK:
        return await _carry_out(Call(bridge, command, caller, request, by_url=by_url))
    entry = bridge.activity.begin(caller.program, command, request)
    code: str | None = "cancelled"
    problem: str | None = None
    try:
        call = Call(bridge, command, caller, request, entry, by_url=by_url)
        if not bridge.approvals.free(kinds, caller.program):
            await bridge.approvals.admit(call, kinds, entry)
        envelope = await _carry_out(call)
        code = None
        bridge.activity.follow(entry, envelope)
        return envelope
    except UiapiError as error:
        code, problem = error.code, error.message
        raise
    finally:
        bridge.activity.end(entry, code, problem)


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
    """Return the command of that name; with `panel` also the panel's own. Raises UiapiError `unknown_command`."""
    command = COMMANDS.get(name)
    if command is None or not (command.route or (panel and command.panel)):
        raise UiapiError(
            "unknown_command",
            f"Unknown command {name[:80]!r}; /uiapi/docs lists the commands.",
        )
    return command
