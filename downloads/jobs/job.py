"""A download and its models: their state, every change of it, and the dict in which programs see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.error_report import plain, presentable
from ..common.progress import Phase
from ..common.urls import shown
from ..finding.candidate import Candidate
from ..storage.model_folders import check_names
from ..workflow.required_models import Need
from .fetches import Agreed, Fetch
from .source_choice import Choice, chosen
from .states import ENDED, RESUMABLE, ItemState, RunState

# Seconds between two measurements of a model's speed, and the weight of the newest measurement.
_SPEED_INTERVAL = 0.4
_SMOOTHING = 0.3
# The number of a model that was present before its download started.
EXISTING = "existing"
# The state of a model by the phase of its fetch.
_BY_PHASE: dict[Phase, ItemState] = {
    "queued": ItemState.PENDING,
    "resolving": ItemState.RESOLVING,
    "waiting": ItemState.WAITING,
    "connecting": ItemState.DOWNLOADING,
    "downloading": ItemState.DOWNLOADING,
    "verifying": ItemState.VERIFYING,
}


@dataclass
class Item:
    """One model of a download. Its state is changed by its methods only.

    Attributes:
        key: its name in the progress, with its directory if two models share a name.
        need: the file.
        choice: its source, None until the person gives one.
        candidates: files that may be it, the likeliest first.
        number: its place among the models of the download, such as "2/5", or EXISTING.
        path: the path of the file, None while unknown.
        url: where it is downloaded from, None while unknown.
        source: the kind of that place, None while unknown.
        bytes: bytes present so far.
        total: bytes of the whole file, None while unknown.
        speed: bytes per second, None unless it is being downloaded.
        eta: the remaining time in seconds, None unless it is known.
        failure: why it failed.
        agreed: what the person agreed to, None if they were not asked.
        ending: paused or cancelled if it is being stopped, otherwise None.
    """

    key: str
    need: Need
    choice: Choice | None
    candidates: Sequence[Candidate] = ()
    number: str | None = None
    path: str | None = None
    url: str | None = None
    source: str | None = None
    bytes: int = 0
    total: int | None = None
    speed: float | None = None
    eta: float | None = None
    failure: UiapiError | None = None
    agreed: Agreed | None = None
    ending: ItemState | None = None
    task: asyncio.Task[None] | None = None
    fetch: Fetch | None = None
    _state: ItemState = ItemState.PENDING
    _measured: tuple[float, int] = (0.0, 0)

    @property
    def state(self) -> ItemState:
        """Its state."""
        return self._state

    @property
    def directory(self) -> str | None:
        """Its ComfyUI directory, None if unknown."""
        return self.need.directory or (self.choice.directory if self.choice else None)

    @property
    def busy(self) -> bool:
        """Whether it is being fetched."""
        return self.task is not None and not self.task.done()

    @property
    def unfinished(self) -> bool:
        """Whether it is being fetched or is waiting to be."""
        return self.busy or self._state is ItemState.PENDING

    @property
    def stoppable(self) -> bool:
        """Whether it can be paused or cancelled: it has neither succeeded nor failed."""
        return self._state not in (ItemState.SUCCESS, ItemState.ERROR)

    def begin(self, task: asyncio.Task[None]) -> None:
        """Note the task that fetches it."""
        self.ending, self._measured, self.task = None, (0.0, 0), task

    def wait_for_url(self) -> None:
        """Wait for the person to give a URL."""
        self._change(ItemState.WAITING_FOR_URL)

    def given(self, answer: ModelDef | str) -> None:
        """Take the source that the person gave."""
        self.choice = chosen(self.need, answer, "person")
        self._change(ItemState.PENDING)

    def again(self, agreed: Agreed | None) -> None:
        """Have it fetched once more, within the limits the person agreed to if asked."""
        self.agreed = agreed or self.agreed
        self.failure, self.ending = None, None
        self._change(ItemState.PENDING)

    def exists(self, path: str) -> None:
        """Note that the file was present before the download started."""
        self.path, self.number = path, EXISTING
        self._change(ItemState.SUCCESS)

    def succeed(self, path: str, source: str | None) -> None:
        """Note that the file is complete."""
        self.path, self.source = path, source
        self._change(ItemState.SUCCESS)

    def fail(self, error: UiapiError) -> None:
        """Note that it failed, with what its fetch has found out by then."""
        self.measure()
        self.failure = presentable(error)
        self._change(ItemState.ERROR)

    def stop(self, ending: ItemState) -> bool:
        """Mark it as paused or cancelled. Returns whether its task is to be cancelled.

        A model already being stopped is closing its files, which a second cancellation would interrupt.
        """
        self.measure()
        leaving, self.ending = self.ending is not None, ending
        self._change(ending)
        return self.busy and not leaving

    def stopped(self) -> None:
        """Note that its task was cancelled."""
        self._change(self.ending or ItemState.CANCELLED)

    def paused(self) -> None:
        """Note that it was unfinished when ComfyUI stopped."""
        self._change(ItemState.PAUSED)

    def measure(self) -> None:
        """Update its progress from that of its fetch."""
        fetch = self.fetch
        if fetch is None or self._state in ENDED or not self.busy:
            return
        progress, now = fetch.progress, time.monotonic()
        done, total = progress.bytes, progress.total
        then, before = self._measured
        if now - then >= _SPEED_INTERVAL:
            if then and done >= before:
                speed = (done - before) / (now - then)
                last = self.speed or speed
                self.speed = round(last + _SMOOTHING * (speed - last), 1)
            self._measured = (now, done)
        self.bytes, self.total = done, total
        self.eta = round((total - done) / self.speed, 1) if total is not None and self.speed else None
        if fetch.address is not None:
            self.url, self.source = fetch.address, fetch.source
        self._change(_BY_PHASE[progress.phase])

    def _change(self, state: ItemState) -> None:
        self._state = state
        if state in ENDED:
            self.speed = self.eta = None

    def to_dict(self) -> dict[str, Any]:
        """Its progress as `download_status` returns it."""
        failure = self.failure
        entry: dict[str, Any] = {
            "status": self._state.value,
            "path": self.path,
            "model_number": self.number,
            "error": failure.message if failure else None,
            "bytes": self.bytes,
            "total": self.total,
            "speed": self.speed,
            "eta": self.eta,
            "directory": plain(self.directory) if self.directory is not None else None,
        }
        if self.url is not None:
            entry["url"] = self.url
        # A file that went through the download has its source, even if that is unknown.
        if self.source is not None or (self._state is ItemState.SUCCESS and self.number != EXISTING):
            entry["source"] = self.source
        if failure is not None:
            entry["code"] = failure.code
            if failure.details:
                entry["details"] = failure.details
        return entry


@dataclass
class Run:
    """One download. Its state is changed by its methods only; times are in seconds.

    Attributes:
        id: its id.
        items: its models.
        overwrite: whether existing files are replaced.
        program: the name of the program that wants it; empty for the person's own.
        started: when it started.
        elapsed: how long it has been running, None while that is unknown.
        ended: when it ended, None if it has not.
        completed: whether it has ended.
        resumable: whether it was paused.
        total_models: how many models it downloads, without those that were present.
        current_model: how many of these have begun.
        unused: names in the request's table that it does not need, None if it is not known.
        error: why it failed as a whole.
        message: what else is to be said of it.
    """

    id: str
    items: list[Item] = field(default_factory=list)
    overwrite: bool = False
    program: str = ""
    started: float = field(default_factory=steady_time)
    elapsed: float | None = None
    ended: float | None = None
    completed: bool = False
    resumable: bool = False
    total_models: int = 0
    current_model: int = 0
    unused: list[str] | None = None
    error: str | None = None
    message: str | None = None
    task: asyncio.Task[None] | None = None
    asking: asyncio.Task[None] | None = None
    _state: RunState = RunState.INITIALIZING

    @property
    def state(self) -> RunState:
        """Its state."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether it is running."""
        return self.task is not None and not self.task.done()

    @property
    def concluded(self) -> bool:
        """Whether it has ended or is paused."""
        return self.completed or self.resumable

    @property
    def over_since(self) -> float | None:
        """When it ended, None if it has not."""
        return (self.ended or self.started) if self.completed else None

    def item(self, name: str) -> Item:
        """The model of that name. UiapiError `unknown_model`."""
        for item in self.items:
            if name in (item.key, item.need.name, f"{item.need.directory}/{item.need.name}"):
                return item
        raise UiapiError(
            "unknown_model",
            f"The download {self.id} has no model {name!r}.",
            {"models": [item.key for item in self.items]},
        )

    def change(self, state: RunState) -> None:
        """Note how far it is; its end is noted by `pause` or `finish`."""
        self._state = state

    def begin(self) -> list[Item]:
        """Note that it starts now, and number the models to download, which are returned."""
        self.started = steady_time()
        wanted = [item for item in self.items if item.number != EXISTING]
        for number, item in enumerate(wanted, 1):
            item.number = f"{number}/{len(wanted)}"
        self.total_models = len(wanted)
        return wanted

    def pause(self) -> None:
        """Note that it is paused."""
        self._state, self.resumable = RunState.PAUSED, True

    def finish(self, state: RunState, error: str | None = None) -> None:
        """Note that it has ended, with its final state and the time."""
        now = steady_time()
        self._state, self.completed, self.ended, self.elapsed = state, True, now, now - self.started
        if error is not None:
            self.error = error

    def conclude(self) -> None:
        """Set its state by the states of its models, which have all stopped."""
        states = [item.state for item in self.items]
        if ItemState.PAUSED in states:
            self.pause()
        elif states and all(state is ItemState.CANCELLED for state in states):
            self.finish(RunState.CANCELLED)
        elif states and ItemState.SUCCESS not in states:
            failures = [item.failure for item in self.items if item.state is ItemState.ERROR]
            self.finish(RunState.ERROR, failures[0].message if failures[0] else None)
        else:
            self.finish(RunState.COMPLETED)

    def again(self) -> None:
        """Note that some of its models are to be fetched once more."""
        self.completed = self.resumable = False
        self.ended = self.error = self.message = None

    def measure(self) -> None:
        """Update its progress and that of its models."""
        for item in self.items:
            item.measure()
        waiting = (ItemState.PENDING, ItemState.WAITING_FOR_URL)
        self.current_model = sum(item.state not in waiting for item in self.items if item.task is not None)
        if not self.completed:
            self.elapsed = steady_time() - self.started

    def to_dict(self) -> dict[str, Any]:
        """Its state as `download_status` returns it."""
        entry: dict[str, Any] = {
            "status": self._state.value,
            "completed": self.completed,
            "resumable": self.resumable,
            "start_time": self.started,
            "total_models": self.total_models,
            "current_model": self.current_model,
            "progress": {item.key: item.to_dict() for item in self.items},
        }
        sometimes = {
            "elapsed_time": self.elapsed,
            "unused": self.unused,
            "completed_at": self.ended,
            "error": self.error,
            "message": self.message,
        }
        return {**entry, **{key: value for key, value in sometimes.items() if value is not None}}


def new_run(overwrite: bool) -> Run:
    """A download that has not started, without models."""
    return Run(uuid4().hex[:12], overwrite=overwrite, elapsed=0.0, unused=[])


def resumable(run: Run, model: str | None) -> list[Item]:
    """The models of a run, or the one of that name, that can be resumed. UiapiError `unknown_model`."""
    return [item for item in ([run.item(model)] if model is not None else run.items) if item.state in RESUMABLE]


def new_item(need: Need, choice: Choice | None, taken: set[str]) -> Item:
    """A model of a download that has not started; its key is not in `taken`."""
    key = plain(need.in_folder if plain(need.name) in taken else need.name)
    taken.add(key)
    item = Item(key, need, choice)
    if choice is not None and choice.model.url:
        # An invalid URL is reported when it is looked up, and must not stop other models.
        with suppress(ValueError):
            item.url = plain(shown(choice.model.url) if "://" in choice.model.url else choice.model.url)
    try:
        check_names([need.name])
    except UiapiError as error:
        item.fail(error)
    return item
