"""The activity log: a bounded log of programs' commands and changes, and the rate of each program.

A command costs a few microseconds here. A repeated read costs less: it is logged while the tab answers. Of a request
only a short summary is kept.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time
from typing import Any

from ...common.shorten import sentence
from ..protocol.command_spec import Command, Kind, Request
from ..protocol.summaries import MAX_TEXT, short

# Entries, programs, and changes of one entry that are kept.
MAX_ENTRIES = 1000
MAX_PROGRAMS = 100
MAX_CHANGES = 50
# Requests sent to tabs whose changes may still be reported.
MAX_REQUESTS = 1000
# Seconds in which reads of a program with the same command share one entry.
JOIN_READS = 30
# Seconds over which a rate is averaged.
RATE_OVER = 10

# The commands that run the graph.
RUNNING = frozenset({"run", "execute"})

CHANGES = ("widget_changed", "node_added", "node_removed", "node_changed", "link_added", "link_removed")


@dataclass(eq=False)
class Program:
    """A program, by the name it gives itself; `seconds` counts its commands in each of the last seconds."""

    name: str
    first: float
    last: float = 0.0
    connections: int = 0
    command: str = ""
    calls: int = 0
    seconds: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RATE_OVER))

    def count(self, now: float, command: str) -> None:
        """Count one command."""
        self.last, self.command = now, command
        self.calls += 1
        second = int(now)
        if self.seconds and self.seconds[-1][0] == second:
            self.seconds[-1] = (second, self.seconds[-1][1] + 1)
        else:
            self.seconds.append((second, 1))

    def rate(self, now: float) -> float:
        """Commands per second over the last RATE_OVER seconds."""
        return sum(count for second, count in self.seconds if now - second <= RATE_OVER) / RATE_OVER

    def as_json(self, now: float) -> dict[str, Any]:
        """Return it for the panel; times in seconds of Unix time, rate in commands per second."""
        return {
            "name": self.name,
            "first": self.first,
            "last": self.last,
            "connections": self.connections,
            "command": self.command,
            "calls": self.calls,
            "rate": round(self.rate(now), 1),
        }


@dataclass(eq=False)
class Entry:
    """One command of a program, or several reads with the same command."""

    id: int
    program: str
    kind: Kind
    command: str
    began: float
    time: float
    count: int = 1
    state: str = "running"
    code: str | None = None
    error: str | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    changes_total: int = 0
    about: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for the panel; times in seconds of Unix time."""
        return {
            "id": self.id,
            "program": self.program,
            "kind": self.kind.value,
            "command": self.command,
            "began": self.began,
            "time": self.time,
            "count": self.count,
            "state": self.state,
            "code": self.code,
            "error": self.error,
            "about": self.about,
            "changes": self.changes,
            "changes_total": self.changes_total,
        }


