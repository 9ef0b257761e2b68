"""Carries a sweep out: takes the exports from the page, queues a few at a time, and collects the results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ...common.errors import UiapiError
from ..comfyui.adapter import Comfy
from ..comfyui.outputs import failure_of, inline_files, outputs_of
from ..comfyui.run_tracker import Run, Runs
from ..protocol.command_spec import MAX_TIMEOUT
from .exports import Export
from .sweep import Status, Sweep

# Prompts in ComfyUI's queue at a time, so that the person's own run is not last in a long line.
AT_A_TIME = 4
# Bytes of exports that wait to be queued; the page goes on once there are fewer.
MAX_WAITING = 64 * 2**20
# Codes with which the whole sweep fails if its first export does, since every variation names the same fields.
WRONG_FIELDS = frozenset({"unknown_path", "ambiguous_path"})


class Runner:
    """Carries out one sweep.

    Args:
        sweep: its state.
        comfy: the running ComfyUI.
        runs: tracks prompts.
        exports: yields the exports in the order of their indices; raises UiapiError if the page cannot go on.
        permission: returns when programs may run something; raises UiapiError if they may not any more.
    """

    def __init__(
        self,
        sweep: Sweep,
        comfy: Comfy,
        runs: Runs,
        exports: Callable[[], AsyncIterator[list[Export]]],
        permission: Callable[[], Awaitable[None]],
    ) -> None:
        self._sweep = sweep
        self._comfy = comfy
        self._runs = runs
        self._exports = exports
        self._permission = permission
        # The exports that are yet to be queued, their bytes, and whether there will be more.
        self._waiting: deque[tuple[int, Export]] = deque()
        self._held = 0
        self._exporting = True
        # Set when the exports, or whether there will be more, have changed.
        self._turn = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_A_TIME)
        # The prompts in ComfyUI's queue or running, and the tasks that wait for them.
        self._queued: set[str] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._exporter: asyncio.Task[None] | None = None
        # Why the sweep was stopped, or why the page did not export the rest; and how the sweep ends.
        self._reason: UiapiError | None = None
        self._missing: UiapiError | None = None
        self._stopped = asyncio.Event()
        self._end: Status = "finished"

    def texts(self) -> list[str]:
        """Return texts that contain all content of the prompts that are yet to be queued."""
        return [text for _, export in [*self._waiting] for text in export.texts()]

    def stop(self, reason: UiapiError, status: Status = "cancelled", *, interrupts: bool = True) -> None:
        """End the sweep: nothing more is queued, and what is in the queue is removed, or interrupted if it runs."""
        if self._reason is not None or self._sweep.ended is not None:
            return
        self._reason, self._end = reason, status
        self._stopped.set()
        if self._exporter is not None:
            self._exporter.cancel()
        for prompt_id in [*self._queued]:
            self._comfy.cancel(prompt_id)
        if interrupts:
            self._comfy.interrupt_only(self._queued)

    async def run(self) -> None:
        """Carry it out; returns once all prompts have ended."""
        self._exporter = asyncio.create_task(self._export(), name="uiapi export of a sweep")
        try:
            while (item := await self._next()) is not None:
                await self._carry_out(*item)
            if self._following:
                await asyncio.wait(self._following)
        except asyncio.CancelledError:
            self.stop(UiapiError("shutting_down", "ComfyUI is stopping; run the rest once it is back."), "failed")
            raise
        finally:
            self._exporter.cancel()
            for task in self._following:
                task.cancel()
            await asyncio.gather(self._exporter, *self._following, return_exceptions=True)
            self._finish()

    def _finish(self) -> None:
        self._waiting.clear()
        if self._reason is not None:
            rest = ("cancelled", self._reason)
        else:
            rest = ("error", self._missing or UiapiError("tab_failed", "The page did not export this variation."))
        self._sweep.end(self._end, rest)

    # -- exporting ------------------------------------------------------------------------------------------------

    async def _export(self) -> None:
        sweep = self._sweep
        try:
            async for exports in self._exports():
                for export in exports:
                    if sweep.exported == 0 and export.error is not None and export.error.code in WRONG_FIELDS:
                        raise export.error
                    self._held += export.size
                    self._waiting.append((sweep.exported, export))
                    sweep.exported += 1
                self._turn.set()
                if not sweep.started.done():
                    sweep.started.set_result(None)
                while self._held > MAX_WAITING:
                    self._turn.clear()
                    await self._turn.wait()
        except UiapiError as error:
            self._missing, self._end = error, "failed"
            if not sweep.started.done():
                sweep.started.set_exception(error)
            else:
                missing = sweep.total - sweep.exported
                sweep.warn(f"The last {missing} of {sweep.total} could not be exported: {error.message}")
        finally:
            self._exporting = False
            self._turn.set()

    async def _next(self) -> tuple[int, Export] | None:
        """Return the next export once ComfyUI's queue has room for it; None if there is none, or after a stop."""
        taking = asyncio.ensure_future(self._take())
        stopping = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return None if self._stopped.is_set() else taking.result()
        except UiapiError as error:
            self.stop(error)
            return None
        finally:
            taking.cancel()
            stopping.cancel()

    async def _take(self) -> tuple[int, Export] | None:
        await self._slots.acquire()
        while not self._waiting:
            if not self._exporting:
                return None
            self._turn.clear()
            await self._turn.wait()
        await self._permission()
        index, export = self._waiting.popleft()
        self._held -= export.size
        self._turn.set()
        return index, export

    # -- running --------------------------------------------------------------------------------------------------

    async def _carry_out(self, index: int, export: Export) -> None:
        """Queue a prompt and follow it in a task."""
        if export.error is not None:
            self._failed(index, export, export.error)
            self._slots.release()
            return
        try:
            with self._runs.expecting():
                queued = await self._comfy.queue_body(export.body())
                prompt_id = str(queued["prompt_id"])
                self._queued.add(prompt_id)
                ending = self._runs.wait([prompt_id], None, MAX_TIMEOUT)
        except UiapiError as error:
            self._failed(index, export, error)
            self._slots.release()
            return
        finally:
            export.drop()
        if queued.get("node_errors"):
            named = ", ".join(f"#{node}" for node in queued["node_errors"])
            export.warnings.append(f"ComfyUI left out the outputs that need these nodes, which have errors: {named}.")
        if self._stopped.is_set():
            # It was stopped while ComfyUI accepted this one.
            self._comfy.cancel(prompt_id)
            self._comfy.interrupt_only({prompt_id})
        following = asyncio.create_task(self._follow(index, export, prompt_id, ending), name="uiapi prompt of a sweep")
        self._following.add(following)
        following.add_done_callback(self._following.discard)

    def _failed(self, index: int, export: Export, error: UiapiError) -> None:
        self._sweep.report(self._sweep.result(index, "error", export=export, error=error))
        if self._sweep.wish.stops:
            reason = UiapiError("cancelled", f"Not run, since variation {index} failed and on_error is stop.")
            self.stop(reason, "failed")

    async def _follow(self, index: int, export: Export, prompt_id: str, ending: asyncio.Future[list[Run]]) -> None:
        try:
            [run] = await ending
            self._queued.discard(prompt_id)
            await self._ended(index, export, run)
        finally:
            self._queued.discard(prompt_id)
            self._slots.release()

    async def _ended(self, index: int, export: Export, run: Run) -> None:
        sweep = self._sweep
        failure = run.error if run.entry is None else failure_of(run.entry, run.prompt_id)
        if run.entry is None and failure is None:
            failure = UiapiError("timeout", f"The prompt did not end within {MAX_TIMEOUT:g} s and goes on.")
        files = [] if run.entry is None else sweep.room().fit(outputs_of(run.entry))
        if failure is not None and failure.code == "execution_interrupted":
            error = self._reason or failure
            sweep.report(
                sweep.result(index, "cancelled", export=export, prompt_id=run.prompt_id, files=files, error=error)
            )
            self._interrupted(run)
            return
        result = sweep.result(
            index,
            "success" if failure is None else "error",
            export=export,
            prompt_id=run.prompt_id,
            files=files,
            error=failure,
            execution_time=run.execution_time,
        )
        sweep.report(result, await self._with_content(result))
        if failure is not None and sweep.wish.stops:
            reason = UiapiError("cancelled", f"Not run, since variation {index} failed and on_error is stop.")
            self.stop(reason, "failed")

    def _interrupted(self, run: Run) -> None:
        """Stop the sweep if somebody has interrupted it or cleared the queue, but not if they removed one prompt."""
        waiting = self._comfy.queued_ids() - self._running()
        if run.started is not None or self._queued.isdisjoint(waiting):
            reason = "The sweep was stopped; run the rest again if that was not intended."
            # A person who clears the queue lets the running prompt go on.
            self.stop(UiapiError("execution_interrupted", reason), interrupts=False)

    def _running(self) -> set[str]:
        running, _ = self._comfy.queued()
        return {item["prompt_id"] for item in running}

    async def _with_content(self, result: dict[str, Any]) -> dict[str, Any] | None:
        """Return a result with its files as base64; None unless the program waits and has asked for that."""
        if self._sweep.wish.outputs != "base64" or self._sweep.emit is None or not result["files"]:
            return None
        try:
            return {**result, "files": await inline_files(self._comfy, result["files"], 0)}
        except UiapiError as error:
            return {**result, "warnings": [*result["warnings"], error.message]}
