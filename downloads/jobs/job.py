"""Runs downloads: fetches the models of a download in parallel, and keeps their state for status, pause and resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.error_report import plain, presentable, unforeseen
from ..common.urls import shown
from ..storage.model_folders import check_names
from ..workflow.required_models import Need
from . import registry
from .fetches import Agreed, Fetch, Fetches, Wish
from .source_choice import Choice, chosen

# States of a model that can be resumed.
RESUMABLE = frozenset({"paused", "error", "cancelled"})
# States of a model that has stopped.
ENDED = RESUMABLE | {"success"}
# Seconds between two measurements of a model's speed, and the weight of the newest measurement.
_SPEED_INTERVAL = 0.4
_SMOOTHING = 0.3


@dataclass
class Item:
    """One model of a download.

    Attributes:
        key: its name in the progress, with its directory if two models share a name.
        need: the file.
        choice: its source, None until the person gives one.
        entry: its progress, as download_status returns it.
    """

    key: str
    need: Need
    choice: Choice | None
    entry: dict[str, Any]
    task: asyncio.Task[None] | None = None
    fetch: Fetch | None = None
    failure: UiapiError | None = None
    # What the person agreed to, if they were asked.
    agreed: Agreed | None = None
    # "paused" or "cancelled" if it is being stopped, otherwise empty.
    ending: str = ""
    measured: tuple[float, int] = (0.0, 0)

    @property
    def state(self) -> str:
        """Its status in the progress."""
        return str(self.entry["status"])

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
        return self.busy or self.state == "pending"


@dataclass
class Run:
    """One download; `entry` is its state in the registry, as download_status returns it."""

    id: str
    entry: dict[str, Any]
    items: list[Item] = field(default_factory=list)
    overwrite: bool = False
    task: asyncio.Task[None] | None = None
    asking: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether it is running."""
        return self.task is not None and not self.task.done()

    @property
    def concluded(self) -> bool:
        """Whether it has ended or is paused."""
        return bool(self.entry["completed"] or self.entry["resumable"])

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


class AskUrls(Protocol):
    """Asks the person at the tab for URLs; UiapiError `declined`, `no_webui` or `timeout`."""

    def __call__(
        self, names: list[str], models: list[dict[str, Any]], timeout: float
    ) -> Awaitable[Mapping[str, str]]: ...


# Asks the person for the URLs of models; returns those they gave, by the needs' names.
Ask = Callable[[list[Need]], Awaitable[dict[str, ModelDef | str]]]


