"""Approvals: the person's rule for each kind of command, the pause switch, and the questions to the person.

The rules are kept on the server, in ComfyUI's user directory, and only a connected tab can change them
(bridge/commands/panel.py). Programs are known by the names they give themselves, so the rules are no protection
against malicious ones; access to the server is checked in bridge/policy/access.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.json_store import Damaged, read_json, set_aside, write_json
from ...common.waiting import outcome
from ..protocol.command_spec import DEFAULT_TIMEOUT, Kind, Risk, tab_command
from ..tabs.registry import Webuis
from .activity_log import Entry
from .questions import AskedCall, refused, shown_writes, unanswered, workflow_of
from .rules import DECIDED, Rule, read_rules, stricter

log = logging.getLogger("uiapi")

# Questions that may be open at a time.
MAX_ASKED = 64
# Programs whose answers are remembered.
MAX_REMEMBERED = 1000


tab_command(
    "approve",
    "Ask the person at the browser to approve a program's request.",
    response=dict[str, Any],
    risk=Risk.READ,
    timeout=DEFAULT_TIMEOUT,
    route=False,
    asks=True,
)


@dataclass(eq=False)
class Question:
    """An open question to the person, and the number of requests that wait for its answer."""

    task: asyncio.Task[bool]
    waiting: int = 0


class Approvals:
    """The current rules and open questions.

    Args:
        directory: returns the directory of the rules file.
        changed: called when a rule, the pause or an answer has changed.
        spawn: runs a coroutine in a task that the bridge owns.
        webuis: the connected tabs, where the person is asked.
        own_rules: returns the rules of a web app by its name; None for any other program.
        refused: called with an entry and a code if the pause or a rule refuses a command; must be cheap.
    """

    def __init__(
        self,
        directory: Callable[[], Path],
        changed: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]],
        webuis: Webuis,
        own_rules: Callable[[str], Mapping[Kind, Rule] | None] = lambda program: None,
        refused: Callable[[Entry, str], None] = lambda entry, code: None,
    ) -> None:
        self.rules: dict[Kind, Rule] = dict.fromkeys(DECIDED, Rule.ALLOW)
        self._released = asyncio.Event()
        self._released.set()
        # Why the rules file could not be used, until the person has decided again.
        self.problem: str | None = None
        self._unusable = False
        # The person's answers for a program and a kind with the rule `once`, until ComfyUI stops.
        self.answers: dict[tuple[str, Kind], bool] = {}
        self._directory = directory
        self._changed = changed
        self._spawn = spawn
        self._webuis = webuis
        self._own_rules = own_rules
        self._asked: dict[tuple[Any, ...], Question] = {}
        self._refused = refused
        self._saving = asyncio.Lock()
        self._started = asyncio.Event()

    @property
    def paused(self) -> bool:
        """Whether the person has paused programs."""
        return not self._released.is_set()

    @paused.setter
    def paused(self, paused: bool) -> None:
        if paused:
            self._released.clear()
        else:
            self._released.set()

    # -- the person's decisions -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the rules. If that fails, programs are paused and the person is asked about every kind."""
        try:
            await self._read()
        finally:
            self._started.set()

    async def _read(self) -> None:
        try:
            kept = await read_json(self._path(), _decisions)
        except UiapiError as error:
            log.error("%s Programs are paused until the person at the browser releases them.", error.message)
            self.problem = error.message
            # A damaged file was renamed already; any other must not be overwritten by the next decision.
            self._unusable = not isinstance(error, Damaged)
            self.paused = True
            self.rules = dict.fromkeys(DECIDED, Rule.ONCE)
            return
        if kept is not None:
            self.rules, self.paused = _decisions(kept)

    async def decide(self, *, paused: bool | None = None, rules: dict[Kind, Rule] | None = None) -> None:
        """Apply a decision now and store it. Raises UiapiError `storage_failed` if it only holds until a restart."""
        if paused is not None:
            self.paused = paused
        for kind, rule in (rules or {}).items():
            if self.rules[kind] is not rule:
                self.rules[kind] = rule
                self.forget(kind=kind)
        self._changed()
        async with self._saving:
            if self._unusable:
                await set_aside(self._path(), "it could not be read, and the rules were set again")
                self._unusable = False
            state = self.state()
            await write_json(self._path(), {"rules": state["rules"], "paused": state["paused"]})
        if self.problem is not None:
            self.problem = None
            self._changed()

    def forget(self, program: str | None = None, kind: Kind | None = None) -> None:
        """Forget the answers about a program or a kind, so that the person is asked again."""
        for known in [*self.answers]:
            if program in (None, known[0]) and kind in (None, known[1]):
                del self.answers[known]
        self._changed()

    def state(self) -> dict[str, Any]:
        """Return the rules, the pause and the answers for the panel."""
        return {
            "paused": self.paused,
            "problem": self.problem,
            "rules": {kind.value: rule.value for kind, rule in self.rules.items()},
            "answers": [
                {"program": program, "kind": kind.value, "allowed": allowed}
                for (program, kind), allowed in self.answers.items()
            ],
            "asked": len(self._asked),
            "asking": self._webuis.asking(),
        }

    # -- checking commands ----------------------------------------------------------------------------------

    def free(self, kinds: frozenset[Kind], program: str) -> bool:
        """Whether a program's commands of these kinds are allowed without asking."""
        if not self._started.is_set():
            return False
        for kind in kinds:
            if kind is not Kind.TALK and (
                self._rule(kind, program) is not Rule.ALLOW or (self.paused and kind is not Kind.READ)
            ):
                return False
        return True

    def _rule(self, kind: Kind, program: str) -> Rule:
        """The rule for a kind of command; a web app has its own, of which the stricter one holds."""
        own = self._own_rules(program)
        return self.rules[kind] if own is None else stricter(self.rules[kind], own[kind])

    def allows(self, kind: Kind, program: str) -> bool:
        """Whether a program's commands of this kind are allowed now, without asking the person again."""
        return not self.paused and self._decided(kind, program) is True

    async def until_released(self, kind: Kind, program: str) -> None:
        """Wait while programs are paused. Raises UiapiError `refused_by_person` if this kind is refused by now."""
        await self._released.wait()
        if self._decided(kind, program) is False:
            raise UiapiError(
                "refused_by_person",
                "The person at the browser does not allow this any more; ask them to change that in ComfyUI's settings "
                "or in the panel.",
                {"kind": kind.value},
            )

    def reads(self, program: str) -> bool:
        """Whether a program may go on receiving events it has subscribed to."""
        rule = self._rule(Kind.READ, program)
        return rule is not Rule.REFUSE and not (rule is Rule.ONCE and self.answers.get((program, Kind.READ)) is False)

    async def admit(self, call: AskedCall, kinds: frozenset[Kind], entry: Entry) -> None:
        """Return if a command is allowed, after asking the person if necessary.

        Args:
            call: the command.
            kinds: the kinds it needs; each has to be allowed.
            entry: its entry in the log.

        Raises UiapiError `paused`, `refused_by_person`, `timeout`, `too_many`, or an error of the request to the tab.
        """
        await self._until_read(call)
        self._check(call, kinds, entry)
        open_kinds = self._open(kinds, entry)
        if not open_kinds:
            return
        if not call.may_ask:
            raise UiapiError(
                "refused_by_person",
                "The person at the browser wants to be asked first, and a GET cannot do that; send a POST, such as "
                "get_fields, or use the websocket.",
                {"kind": open_kinds[0].value},
            )
        entry.state = "asking"
        allowed = await self._ask(call, entry, open_kinds)
        entry.state = "running"
        if not allowed:
            raise refused(call, open_kinds[0])
        # The person may have paused programs, or made a rule stricter, while the question was open.
        self._check(call, kinds, entry)

    async def _until_read(self, call: AskedCall) -> None:
        """Wait for the rules: ComfyUI may serve requests before they are read."""
        if self._started.is_set():
            return
        try:
            await asyncio.wait_for(self._started.wait(), call.timeout)
        except asyncio.TimeoutError:
            sentence = "The person's rules are still being read; try again in a moment."
            raise UiapiError("timeout", sentence, {"delivered": False}) from None

    def _check(self, call: AskedCall, kinds: frozenset[Kind], entry: Entry) -> None:
        """Raise UiapiError `paused` or `refused_by_person` if one of the kinds is already forbidden."""
        if self.paused and kinds - {Kind.READ}:
            self._refused(entry, "paused")
            raise UiapiError(
                "paused", "The person at the browser has paused programs; try again once they have released them."
            )
        for kind in DECIDED:
            if kind in kinds and self._decided(kind, entry.program) is False:
                self._refused(entry, "refused_by_person")
                raise refused(call, kind)

    def _decided(self, kind: Kind, program: str) -> bool | None:
        """Whether a kind is allowed for this program, or None if the person has to be asked."""
        rule = self._rule(kind, program)
        if rule is Rule.ONCE:
            return self.answers.get((program, kind))
        return {Rule.ALLOW: True, Rule.REFUSE: False}.get(rule)

    def _open(self, kinds: frozenset[Kind], entry: Entry) -> list[Kind]:
        return [kind for kind in DECIDED if kind in kinds and self._decided(kind, entry.program) is None]

    async def _ask(self, call: AskedCall, entry: Entry, kinds: list[Kind]) -> bool:
        """Ask the person; several requests that need the same answer share a question, each with its own timeout."""
        once = all(self._rule(kind, entry.program) is Rule.ONCE for kind in kinds)
        key: tuple[Any, ...] = (entry.program, *kinds) if once else (entry.program, entry.id, id(call))
        question = self._asked.get(key)
        if question is None:
            if len(self._asked) >= MAX_ASKED:
                raise UiapiError("too_many", f"{MAX_ASKED} questions wait for the person; ask again later.")
            question = Question(self._spawn(self._put(call, entry, kinds, once=once), f"ask about {entry.command}"))
            self._asked[key] = question
            asked = question
            question.task.add_done_callback(lambda _: self._over(key, asked))
            self._changed()
        question.waiting += 1
        call.notify_waiting("approval")
        limit = min(call.request.timeout or DEFAULT_TIMEOUT, DEFAULT_TIMEOUT)
        try:
            return await asyncio.wait_for(outcome(question.task), limit)
        except asyncio.TimeoutError:
            raise unanswered(entry) from None
        finally:
            question.waiting -= 1
            if not question.waiting:
                # No request waits any more: the dialog closes, and the next request asks again.
                question.task.cancel()
                self._over(key, question)

    def _over(self, key: tuple[Any, ...], question: Question) -> None:
        if self._asked.get(key) is question:
            del self._asked[key]
            self._changed()

    async def _put(self, call: AskedCall, entry: Entry, kinds: list[Kind], *, once: bool) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + DEFAULT_TIMEOUT
        preview = None if call.command.preview is None else await call.command.preview(call, call.request)
        data = {
            "program": entry.program,
            "kind": kinds[0].value,
            "kinds": [kind.value for kind in kinds],
            "command": entry.command,
            "doc": call.command.doc,
            "about": entry.as_json()["about"],
            **shown_writes(call.command, call.request),
            "workflow": workflow_of(self._webuis, call.request),
            "files": None if preview is None else preview.files,
            "once": once,
        }
        while True:
            webui = self._webuis.with_person(wait=call.request.wait_for_webui)
            try:
                answer = await webui.request("approve", data, max(until - loop.time(), 0.001), entry.program)
            except UiapiError as error:
                if error.code == "client_disconnected":
                    # Another tab may be the main one now.
                    continue
                if error.code == "timeout":
                    raise unanswered(entry) from None
                raise
            allowed = isinstance(answer, dict) and answer.get("allowed") is True
            if allowed and preview is not None:
                call.agreed = preview
            if once:
                self.answers.update({(entry.program, kind): allowed for kind in kinds})
                while len(self.answers) > MAX_REMEMBERED:
                    del self.answers[next(iter(self.answers))]
                self._changed()
            return allowed

    def _path(self) -> Path:
        return self._directory() / "rules.json"


def _decisions(kept: dict[str, Any]) -> tuple[dict[Kind, Rule], bool]:
    """Return the rules and the pause in a file. Raises ValueError if one is missing or invalid."""
    paused = kept.get("paused")
    if not isinstance(paused, bool):
        raise ValueError("it does not hold the rules and the pause")
    return read_rules(kept.get("rules")), paused
