"""Requests that may come twice: a repeat with the same key is answered with what came of the first."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from pydantic_core import to_json

from .connection import MAX_FRAME, encode
from .errors import UiapiError
from .waiting import outcome

# Seconds a key is remembered after its request has ended, how many of one program's, and of how many programs. The
# oldest make room: a slider that sends keys must lock nobody out, itself included.
KEEP = 600.0
MAX_KEYS = 1000
MAX_PROGRAMS = 32
# Bytes of one answer that is kept for a repeat.
MAX_KEPT = 2**20
# Bytes of all requests with a key that are under way, whose callers may be gone, and of all answers that are kept,
# which are at most half of it; and of one program's alone.
MAX_BYTES = 8 * MAX_FRAME
MAX_BYTES_OF_PROGRAM = 2 * MAX_FRAME

# Refusals that certainly changed nothing and may not be repeated for ever: a repeat tries again.
NOT_TRIED = frozenset({"no_webui", "unknown_webui", "shutting_down", "too_many", "paused", "refused_by_person"})

Envelope = dict[str, Any]
Spawn = Callable[[Awaitable[Envelope], str], "asyncio.Task[Envelope]"]


@dataclass
class Entry:
    """One key: what was asked, and the task that carries it out or what is kept of what came of it, and since when.

    `size` is what it holds, in bytes: its request while that is under way, then what is kept.
    """

    fingerprint: str
    size: int
    task: asyncio.Task[Envelope] | None
    ended: float = 0.0
    kept: Envelope | BaseException | None = None


# The entries of one program by key; those that have ended are in the order of their ends.
Keys = OrderedDict[str, Entry]


class Repeats:
    """The keys of the last minutes, each its program's own.

    Args:
        spawn: runs a coroutine in a task that outlives its caller, since a caller that lost its connection is
            the one that comes again.
        clock: seconds.
    """

    def __init__(self, spawn: Spawn, clock: Callable[[], float] = monotonic) -> None:
        self._spawn = spawn
        self._clock = clock
        # By program, in the order of their last requests.
        self._programs: OrderedDict[str, Keys] = OrderedDict()

    async def once(
        self, program: str, key: str, command: str, data: Any, work: Callable[[], Awaitable[Envelope]]
    ) -> Envelope:
        """The envelope of the program's first request with this key; `work` is only called for that one.

        Raises what the first raised; UiapiError `conflict` when the key was used for something else.
        """
        self._forget_old()
        asked = to_json([command, data])
        fingerprint = hashlib.sha256(asked).hexdigest()
        known = self._programs.get(program)
        entry = None if known is None else known.get(key)
        if entry is None:
            keys = self._room(program, len(asked))
            task = self._spawn(work(), f"{command} once")
            keys[key] = entry = Entry(fingerprint, len(asked), task)
            begun = entry
            task.add_done_callback(lambda done: self._settle(keys, key, begun, done))
            return await outcome(task)
        if entry.fingerprint != fingerprint:
            raise UiapiError("conflict", "This idempotency key was used for another request; use a new one.")
        if entry.task is not None:
            return {**await outcome(entry.task), "repeated": True}
        if entry.kept is None:
            raise UiapiError(
                "conflict",
                "This request was carried out, but its answer was too large to keep; look at ComfyUI's history.",
            )
        if isinstance(entry.kept, UiapiError):
            # Each raising would add its own frames to the one that is kept, and they hold the request.
            raise entry.kept.anew()
        if isinstance(entry.kept, BaseException):
            raise entry.kept
        return {**entry.kept, "repeated": True}

    def _room(self, program: str, size: int) -> Keys:
        """The keys of a program, with room for one more and its request of `size` bytes. UiapiError `too_many`."""
        keys = self._programs.get(program)
        if keys is None:
            if len(self._programs) >= MAX_PROGRAMS:
                idle = (name for name, known in self._programs.items() if all(e.task is None for e in known.values()))
                self._programs.pop(next(idle, ""), None)
            if len(self._programs) >= MAX_PROGRAMS:
                raise UiapiError("too_many", f"{MAX_PROGRAMS} programs wait for requests with keys; try again later.")
            keys = self._programs[program] = OrderedDict()
        if len(keys) >= MAX_KEYS:
            ended = next((key for key, entry in keys.items() if entry.task is None), None)
            if ended is None:
                raise UiapiError("too_many", f"{MAX_KEYS} requests with keys are under way; wait for some of them.")
            del keys[ended]
        if _size(keys) + size > MAX_BYTES_OF_PROGRAM or sum(map(_size, self._programs.values())) + size > MAX_BYTES:
            raise UiapiError("too_many", "Requests with idempotency keys hold too much; wait for some of them.")
        self._programs.move_to_end(program)
        return keys

    def _settle(self, keys: Keys, key: str, entry: Entry, done: asyncio.Task[Envelope]) -> None:
        del keys[key]
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, UiapiError) and (error.code in NOT_TRIED or error.details.get("delivered") is False):
            return
        # The last of those that have ended.
        keys[key] = entry
        entry.task, entry.size, entry.ended = None, 0, self._clock()
        if error is not None and not isinstance(error, UiapiError):
            # A defect, which is told with its traceback every time.
            entry.kept = error
            return
        size = len(encode(done.result() if error is None else error.envelope()))
        held = sum(map(_size, self._programs.values()))
        if size <= MAX_KEPT and held + size <= MAX_BYTES // 2 and _size(keys) + size <= MAX_BYTES_OF_PROGRAM // 2:
            entry.kept, entry.size = done.result() if error is None else error.anew(), size

    def _forget_old(self) -> None:
        now = self._clock()
        for program, keys in [*self._programs.items()]:
            old = []
            for key, entry in keys.items():
                if entry.task is None:
                    if now - entry.ended < KEEP:
                        break
                    old.append(key)
            for key in old:
                del keys[key]
            if not keys:
                del self._programs[program]


def _size(keys: Keys) -> int:
    return sum(entry.size for entry in keys.values())