class Runner:
    """Runs downloads.

    Args:
        fetches: fetches files.
        ask: asks the person for URLs.
        changed: called when a run's state has changed and subscribers should be notified.
    """

    def __init__(self, fetches: Fetches, ask: Ask, changed: Callable[[Run], None]) -> None:
        self._fetches = fetches
        self._ask = ask
        self._changed = changed

    async def carry_out(self, run: Run) -> None:
        """Fetch all pending models of a run; the result is in its entry."""
        while any(item.unfinished for item in run.items):
            pending = [item for item in run.items if item.state == "pending" and not item.busy]
            for item in pending:
                if item.choice is not None:
                    self.begin(run, item)
            asked = [item for item in pending if item.choice is None]
            if asked:
                self._set(run, "waiting_for_url")
                run.asking = asyncio.create_task(self._ask_for(run, asked), name=f"uiapi ask for {run.id}")
                await asyncio.wait({run.asking})
                if not run.asking.cancelled():
                    run.asking.result()
            self._set(run, "downloading")
            while busy := [item.task for item in run.items if item.busy and item.task is not None]:
                await asyncio.wait(busy)
        self.conclude(run)

    def begin(self, run: Run, item: Item) -> None:
        """Start fetching one model whose source is known."""
        item.ending, item.measured = "", (0.0, 0)
        item.task = asyncio.create_task(self._one(run, item), name=f"uiapi download {run.id} {item.key}")

    def stop(self, run: Run, items: list[Item], ending: str) -> None:
        """Stop models as "paused" (their partial files are kept) or "cancelled" (they are removed)."""
        for item in items:
            if item.state in ("success", "error"):
                continue
            # A model already being stopped is closing its files, which a second cancellation would interrupt.
            leaving, item.ending = bool(item.ending), ending
            item.entry.update(status=ending, speed=None, eta=None)
            if item.busy and item.task is not None and not leaving:
                item.task.cancel()
        waits = any(item.state == "waiting_for_url" for item in run.items)
        if run.asking is not None and not run.asking.done() and not waits:
            run.asking.cancel()
        self._changed(run)

    async def _one(self, run: Run, item: Item) -> None:
        try:
            item.fetch = await self._fetches.begin(self._wish(run, item))
            path = await self._fetches.finish(item.fetch, keep_partial=lambda: item.ending == "paused")
            measure(item)
            item.entry.update(status="success", path=str(path), speed=None, eta=None, source=item.fetch.source)
        except asyncio.CancelledError:
            item.entry.update(status=item.ending or "cancelled", speed=None, eta=None)
        except UiapiError as error:
            fail(item, error)
        except Exception as error:  # The last line of defence: it fails this model only, which is not retried.
            fail(item, unforeseen(f"The download of {item.key}", error))
        # The fetch may hold an exception, whose traceback keeps its frames alive.
        item.fetch = None
        self._changed(run)

    def _wish(self, run: Run, item: Item) -> Wish:
        need, choice, directory = item.need, item.choice, item.directory
        assert choice is not None  # noqa: S101 - begin is only called with a known source
        if directory is None:
            raise UiapiError(
                "unknown_folder",
                f"The directory of {need.name} is unknown; give it, such as 'loras'.",
            )
        agreed = item.agreed or Agreed(None, run.overwrite)
        return Wish(directory, need.name, choice.model, choice.sha256, agreed.replaces, agreed.size)

    async def _ask_for(self, run: Run, asked: list[Item]) -> None:
        for item in asked:
            item.entry["status"] = "waiting_for_url"
        names = [item.need.name for item in asked]
        registry.pending_downloads[run.id] = {"timestamp": steady_time(), "task_id": run.id, "names": names}
        self._changed(run)
        try:
            answers = await self._ask([item.need for item in asked])
            refused = UiapiError("declined", "The person gave none.")
        except UiapiError as error:
            answers, refused = {}, error
        except Exception as error:  # The last line of defence: otherwise the models would wait forever.
            answers, refused = {}, unforeseen("The request for URLs", error)
        finally:
            registry.pending_downloads.pop(run.id, None)
        for item in asked:
            answer = answers.get(item.need.in_folder) or answers.get(item.need.name)
            if item.state != "waiting_for_url":
                continue
            if answer is None:
                fail(item, UiapiError(refused.code, f"No URL for {item.need.name}: {refused.message}"))
            else:
                item.choice = chosen(item.need, answer, "person")
                item.entry.update(status="pending")
                self.begin(run, item)

    def _set(self, run: Run, status: str) -> None:
        run.entry["status"] = status
        self._changed(run)

    def conclude(self, run: Run) -> None:
        """Set the run's status by the states of its models."""
        for item in run.items:
            if item.state not in ENDED:
                fail(
                    item,
                    UiapiError("internal", f"{item.key} was left {item.state}; download it again and report this."),
                )
        states = [item.state for item in run.items]
        if "paused" in states:
            run.entry.update(status="paused", resumable=True)
        elif states and all(state == "cancelled" for state in states):
            registry.finish(run.entry, "cancelled")
        elif states and not any(state == "success" for state in states):
            errors = [item.entry["error"] for item in run.items if item.state == "error"]
            registry.finish(run.entry, "error", errors[0])
        else:
            registry.finish(run.entry, "completed")
        self._changed(run)


