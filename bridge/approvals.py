"""What programs may do: the person's rules for each kind of command, the pause switch, and asking them.

The rules are the server's, kept in ComfyUI's user directory, and only an open tab can change them
(bridge/panel.py). They are a courtesy between a person and their programs, known by the names these give
themselves; who may reach the server at all is decided in bridge/access.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic import read_json, write_json
from .commands import DEFAULT_TIMEOUT, Kind, Risk, tab_command
from .errors import UiapiError

if TYPE_CHECKING:
    from .activity import Entry
    from .dispatch import Call
    from .manager import WebuiManager

log = logging.getLogger("uiapi")

# Questions that may wait for the person at a time.
MAX_ASKED = 64
# Programs whose answers are remembered.
MAX_REMEMBERED = 1000
# Values of one question that are shown, and the characters of each.
WRITES_SHOWN = 20
VALUE_SHOWN = 200


class Rule(str, Enum):
    """What a person has decided about a kind of command."""

    ALLOW = "allow"
    ONCE = "once"
    ALWAYS = "always"
    REFUSE = "refuse"


# The kinds a person decides about.
DECIDED: tuple[Kind, ...] = tuple(kind for kind in Kind if kind is not Kind.TALK)

tab_command(
    "approve",
    "Ask the person at the browser whether a program may do something.",
    response=dict[str, Any],
    risk=Risk.READ,
    timeout=DEFAULT_TIMEOUT,
    route=False,
)


@dataclass(eq=False)
class Question:
    """One question to the person, and how many requests wait for its answer."""

    task: asyncio.Task[bool]
    waiting: int = 0


class Approvals:
    """The rules in force.

    Args:
        directory: where they are kept.
        changed: called when a rule, the pause or an answer has changed.
        spawn: runs a coroutine in a task of the bridge's.
    """

    def __init__(
        self,
        directory: Callable[[], Path],
        changed: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, Any], str], asyncio.Task[Any]],
    ) -> None:
        self.rules: dict[Kind, Rule] = dict.fromkeys(DECIDED, Rule.ALLOW)
        self.paused = False
        # What the person answered about a program and a kind with the rule `once`, until ComfyUI stops.
        self.answers: dict[tuple[str, Kind], bool] = {}
        self._directory = directory
        self._changed = changed
        self._spawn = spawn
        self._asked: dict[tuple[Any, ...], Question] = {}
        self._saving = asyncio.Lock()

    # -- what the person decides ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the rules. Where they cannot be read, nothing but reading is allowed until the person decides anew."""
        try:
            kept = await read_json(self._path())
        except UiapiError as error:
            log.error("%s Programs are paused until somebody at the browser releases them.", error.message)
            self.paused = True
            return
        kept = kept or {}
        rules = kept.get("rules")
        for kind in DECIDED:
            word = rules.get(kind.value) if isinstance(rules, dict) else None
            if word in [rule.value for rule in Rule]:
                self.rules[kind] = Rule(word)
        self.paused = kept.get("paused") is True

    async def decide(self, *, paused: bool | None = None, rules: dict[Kind, Rule] | None = None) -> None:
        """Take a decision; it holds at once, and after a restart. UiapiError `storage_failed` if only at once."""
        if paused is not None:
            self.paused = paused
        for kind, rule in (rules or {}).items():
            if self.rules[kind] is not rule:
                self.rules[kind] = rule
                self.forget(kind=kind)
        self._changed()
        async with self._saving:
            told = self.told()
            await write_json(self._path(), {"rules": told["rules"], "paused": told["paused"]})

    def forget(self, program: str | None = None, kind: Kind | None = None) -> None:
        """Forget what was answered about a program, or about a kind, so that it is asked again."""
        for known in [*self.answers]:
            if program in (None, known[0]) and kind in (None, known[1]):
                del self.answers[known]
        self._changed()

    def told(self) -> dict[str, Any]:
        """Rules, pause and answers as the panel shows them."""
        return {
            "paused": self.paused,
            "rules": {kind.value: rule.value for kind, rule in self.rules.items()},
            "answers": [
                {"program": program, "kind": kind.value, "allowed": allowed}
                for (program, kind), allowed in self.answers.items()
            ],
            "asked": len(self._asked),
        }

    # -- what programs meet ---------------------------------------------------------------------------------

    def free(self, kind: Kind) -> bool:
        """Whether a command of that kind needs no further look."""
        if kind is Kind.TALK:
            return True
        return self.rules[kind] is Rule.ALLOW and (kind is Kind.READ or not self.paused)

    async def admit(self, call: Call, entry: Entry) -> None:
        """Let a command pass, or wait for the person's answer.

        Raises UiapiError `paused`, `refused_by_person`, `timeout`, `too_many`, or as asking a tab does.
        """
        kind = call.command.kind
        self._check_pause(call)
        rule = self.rules[kind]
        if rule is Rule.ALLOW:
            return
        known = {Rule.REFUSE: False, Rule.ONCE: self.answers.get((entry.program, kind))}
        allowed = known.get(rule)
        if allowed is None:
            entry.state = "asking"
            allowed = await self._ask(call, entry, once=rule is Rule.ONCE)
            entry.state = "running"
            self._check_pause(call)
        if not allowed:
            raise UiapiError(
                "refused_by_person",
                f"The person at the browser does not let this program {call.command.name}; ask them to change that in "
                "ComfyUI's settings or in the panel.",
                {"kind": kind.value},
            )

    def _check_pause(self, call: Call) -> None:
        if self.paused and call.command.kind is not Kind.READ:
            raise UiapiError(
                "paused", "The person at the browser has paused programs; try again once they have released them."
            )

    async def _ask(self, call: Call, entry: Entry, *, once: bool) -> bool:
        """Put the question; several requests that wait for the same answer share it, each for as long as it may."""
        key: tuple[Any, ...] = (entry.program, entry.kind) if once else (entry.program, entry.kind, entry.id, id(call))
        question = self._asked.get(key)
        if question is None:
            if len(self._asked) >= MAX_ASKED:
                raise UiapiError("too_many", f"{MAX_ASKED} questions wait for the person; ask again later.")
            question = Question(self._spawn(self._put(call, entry, once=once), f"ask about {entry.command}"))
            self._asked[key] = question
            asked = question
            question.task.add_done_callback(lambda _: self._over(key, asked))
            self._changed()
        question.waiting += 1
        limit = min(call.request.timeout or DEFAULT_TIMEOUT, DEFAULT_TIMEOUT)
        try:
            return await asyncio.wait_for(asyncio.shield(question.task), limit)
        except asyncio.TimeoutError:
            raise _unanswered(entry) from None
        finally:
            question.waiting -= 1
            if not question.waiting:
                # Nobody waits any more: the dialog closes by itself, and whoever comes next asks anew.
                question.task.cancel()
                self._over(key, question)

    def _over(self, key: tuple[Any, ...], question: Question) -> None:
        if self._asked.get(key) is question:
            del self._asked[key]
            self._changed()

    async def _put(self, call: Call, entry: Entry, *, once: bool) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + DEFAULT_TIMEOUT
        data = {
            "program": entry.program,
            "kind": entry.kind.value,
            "command": entry.command,
            "doc": call.command.doc,
            "about": entry.told()["about"],
            "writes": _writes(call.request),
            "once": once,
        }
        while True:
            webui = _tab_with_person(call)
            try:
                answer = await webui.request("approve", data, max(until - loop.time(), 0.001))
            except UiapiError as error:
                if error.code == "client_disconnected":
                    # The person may be at the tab that is the main one now.
                    continue
                if error.code == "timeout":
                    raise _unanswered(entry) from None
                raise
            allowed = isinstance(answer, dict) and answer.get("allowed") is True
            if once:
                self.answers[(entry.program, entry.kind)] = allowed
                if len(self.answers) > MAX_REMEMBERED:
                    del self.answers[next(iter(self.answers))]
                self._changed()
            return allowed

    def _path(self) -> Path:
        return self._directory() / "rules.json"


