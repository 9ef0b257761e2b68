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

from .errors import UiapiError

# Seconds a key is remembered after its request came, and how many keys there are at the most.
KEEP = 600.0
MAX_KEYS = 1000
# Bytes of an answer that is kept for a repeat.
MAX_KEPT = 2**20

# Refusals that certainly changed nothing and may not be repeated for ever: a repeat tries again.
NOT_TRIED = frozenset({"no_webui", "unknown_webui", "shutting_down", "too_many", "paused", "refused_by_person"})

Envelope = dict[str, Any]
Spawn = Callable[[Awaitable[Envelope], str], "asyncio.Task[Envelope]"]


@dataclass
class Entry:
    """One key: when it came, what was asked, and the task that carries it out; None once its answer was dropped."""

    came: float
    fingerprint: str
    task: asyncio.Task[Envelope] | None


class Repeats:
    """The keys of the last minutes.

    Args:
        spawn: runs a coroutine in a task that outlives its caller, since a caller that lost its connection is
            the one that comes again.
        clock: seconds.
    """

    def __init__(self, spawn: Spawn, clock: Callable[[], float] = monotonic) -> None:
        self._spawn = spawn
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def once(self, key: str, command: str, data: Any, work: Callable[[], Awaitable[Envelope]]) -> Envelope:
        """The envelope of the first request with this key; `work` is only called for that one.

        Raises what the first raised; UiapiError `conflict` when the key was used for something else.
        """
        self._forget_old()
        fingerprint = hashlib.sha256(to_json([command, data])).hexdigest()
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_KEYS:
                raise UiapiError("too_many", f"{MAX_KEYS} idempotency keys are in use; send the next in some minutes.")
            task = self._spawn(work(), f"{command} once")
            entry = self._entries[key] = Entry(self._clock(), fingerprint, task)
            task.add_done_callback(lambda done: self._settle(key, done))
            return await asyncio.shield(task)
        if entry.fingerprint != fingerprint:
            raise UiapiError("conflict", "This idempotency key was used for another request; use a new one.")
        if entry.task is None:
            raise UiapiError(
                "conflict",
                "This request was carried out, but its answer was too large to keep; look at ComfyUI's history.",
            )
        return {**await asyncio.shield(entry.task), "repeated": True}

    def _settle(self, key: str, done: asyncio.Task[Envelope]) -> None:
        if done.cancelled():
            self._entries.pop(key, None)
            return
        error = done.exception()
        if error is None and len(to_json(done.result())) > MAX_KEPT:
            self._entries[key].task = None
        if isinstance(error, UiapiError) and (error.code in NOT_TRIED or error.details.get("delivered") is False):
            self._entries.pop(key, None)

    def _forget_old(self) -> None:
        now = self._clock()
        for key, entry in [*self._entries.items()]:
            if now - entry.came < KEEP:
                break
            if entry.task is None or entry.task.done():
                del self._entries[key]