def new_run(overwrite: bool) -> Run:
    """A download that has not started, without models."""
    run = Run(uuid4().hex[:12], {}, overwrite=overwrite)
    run.entry.update(
        status="initializing",
        completed=False,
        resumable=False,
        start_time=steady_time(),
        elapsed_time=0.0,
        total_models=0,
        current_model=0,
        progress={},
        unused=[],
    )
    return run


def resumable(run: Run, model: str | None) -> list[Item]:
    """The models of a run, or the one of that name, that can be resumed. UiapiError `unknown_model`."""
    return [item for item in ([run.item(model)] if model is not None else run.items) if item.state in RESUMABLE]


def items_of(
    needs: Iterable[tuple[Need, str | None, Choice | None, UiapiError | None]], *, overwrite: bool
) -> list[Item]:
    """The models of a download that has not started: models that are present have ended, the others are pending.

    Args:
        needs: each with the path of an existing file, its source, and the error of a damaged file.
        overwrite: whether damaged files, and those of models whose source the request gives, are replaced.
    """
    items: list[Item] = []
    taken: set[str] = set()
    for need, path, choice, damage in needs:
        item = new_item(need, choice, taken)
        items.append(item)
        requested = choice is not None and choice.origin == "request"
        if path is None or (overwrite and (requested or damage is not None)):
            continue
        if damage is not None:
            item.entry["path"] = path
            fail(item, damage)
        # A file whose digest the request itself gives is always hashed, so it stays pending.
        elif choice is None or not requested or choice.sha256 is None:
            item.entry.update(status="success", path=path, model_number="existing")
    return items


def new_item(need: Need, choice: Choice | None, taken: set[str]) -> Item:
    """A model of a download that has not started; its key is not in `taken`."""
    key = plain(need.name)
    if key in taken:
        key = plain(f"{need.directory}/{need.name}")
    taken.add(key)
    entry: dict[str, Any] = {
        "status": "pending",
        "path": None,
        "model_number": None,
        "error": None,
        "bytes": 0,
        "total": None,
        "speed": None,
        "eta": None,
        "directory": None,
    }
    item = Item(key, need, choice, entry)
    if item.directory is not None:
        entry["directory"] = plain(item.directory)
    if choice is not None and choice.model.url:
        # An invalid URL is reported when it is looked up, and must not stop other models.
        with suppress(ValueError):
            entry["url"] = plain(shown(choice.model.url) if "://" in choice.model.url else choice.model.url)
    try:
        check_names([need.name])
    except UiapiError as error:
        fail(item, error)
    return item


def measure(item: Item) -> None:
    """Update a model's progress: bytes, speed in bytes per second, and remaining time in seconds."""
    fetch = item.fetch
    if fetch is None or item.state in ENDED or not item.busy:
        return
    entry, progress, now = item.entry, fetch.progress, time.monotonic()
    done, total = progress.bytes, progress.total
    then, before = item.measured
    if now - then >= _SPEED_INTERVAL:
        if then and done >= before:
            speed = (done - before) / (now - then)
            last = entry.get("speed") or speed
            entry["speed"] = round(last + _SMOOTHING * (speed - last), 1)
        item.measured = (now, done)
    left = total - done if total is not None else None
    eta = round(left / entry["speed"], 1) if left is not None and entry.get("speed") else None
    state = "downloading" if progress.phase == "connecting" else progress.phase
    entry.update(status="pending" if state == "queued" else state, bytes=done, total=total, eta=eta)
    if fetch.address is not None:
        entry.update(url=fetch.address, source=fetch.source)


def fail(item: Item, error: UiapiError) -> None:
    """Mark a model as failed."""
    item.failure = error = presentable(error)
    item.entry.update(status="error", error=error.message, code=error.code, speed=None, eta=None)
    if error.details:
        item.entry["details"] = error.details
