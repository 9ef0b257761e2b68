"""Idempotency keys: a repeated request with the same key gets the answer of the first one."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from pydantic_core import to_json

from ...common.errors import UiapiError
from ...common.waiting import outcome
from ..protocol.codec import MAX_FRAME, encode

# Seconds a key is kept after its request has ended, keys per program, and programs. The oldest are dropped first: a
# slider that sends keys must not lock out other programs or itself.
KEEP = 600.0
MAX_KEYS = 1000
MAX_PROGRAMS = 32
# The largest answer that is kept for a repeat, in bytes.
MAX_KEPT = 2**20
# Bytes of all pending requests with a key, whose callers may be gone, and of all kept answers, which are at most half
# of it; and the same for one program.
MAX_BYTES = 8 * MAX_FRAME
MAX_BYTES_OF_PROGRAM = 2 * MAX_FRAME

# Refusals that certainly changed nothing and may be temporary: a repeat tries again.
NOT_TRIED = frozenset({"no_webui", "unknown_webui", "shutting_down", "too_many", "paused", "refused_by_person"})

Envelope = dict[str, Any]
Spawn = Callable[[Awaitable[Envelope], str], "asyncio.Task[Envelope]"]


@dataclass
class Entry:
    """One key: its request's fingerprint, and the task that carries it out or the kept answer.

    `size` is the bytes it holds: of its request while that is pending, then of the kept answer.
    """

    fingerprint: str
    size: int
    task: asyncio.Task[Envelope] | None
    ended: float = 0.0
    kept: Envelope | BaseException | None = None


class Keys:
    """The entries of one program by key: the pending ones, and those that have ended, in the order in which they ended.

    `size` is the bytes they hold together. It is updated and never summed up, since every request needs it.
    """

    def __init__(self) -> None:
        self.under_way: dict[str, Entry] = {}
        self.ended: OrderedDict[str, Entry] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self.under_way) + len(self.ended)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key, or None for a new key."""
        return self.under_way.get(key) or self.ended.get(key)


class Repeats:
    """The keys of the last minutes, separate for each program.

    Args:
        spawn: runs a coroutine in a task that outlives its caller, since a caller that lost its connection will
            repeat the request.
        clock: seconds.
    """

    def __init__(self, spawn: Spawn, clock: Callable[[], float] = monotonic) -> None:
        self._spawn = spawn
        self._clock = clock
        # By program, in the order of their last requests.
        self._programs: OrderedDict[str, Keys] = OrderedDict()
        # Bytes held by all of them.
        self._held = 0

    async def once(
        self, program: str, key: str, command: str, data: Any, work: Callable[[], Awaitable[Envelope]]
    ) -> Envelope:
        """Return the envelope of the program's first request with this key; `work` is only called for that one.

        Raises what the first raised, and UiapiError `conflict` if the key was used for another request.
        """
        self._forget_old()
        asked = to_json([command, data])
        fingerprint = hashlib.sha256(asked).hexdigest()
        known = self._programs.get(program)
        entry = None if known is None else known.find(key)
        if entry is None:
            keys = self._room(program, len(asked))
            task = self._spawn(work(), f"{command} once")
            keys.under_way[key] = entry = begun = Entry(fingerprint, len(asked), task)
            self._hold(keys, entry.size)
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
            # Raising the kept error itself would add frames to it each time, and they keep the request alive.
            raise entry.kept.anew()
        if isinstance(entry.kept, BaseException):
            raise entry.kept
        return {**entry.kept, "repeated": True}

    def end(self, program: str) -> None:
        """Cancel the pending requests of a program."""
        keys = self._programs.get(program)
        for entry in [*keys.under_way.values()] if keys is not None else []:
            if entry.task is not None:
                entry.task.cancel()

    def _room(self, program: str, size: int) -> Keys:
        """Return the keys of a program, with room for a request of `size` bytes. Raises UiapiError `too_many`."""
        keys = self._programs.get(program)
        if keys is None:
            if len(self._programs) >= MAX_PROGRAMS:
                idle = next((name for name, known in self._programs.items() if not known.under_way), None)
                if idle is None:
                    raise UiapiError(
                        "too_many", f"{MAX_PROGRAMS} programs wait for requests with keys; try again later."
                    )
                self._held -= self._programs.pop(idle).size
            keys = self._programs[program] = Keys()
        if len(keys) >= MAX_KEYS:
            if not keys.ended:
                raise UiapiError("too_many", f"{MAX_KEYS} requests with keys are pending; wait for some of them.")
            self._forget_oldest(keys)
        if keys.size + size > MAX_BYTES_OF_PROGRAM or self._held + size > MAX_BYTES:
            raise UiapiError("too_many", "Requests with idempotency keys hold too much; wait for some of them.")
        self._programs.move_to_end(program)
        return keys

    def _settle(self, keys: Keys, key: str, entry: Entry, done: asyncio.Task[Envelope]) -> None:
        del keys.under_way[key]
        self._hold(keys, -entry.size)
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, UiapiError) and (error.code in NOT_TRIED or error.details.get("delivered") is False):
            return
        keys.ended[key] = entry
        entry.task, entry.size, entry.ended = None, 0, self._clock()
        if error is not None and not isinstance(error, UiapiError):
            # An internal error, which is reported with its traceback each time.
            entry.kept = error
            return
        size = len(encode(done.result() if error is None else error.envelope()))
        if size > MAX_KEPT or self._held + size > MAX_BYTES // 2 or keys.size + size > MAX_BYTES_OF_PROGRAM // 2:
            return
        entry.kept, entry.size = done.result() if error is None else error.anew(), size
        self._hold(keys, size)

    def _forget_old(self) -> None:
        now = self._clock()
        for program, keys in [*self._programs.items()]:
            while keys.ended and now - next(iter(keys.ended.values())).ended >= KEEP:
                self._forget_oldest(keys)
            if not keys:
                del self._programs[program]

    def _forget_oldest(self, keys: Keys) -> None:
        _, oldest = keys.ended.popitem(last=False)
        self._hold(keys, -oldest.size)

    def _hold(self, keys: Keys, size: int) -> None:
        keys.size += size
        self._held += size
