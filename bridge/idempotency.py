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

# Seconds a key is remembered after its request came, and how many keys there are at the most.
KEEP = 600.0
MAX_KEYS = 1000
# Bytes of one answer that is kept for a repeat.
MAX_KEPT = 2**20
# Bytes of all requests with a key that are under way, whose callers may be gone, and of all answers that are kept,
# which are at most half of it.
MAX_BYTES = 8 * MAX_FRAME

# Refusals that certainly changed nothing and may not be repeated for ever: a repeat tries again.
NOT_TRIED = frozenset({"no_webui", "unknown_webui", "shutting_down", "too_many", "paused", "refused_by_person"})

Envelope = dict[str, Any]
Spawn = Callable[[Awaitable[Envelope], str], "asyncio.Task[Envelope]"]


@dataclass
class Entry:
    """One key: when it came, what was asked, and the task that carries it out or what is kept of what came of it.

    `size` is what it holds, in bytes: its request while that is under way, then what is kept.
    """

    came: float
    fingerprint: str
    size: int
    task: asyncio.Task[Envelope] | None
    kept: Envelope | BaseException | None = None


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
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()

    async def once(
        self, program: str, key: str, command: str, data: Any, work: Callable[[], Awaitable[Envelope]]
    ) -> Envelope:
        """The envelope of the program's first request with this key; `work` is only called for that one.

        Raises what the first raised; UiapiError `conflict` when the key was used for something else.
        """
        self._forget_old()
        asked = to_json([command, data])
        fingerprint = hashlib.sha256(asked).hexdigest()
        known = (program, key)
        entry = self._entries.get(known)
        if entry is None:
            if len(self._entries) >= MAX_KEYS:
                raise UiapiError("too_many", f"{MAX_KEYS} idempotency keys are in use; send the next in some minutes.")
            if self._size() + len(asked) > MAX_BYTES:
                raise UiapiError("too_many", "Requests with idempotency keys hold too much; wait for some of them.")
            task = self._spawn(work(), f"{command} once")
            self._entries[known] = Entry(self._clock(), fingerprint, len(asked), task)
            task.add_done_callback(lambda done: self._settle(known, done))
            return await asyncio.shield(task)
        if entry.fingerprint != fingerprint:
            raise UiapiError("conflict", "This idempotency key was used for another request; use a new one.")
        if entry.task is not None:
            return {**await asyncio.shield(entry.task), "repeated": True}
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

    def _settle(self, known: tuple[str, str], done: asyncio.Task[Envelope]) -> None:
        if done.cancelled():
            self._entries.pop(known, None)
            return
        error = done.exception()
        if isinstance(error, UiapiError) and (error.code in NOT_TRIED or error.details.get("delivered") is False):
            self._entries.pop(known, None)
            return
        entry = self._entries[known]
        entry.task, entry.size = None, 0
        if error is not None and not isinstance(error, UiapiError):
            # A defect, which is told with its traceback every time.
            entry.kept = error
            return
        size = len(encode(done.result() if error is None else error.envelope()))
        if size <= MAX_KEPT and self._size() + size <= MAX_BYTES // 2:
            entry.kept, entry.size = done.result() if error is None else error.anew(), size

    def _size(self) -> int:
        return sum(entry.size for entry in self._entries.values())

    def _forget_old(self) -> None:
        now = self._clock()
        for known, entry in [*self._entries.items()]:
            if now - entry.came < KEEP:
                break
            if entry.task is None:
                del self._entries[known]
