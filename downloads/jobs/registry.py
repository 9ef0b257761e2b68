"""All downloads, when they expire, and the dicts of them that code outside this package reads and writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ...common.clock import steady_time
from ..common.credentials import redact
from ..common.error_report import log_defect
from .states import RunState

# Imported for the type checker only: ComfyUI waits for every extension to import, and this file is imported at startup.
if TYPE_CHECKING:
    from .job import Run

# Seconds a finished download stays in the registry.
TASK_CLEANUP_AGE = 3600


class Record(Protocol):
    """What is kept under the id of a download."""

    @property
    def over_since(self) -> float | None:
        """The time from which its age counts; None if it is not to be removed."""

    def to_dict(self) -> dict[str, Any]:
        """It, as code outside sees it."""


@dataclass(frozen=True)
class Question:
    """A download that waits for URLs from the person: its id, the names of its models, and when they were asked."""

    run_id: str
    names: list[str]
    over_since: float

    def to_dict(self) -> dict[str, Any]:
        """It, as code outside sees it."""
        return {"timestamp": self.over_since, "task_id": self.run_id, "names": self.names}


@dataclass(frozen=True)
class GivenTask:
    """A download that code outside entered as a dict, which is kept as it is."""

    entry: dict[str, Any]

    @property
    def completed(self) -> bool:
        """Whether it has ended."""
        return bool(self.entry.get("completed"))

    @property
    def over_since(self) -> float | None:
        """When it ended, None if it has not."""
        return (self.entry.get("completed_at") or self.entry.get("start_time") or 0.0) if self.completed else None

    def finish(self, state: RunState, error: str | None = None) -> None:
        """Note that it has ended, with its final state and the time."""
        now = steady_time()
        self.entry.update(status=state.value, completed=True, completed_at=now)
        if "start_time" in self.entry:
            self.entry["elapsed_time"] = now - self.entry["start_time"]
        if error is not None:
            self.entry["error"] = error

    def to_dict(self) -> dict[str, Any]:
        """The dict itself."""
        return self.entry


@dataclass(frozen=True)
class GivenQuestion:
    """A request for URLs that code outside entered as a dict, which is kept as it is."""

    entry: dict[str, Any]

    @property
    def over_since(self) -> float:
        """When the person was asked."""
        return float(self.entry.get("timestamp") or self.entry.get("start_time") or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The dict itself."""
        return self.entry


R = TypeVar("R", bound=Record)


class View(MutableMapping[str, dict[str, Any]], Generic[R]):
    """Records as dicts. A dict that is entered is kept as it is; one of a record of ours is a copy.

    Args:
        records: the records, by the id of a download.
        given: makes a record of a dict.
    """

    def __init__(self, records: dict[str, R], given: Callable[[dict[str, Any]], R]) -> None:
        self._records = records
        self._given = given

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._records[key].to_dict()

    def __setitem__(self, key: str, entry: dict[str, Any]) -> None:
        self._records[key] = self._given(entry)

    def __delitem__(self, key: str) -> None:
        del self._records[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def __repr__(self) -> str:
        return repr({**self})


class Jobs:
    """The downloads of this process, and the requests for URLs that the person has not answered."""

    def __init__(self) -> None:
        self.runs: dict[str, Run | GivenTask] = {}
        self.questions: dict[str, Question | GivenQuestion] = {}

    def add(self, run: Run) -> None:
        """List a download."""
        self.runs[run.id] = run

    def remove(self, run_id: str) -> None:
        """Remove a download, if it is listed."""
        self.runs.pop(run_id, None)

    def ask(self, run_id: str, names: list[str]) -> None:
        """Note that the person is asked for the URLs of these models."""
        self.questions[run_id] = Question(run_id, names, steady_time())

    def answered(self, run_id: str) -> None:
        """Note that the person is no longer asked."""
        self.questions.pop(run_id, None)

    def counts(self) -> tuple[int, int]:
        """The numbers of downloads in progress and of those waiting for the person."""
        return sum(not run.completed for run in self.runs.values()), len(self.questions)


jobs = Jobs()

# The dicts that `server.py` exports, by download_id: {status, completed, progress, start_time, total_models, …}, and
# {timestamp, task_id, names}.
download_tasks: View[Run | GivenTask] = View(jobs.runs, GivenTask)
pending_downloads: View[Question | GivenQuestion] = View(jobs.questions, GivenQuestion)


def cleanup_old_tasks() -> None:
    """Remove downloads that ended more than TASK_CLEANUP_AGE ago; unfinished downloads are never removed."""
    _remove_old(jobs.runs)


def cleanup_old_pending_downloads() -> None:
    """Remove requests for URLs made more than TASK_CLEANUP_AGE ago."""
    _remove_old(jobs.questions)


def _remove_old(records: dict[str, R]) -> None:
    now = steady_time()
    for key, record in [*records.items()]:
        if record.over_since is not None and now - record.over_since > TASK_CLEANUP_AGE:
            del records[key]


def counts() -> tuple[int, int]:
    """The numbers of downloads in progress and of those waiting for the person; expired ones are removed."""
    cleanup_old_tasks()
    cleanup_old_pending_downloads()
    return jobs.counts()


def _handle_task_exception(task: asyncio.Task[Any], task_id: str) -> None:
    """The done callback of background downloads: records an unexpected error in the download's status."""
    run = jobs.runs.get(task_id)
    if task.cancelled():
        if run is not None and not run.completed:
            run.finish(RunState.CANCELLED)
        return
    error = task.exception()
    if error is None:
        return
    log_defect(f"The download {task_id}", error)
    if run is not None:
        run.finish(RunState.ERROR, redact(str(error)) or type(error).__name__)
