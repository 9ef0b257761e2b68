"""Tracks executions by ComfyUI's own events, from its queue to its history.

The events come from ComfyUI's executor thread (see Comfy.tap); nothing is polled. A prompt has ended when it is in
ComfyUI's history. ComfyUI sends a `status` event then, and whenever its queue changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ...common.errors import UiapiError
from ..protocol.subscriptions import Subscriptions
from .adapter import PREVIEW_IMAGE_WITH_METADATA, UNENCODED_PREVIEW_IMAGE, Comfy, names_of
from .outputs import shortened
from .previews import Emit, Preview, Previews

log = logging.getLogger("uiapi")

# Prompts kept between ComfyUI's first event about them and the tab's answer with their ids.
MAX_UNCLAIMED = 64
# Events kept for one such prompt.
MAX_BACKLOG = 256

# ComfyUI's event names, and ours.
EVENTS = {
    "execution_start": "execution_start",
    "execution_cached": "execution_cached",
    "executing": "executing",
    "progress": "progress",
    "executed": "output",
    "execution_success": "execution_success",
    "execution_error": "execution_error",
    "execution_interrupted": "execution_interrupted",
}
# The last event of a prompt is one of these.
ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


@dataclass(eq=False)
class Run:
    """One prompt; times are seconds of the monotonic clock, measured on ComfyUI's executor thread."""

    prompt_id: str
    started: float | None = None
    ended: float | None = None
    emit: Emit | None = None
    # Called when it has ended, with `entry` or `error` set; None while the prompt is unclaimed.
    on_end: Callable[[], None] | None = None
    entry: dict[str, Any] | None = None
    error: UiapiError | None = None
    backlog: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    preview: Preview | None = None

    def report(self, event: str, data: dict[str, Any]) -> None:
        """Send an event, or keep it until the prompt is claimed."""
        if self.emit is not None:
            self.emit(event, data)
        elif self.on_end is None and len(self.backlog) < MAX_BACKLOG:
            self.backlog.append((event, data))

    @property
    def over(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.entry is not None or self.error is not None

    def end(self, entry: dict[str, Any] | None = None, error: UiapiError | None = None) -> None:
        """Set the result, and call `on_end` immediately."""
        self.entry, self.error = entry, error
        if self.on_end is not None:
            self.on_end()

    @property
    def execution_time(self) -> float | None:
        """Seconds ComfyUI took; None if the start was missed."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started


class Runs:
    """The tracked executions.

    Args:
        comfy: the running ComfyUI.
        subscriptions: get the events of every execution, including the person's own.
    """

    def __init__(self, comfy: Comfy, subscriptions: Subscriptions) -> None:
        self._comfy = comfy
        self._subscriptions = subscriptions
        self._previews = Previews(self._preview_sent)
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._expecting = 0
        # The id and the nodes of the prompt that ran last.
        self._running: tuple[str, dict[str, Any]] = ("", {})
        self._untap: Callable[[], None] | None = None

    def start(self) -> None:
        """Start listening to ComfyUI's events."""
        self._untap = self._comfy.tap(self._on_comfyui_event)

    def close(self) -> None:
        """Stop listening, and end all waits with an error."""
        if self._untap is not None:
            self._untap()
            self._untap = None
        self._previews.close()
        for run in [*self._runs.values()]:
            if not run.over:
                run.end(
                    error=UiapiError(
                        "shutting_down",
                        "ComfyUI is stopping, which ends this run; run the workflow again once it is back.",
                        {"prompt_id": run.prompt_id},
                    )
                )
        self._runs.clear()

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """A context for queueing: keeps events of unknown prompts, which may start or end before their id is known."""
        self._expecting += 1
        try:
            yield
        finally:
            self._expecting -= 1
            if not self._expecting:
                for prompt_id in [run.prompt_id for run in self._runs.values() if run.on_end is None]:
                    del self._runs[prompt_id]

    def wait(self, prompt_ids: Sequence[str], emit: Emit | None, timeout: float) -> asyncio.Future[list[Run]]:
        """Return a future with the runs of these prompts, set when all have ended or after `timeout` seconds.

        Call it inside `expecting`, since a run may have started or ended already. `emit` gets the events of all runs.
        Cancelling the future stops the wait, not the runs.
        """
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[list[Run]] = loop.create_future()
        runs = [self._runs.setdefault(prompt_id, Run(prompt_id)) for prompt_id in prompt_ids]

        def finish() -> None:
            if not waiting.done():
                waiting.set_result(runs)

        def ended() -> None:
            if all(run.over for run in runs):
                finish()

        timer = loop.call_later(timeout, finish)

        def release(_: object) -> None:
            timer.cancel()
            for run in runs:
                self._runs.pop(run.prompt_id, None)

        waiting.add_done_callback(release)
        queued = self._comfy.queued_ids()
        for run in runs:
            self._claim(run, emit, ended, queued)
        return waiting

    def _claim(self, run: Run, emit: Emit | None, on_end: Callable[[], None], queued: set[str]) -> None:
        """Send the kept events of a prompt, and all further ones from now on."""
        run.on_end = on_end
        run.emit = emit
        backlog, run.backlog = run.backlog, []
        for event, data in backlog:
            run.report(event, data)
        if run.preview is not None and emit is not None:
            self._previews.show(run.prompt_id, run.preview, [emit])
        run.preview = None
        self._settle(run, queued)

    # -- ComfyUI's events -----------------------------------------------------------------------------------

    def _on_comfyui_event(self, event: Any, data: Any) -> None:
        # Runs on ComfyUI's executor thread, so it does as little as possible.
        if self._expecting or self._runs or len(self._subscriptions):
            self._comfy.loop.call_soon_threadsafe(self._on_event, event, data, monotonic())

    def _on_event(self, event: Any, data: Any, when: float) -> None:
        if event == "status":
            if self._runs:
                queued = self._comfy.queued_ids()
                for waiting in [*self._runs.values()]:
                    self._settle(waiting, queued)
        elif event in (PREVIEW_IMAGE_WITH_METADATA, UNENCODED_PREVIEW_IMAGE):
            self._on_preview(event, data)
        elif event in EVENTS and isinstance(data, dict) and data.get("prompt_id"):
            self._on_run_event(event, data, when)

    def _on_run_event(self, event: str, data: dict[str, Any], when: float) -> None:
        if event == "executing" and data.get("node") is None:
            # ComfyUI's older end event. It comes after the end, and either before or after our answer.
            return
        if event == "executed":
            data = {**data, "output": shortened(data.get("output"))}
        elif event == "executing":
            data = {**data, **self._named(data["prompt_id"], data["node"])}
        run = self._run_of(data["prompt_id"])
        if run is not None:
            if event == "execution_start":
                run.started = when
            elif event.startswith("execution_") and event != "execution_cached":
                run.ended = when
            run.report(EVENTS[event], data)
        self._subscriptions.publish(EVENTS[event], data)
        if event in ENDS:
            self._running = ("", {})

    def _named(self, prompt_id: str, node_id: Any) -> dict[str, Any]:
        """Return the title and type of a node of the running prompt."""
        if self._running[0] != prompt_id:
            self._running = (prompt_id, self._comfy.prompt_of(prompt_id))
        title, node_type = names_of(self._running[1].get(str(node_id)))
        return {"title": title, "node_type": node_type}

    def _run_of(self, prompt_id: str) -> Run | None:
        run = self._runs.get(prompt_id)
        if run is None and self._expecting:
            run = self._runs[prompt_id] = Run(prompt_id)
            unclaimed = [item.prompt_id for item in self._runs.values() if item.on_end is None]
            if len(unclaimed) > MAX_UNCLAIMED:
                del self._runs[unclaimed[0]]
        return run

    def _settle(self, run: Run, queued: set[str], caught_up: bool = False) -> None:
        if run.on_end is None or run.over:
            return
        # Read after the queue: in between, a prompt can only move from the queue to the history.
        entry = self._comfy.history_of(run.prompt_id)
        if entry is not None:
            # The end must be reported last; this is called again once the pending preview has been sent.
            if run.emit is not None and self._previews.owes(run.prompt_id):
                return
            if run.ended is None and not caught_up:
                # The history can be ahead of ComfyUI's events, which are already scheduled; check again after them.
                self._comfy.loop.call_soon(self._settle, run, queued, True)
                return
            run.end(entry)
        elif run.prompt_id not in queued:
            if run.started is None and not caught_up:
                self._comfy.loop.call_soon(self._settle, run, queued, True)
                return
            run.end(error=_vanished(run))

    def _on_preview(self, event: int, data: Any) -> None:
        if event == PREVIEW_IMAGE_WITH_METADATA:
            picture, about = data
        else:
            picture, about = data, {"prompt_id": self._comfy.running_prompt_id()}
        prompt_id = about.get("prompt_id")
        run = self._run_of(prompt_id) if prompt_id else None
        if run is not None and run.on_end is None:
            run.preview = (picture, dict(about))
        emits: list[Emit] = [run.emit] if run is not None and run.emit is not None else []
        if self._subscriptions.has_subscriber("preview"):
            emits.append(self._subscriptions.publish)
        if emits:
            self._previews.show(prompt_id, (picture, dict(about)), emits)

    def _preview_sent(self, prompt_id: str | None) -> None:
        run = self._runs.get(prompt_id) if prompt_id else None
        if run is not None:
            self._settle(run, self._comfy.queued_ids())


def _vanished(run: Run) -> UiapiError:
    """Return the error for a prompt that is neither in ComfyUI's queue nor in its history."""
    if run.started is None:
        return UiapiError(
            "execution_interrupted",
            "The prompt was removed from ComfyUI's queue before it ran; run it again if that was not intended.",
            {"prompt_id": run.prompt_id},
        )
    return UiapiError(
        "result_lost",
        "The run has ended, but it is no longer in ComfyUI's history, so its result is unknown; "
        "check ComfyUI's output directory before you run it again.",
        {"prompt_id": run.prompt_id},
    )