def _unanswered(entry: Entry) -> UiapiError:
    sentence = f"Nobody at the browser said within their time whether this program may {entry.command}."
    return UiapiError("timeout", sentence, {"delivered": False})


def _tab_with_person(call: Call) -> WebuiManager:
    """The main tab, or the first other one whose page can put the question. UiapiError `no_webui`."""
    webuis = call.bridge.webuis
    main = webuis.find(wait=call.request.wait_for_webui)
    if main is webuis.lobby or "panel" in main.capabilities:
        return main
    able = next((webui for webui in webuis.connected() if "panel" in webui.capabilities), None)
    if able is None:
        raise UiapiError("no_webui", "No open page can ask the person whether this is allowed; reload ComfyUI's page.")
    return able


def _writes(request: Any) -> list[dict[str, str]]:
    """The fields a request would write and the values, as far as they are shown."""
    fields = request.writes() if hasattr(request, "writes") else getattr(request, "fields", None)
    if not isinstance(fields, list) or not all(isinstance(field, tuple) for field in fields):
        return []
    return [{"path": path, "value": _value(value)} for path, value in fields[:WRITES_SHOWN]]


def _value(value: Any) -> str:
    if isinstance(value, dict) and "data" in value:
        return f"({value.get('type', 'data')})"
    words = value if isinstance(value, str) else str(value)
    return words if len(words) <= VALUE_SHOWN else f"{words[:VALUE_SHOWN]}…"
