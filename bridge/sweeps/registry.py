"""All sweeps: those in progress, and the latest that have ended."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from time import time
from typing import Any

from ...common.errors import UiapiError
from ..comfyui.adapter import Comfy
from ..comfyui.run_tracker import Runs
from .exports import Export
from .runner import Runner
from .sweep import Sweep, Wish

# Sweeps in progress, and those kept after their end: how many, their bytes, and for how many seconds.
MAX_RUNNING = 8
MAX_ENDED = 32
MAX_BYTES = 128 * 2**20
KEEP = 3600.0
# IDs that were cancelled before a sweep with them had begun.
MAX_UNBEGUN = 1000
# Seconds between two reports of changed counts to the panels.
NOTICE_EVERY = 0.2


class Sweeps:
    """The sweeps.

    Args:
        comfy: the running ComfyUI.
        runs: tracks prompts.
        publish: sends an event to all who have subscribed.
        changed: called when the counts that the panels show have changed.
        spawn: runs a coroutine in a task that the bridge owns.
    """

    def __init__(
        self,
        comfy: Comfy,
        runs: Runs,
        publish: Callable[[str, dict[str, Any]], object],
        changed: Callable[[], None],
        spawn: Callable[[Any, str], asyncio.Task[Any]],
    ) -> None:
        self._comfy = comfy
        self._runs = runs
        self._publish = publish
        self._changed = changed
        self._spawn = spawn
        self._sweeps: dict[str, tuple[Sweep, Runner]] = {}
        self._unbegun: OrderedDict[str, None] = OrderedDict()
        self._notice: asyncio.TimerHandle | None = None

    def begin(
        self,
        program: str,
        wish: Wish,
        exports: Callable[[], AsyncIterator[list[Export]]],
        permission: Callable[[], Awaitable[None]],
        sweep_id: str | None = None,
    ) -> Sweep:
        """Begin a sweep, with the ID that its program has chosen if there is one; see Runner.

        Raises UiapiError `too_many`, `conflict` if the ID is not new, and `cancelled` if it was cancelled before.
        """
        self._tidy()
        if sweep_id in self._sweeps:
            raise UiapiError("conflict", "Another sweep has this sweep_id; choose a new one, such as a UUID.")
        if sweep_id in self._unbegun:
            raise UiapiError("cancelled", "The sweep was cancelled before it began; nothing was run.")
        if len(self.running()) >= MAX_RUNNING:
            raise UiapiError("too_many", f"{MAX_RUNNING} sweeps are in progress; wait for one, or cancel it.")
        sweep = Sweep(program, wish, self._publish, self._note, sweep_id)
        runner = Runner(sweep, self._comfy, self._runs, exports, permission)
        self._sweeps[sweep.sweep_id] = (sweep, runner)
        self._spawn(runner.run(), f"sweep {sweep.sweep_id}")
        self._note()
        return sweep

    def find(self, sweep_id: str) -> Sweep:
        """Return a sweep. Raises UiapiError `unknown_sweep`."""
        return self._find(sweep_id)[0]

    def stop(self, sweep_id: str, reason: UiapiError) -> Sweep:
        """Stop a sweep. Raises UiapiError `unknown_sweep`."""
        sweep, runner = self._find(sweep_id)
        runner.stop(reason)
        return sweep

    async def cancel(self, sweep_id: str, timeout: float) -> Sweep:
        """Stop a sweep and wait until nothing of it is in ComfyUI's queue, at most `timeout` seconds.

        Raises UiapiError `unknown_sweep`. If a sweep with this ID is yet to come, since its request is under way or
        waits for the person, it does not begin.
        """
        try:
            sweep = self.stop(sweep_id, UiapiError("cancelled", "The sweep was cancelled."))
        except UiapiError:
            self._unbegun[sweep_id] = None
            while len(self._unbegun) > MAX_UNBEGUN:
                self._unbegun.popitem(last=False)
            raise
        # A node that cannot be interrupted goes on to its end.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(sweep.over.wait(), timeout)
        return sweep

    def forget(self, sweep: Sweep) -> None:
        """Forget a sweep that did not begin."""
        self._sweeps.pop(sweep.sweep_id, None)

    def running(self) -> list[Sweep]:
        """Return the sweeps in progress."""
        return [sweep for sweep, _ in self._sweeps.values() if sweep.ended is None]

    def texts(self) -> Iterator[str]:
        """Yield texts that contain all content of prompts that are yet to be queued; called on threads."""
        for _, runner in [*self._sweeps.values()]:
            yield from runner.texts()

    def shown(self) -> list[dict[str, Any]]:
        """Return the sweeps in progress for the panel."""
        return [{"program": sweep.program, **sweep.progress()} for sweep in self.running()]

    def close(self) -> None:
        """Stop all sweeps when ComfyUI stops."""
        if self._notice is not None:
            self._notice.cancel()
        for _, runner in [*self._sweeps.values()]:
            reason = UiapiError("shutting_down", "ComfyUI is stopping; run the rest once it is back.")
            runner.stop(reason, "failed")

    def _find(self, sweep_id: str) -> tuple[Sweep, Runner]:
        self._tidy()
        found = self._sweeps.get(sweep_id)
        if found is None:
            sentence = "There is no sweep with this id; only the latest are kept, for an hour after their end."
            raise UiapiError("unknown_sweep", sentence, {"sweep_id": sweep_id[:80]})
        return found

    def _tidy(self) -> None:
        ended = [sweep for sweep, _ in self._sweeps.values() if sweep.ended is not None]
        ended.sort(key=lambda sweep: sweep.ended or 0, reverse=True)
        size = 0
        for at, sweep in enumerate(ended):
            size += sweep.size
            if at >= MAX_ENDED or (at and size > MAX_BYTES) or time() - (sweep.ended or 0) > KEEP:
                del self._sweeps[sweep.sweep_id]

    def _note(self) -> None:
        if self._notice is None:
            self._notice = asyncio.get_running_loop().call_later(NOTICE_EVERY, self._notify)

    def _notify(self) -> None:
        self._notice = None
        self._changed()