class Activity:
    """The log and the programs.

    Args:
        changed: called whenever the log changes; must be cheap, since it is called for every command.
        runs_changed: called when a program's run begins or ends.
        clock: seconds of Unix time.
        later: calls a function with its arguments once the event loop has nothing more urgent.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        runs_changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time,
        later: Callable[..., object] = lambda work, *arguments: work(*arguments),
    ) -> None:
        self.programs: OrderedDict[str, Program] = OrderedDict()
        self.entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._changed = changed
        self._runs_changed = runs_changed
        # Programs' runs by the ids of their entries, with the prompts of the unattended ones.
        self._runs: dict[int, tuple[Entry, list[str]]] = {}
        self._clock = clock
        self._later = later
        self._reads: dict[tuple[str, str], Entry] = {}
        self._requests: OrderedDict[str, Entry] = OrderedDict()
        self._fresh: dict[int, Entry] = {}
        self._last_id = 0

    # -- programs -------------------------------------------------------------------------------------------

    def program(self, name: str) -> Program:
        """Return the program of that name, adding it if it is new."""
        known = self.programs.get(name)
        if known is None:
            known = self.programs[name] = Program(name, self._clock())
            if len(self.programs) > MAX_PROGRAMS:
                idle = (item.name for item in self.programs.values() if item is not known and not item.connections)
                self.programs.pop(next(idle, name))
        return known

    def connected(self, name: str) -> Callable[[], None]:
        """Note that a program has opened a websocket; call the returned function when that has closed."""
        program = self.program(name)
        program.connections += 1
        self._changed()

        def gone() -> None:
            program.connections -= 1
            self._changed()

        return gone

    # -- commands -------------------------------------------------------------------------------------------

    def begin(self, name: str, command: Command, request: Request) -> Entry:
        """Log a program's command; end its entry with `end`."""
        now = self._clock()
        # Commands of Kind.TALK that are logged read something.
        kind = Kind.READ if command.kind is Kind.TALK else command.kind
        if kind is Kind.READ:
            joined = self._reads.get((name, command.name))
            if joined is not None and now - joined.began < JOIN_READS:
                self._later(self._join, joined, request, now)
                return joined
        self.program(name).count(now, command.name)
        entry = self._add(name, kind, command, now)
        entry.about = request.summary()
        if kind is Kind.READ:
            self._reads[(name, command.name)] = entry
        if command.name in RUNNING:
            self._runs[entry.id] = (entry, [])
            self._runs_changed()
        return entry

    def _join(self, entry: Entry, request: Request, now: float) -> None:
        """Count one more read in an entry."""
        self.program(entry.program).count(now, entry.command)
        entry.count += 1
        entry.time, entry.about = now, request.summary()
        self._touch(entry)

    def follow(self, entry: Entry, envelope: dict[str, Any]) -> None:
        """Handle the answer of a run: if it did not wait for the results, the run goes on unattended."""
        answer = envelope.get("response")
        if entry.id not in self._runs or not isinstance(answer, dict) or "outputs" in answer:
            return
        prompt_ids = answer.get("prompt_ids") or [answer.get("prompt_id")]
        self._runs[entry.id] = (entry, [str(prompt_id) for prompt_id in prompt_ids if prompt_id])
        self._runs_changed()

    def end(self, entry: Entry, code: str | None = None, error: str | None = None) -> None:
        """End an entry, with the `code` and the sentence of the error if the command failed."""
        entry.state = "failed" if code is not None else "done"
        entry.code = code
        entry.error = None if error is None else sentence(error)
        if entry.id in self._runs and not self._runs[entry.id][1]:
            del self._runs[entry.id]
            self._runs_changed()
        self._later(self._touch, entry)

    def sent(self, request_id: str, entry: Entry) -> None:
        """Note the id of a request that is sent to a tab for this entry, to which its changes belong."""
        if entry.kind is Kind.READ:
            return
        self._requests[request_id] = entry
        if len(self._requests) > MAX_REQUESTS:
            self._requests.popitem(last=False)

    def take_changes(self, data: dict[str, Any], webui: int) -> None:
        """Add the changes that a tab reports for a request: {request, changes, total}; other data is ignored."""
        entry = self._requests.get(str(data.get("request")))
        changes = data.get("changes")
        # The nodes of a loaded workflow are not listed.
        if entry is None or entry.kind is Kind.LOAD or not isinstance(changes, list):
            return
        room = MAX_CHANGES - len(entry.changes)
        read = [_change(change, webui) for change in changes[:room] if isinstance(change, dict)]
        entry.changes += [change for change in read if change is not None]
        total = data.get("total")
        entry.changes_total += total if isinstance(total, int) else len(changes)
        self._touch(entry)

    def running(self) -> list[str]:
        """Return the names of the programs with a run in progress, which the person has agreed to if they are asked."""
        return sorted({entry.program for entry, _ in self._runs.values() if entry.state != "asking"})

    def unattended(self) -> bool:
        """Whether an unattended run goes on."""
        return any(prompt_ids for _, prompt_ids in self._runs.values())

    def drop_ended(self, queued_ids: Callable[[], set[str]]) -> None:
        """Forget unattended runs none of whose prompts are in ComfyUI's queue any more."""
        if not self.unattended():
            return
        queued = queued_ids()
        ended = [key for key, (_, ids) in self._runs.items() if ids and queued.isdisjoint(ids)]
        for key in ended:
            del self._runs[key]
        if ended:
            self._runs_changed()

    # -- output ---------------------------------------------------------------------------------------------

    def news(self) -> dict[str, Any]:
        """Return the entries that have changed since the last call, and all programs."""
        fresh, self._fresh = self._fresh, {}
        return {"entries": [entry.as_json() for entry in fresh.values()], "programs": self._programs()}

    def everything(self) -> dict[str, Any]:
        """Return the whole log and all programs."""
        return {"entries": [entry.as_json() for entry in self.entries], "programs": self._programs()}

    def busy(self) -> bool:
        """Whether a rate will change without further commands."""
        now = self._clock()
        return any(now - program.last <= RATE_OVER + 1 for program in self.programs.values())

    def _programs(self) -> list[dict[str, Any]]:
        now = self._clock()
        return [program.as_json(now) for program in self.programs.values()]

    def _add(self, name: str, kind: Kind, command: Command, now: float) -> Entry:
        self._last_id += 1
        entry = Entry(self._last_id, name, kind, command.name, now, now)
        if len(self.entries) == MAX_ENTRIES:
            oldest = self.entries[0]
            self._fresh.pop(oldest.id, None)
            read = (oldest.program, oldest.command)
            if self._reads.get(read) is oldest:
                del self._reads[read]
        self.entries.append(entry)
        self._touch(entry)
        return entry

    def _touch(self, entry: Entry) -> None:
        """Mark an entry as changed, if it is still in the log."""
        if entry.id >= self.entries[0].id:
            self._fresh[entry.id] = entry
        self._changed()


def _change(change: dict[str, Any], webui: int) -> dict[str, Any] | None:
    """Return a change with long values shortened, or None if it is not a valid one."""
    kind, path, node = change.get("kind"), change.get("path"), change.get("node")
    if kind not in CHANGES and not str(kind).startswith("group_"):
        return None
    kept: dict[str, Any] = {"kind": kind, "path": short(str(path)), "node": short(str(node)), "webui": webui}
    kept["what"] = short(str(change.get("what") or ""))
    kept["tab"], kept["cut"] = short(str(change.get("tab") or "")), change.get("cut") is True
    for key in ("before", "after"):
        value = change.get(key)
        if value is not None and not isinstance(value, (bool, int, float)):
            words = value if isinstance(value, str) else str(value)
            if len(words) > MAX_TEXT:
                value, kept["cut"] = short(words), True
        kept[key] = value
    return kept
