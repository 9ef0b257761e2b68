"""The state of a running sweep: which results have come, in which order they are passed on, and how it ended.

It sends nothing itself. Results come from events and from answers to `sweep_status`; each is passed on once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common.errors import UiapiError
from .item import SweepItem, item_of
from .order import Order

RUNNING, FINISHED = "running", "finished"
# The status of a variation that was stopped or never began, usually because the whole sweep was stopped.
CANCELLED = "cancelled"


class Ledger:
    """The state of one sweep.

    Args:
        ordered: pass results on in the order of their index instead of as they come.
        sweep_id: its ID.

    Attributes:
        sweep_id: its ID.
        total, done, failed: how many variations there are, succeeded and failed.
        status: "running", "finished", "failed" or "cancelled".
        warnings: about the sweep as a whole.
    """

    def __init__(self, ordered: bool, sweep_id: str) -> None:
        self.sweep_id = sweep_id
        self.total = self.done = self.failed = 0
        self.status = RUNNING
        self.warnings: list[str] = []
        self._order = Order(ordered)
        self._removed: list[SweepItem] = []
        self._seen: set[int] = set()
        # Every index below it has come.
        self._first = 0
        self._drained = False

    @property
    def begun(self) -> bool:
        """Whether the server has answered."""
        return self.total > 0

    @property
    def complete(self) -> bool:
        """Whether the sweep has ended and all of its results have come."""
        return self._drained

    @property
    def behind(self) -> bool:
        """Whether the server has more results than have come here, since events were lost or the sweep has ended."""
        return not self.complete and (self.status != RUNNING or len(self._seen) < self.done + self.failed)

    @property
    def count(self) -> int:
        """How many results have come."""
        return len(self._seen)

    @property
    def query(self) -> dict[str, Any]:
        """The parameters of `sweep_status` for what has not come yet."""
        return {"sweep_id": self.sweep_id, "first": self._first}

    def take_event(self, data: Mapping[str, Any]) -> None:
        """Note an event `sweep_progress`; those of other sweeps are ignored."""
        if data.get("sweep_id") == self.sweep_id:
            self._note(data)
            if isinstance(data.get("result"), Mapping):
                self._take(data["result"])
            if self.status != RUNNING and len(self._seen) >= self.total:
                self._drain()

    def take_answer(self, answer: Mapping[str, Any]) -> int | None:
        """Note an answer to `sweep` or `sweep_status`; returns the index to ask for next, None if there is nothing."""
        self.sweep_id = str(answer["sweep_id"])
        self._note(answer)
        self.warnings = [str(warning) for warning in answer.get("warnings") or self.warnings]
        results = answer.get("results") or ()
        for result in results:
            self._take(result)
        following: int | None = answer.get("next")
        if following is None and self.status != RUNNING:
            self._drain()
        # While the sweep runs, the last answer names the first variation that has not ended.
        return following if results else None

    def take(self) -> SweepItem | None:
        """Returns the next result to pass on, or None."""
        return self._order.take()

    def failure(self) -> UiapiError | None:
        """Returns why variations were left out, or None if all were run."""
        if self.status == FINISHED or not (self._removed or self.status == CANCELLED):
            return None
        reason = self._removed[-1].error if self._removed else None
        done = f"{self.done} of {self.total} variations are done."
        if reason is None:
            return UiapiError("cancelled", f"The sweep was stopped; {done}", self.details())
        sentence = f"The sweep ended early; {done} {reason.message}"
        return UiapiError(reason.code, sentence, {**reason.details, **self.details()}, reason.status)

    def late(self, seconds: float) -> UiapiError:
        """Returns the error for a sweep that took too long."""
        sentence = f"The sweep took longer than {seconds:g} s; {self.done} of {self.total} variations are done."
        return UiapiError("timeout", sentence, self.details())

    def details(self) -> dict[str, Any]:
        """Returns the state for an error."""
        return {"sweep_id": self.sweep_id, "total": self.total, "done": self.done, "failed": self.failed}

    def _note(self, data: Mapping[str, Any]) -> None:
        # An answer may be older than the events that overtook it.
        self.total = data.get("total") or self.total
        self.done = max(self.done, data.get("done") or 0)
        self.failed = max(self.failed, data.get("failed") or 0)
        if self.status == RUNNING:
            self.status = data.get("status") or RUNNING

    def _take(self, result: Mapping[str, Any]) -> None:
        index = int(result["index"])
        if index in self._seen:
            return
        self._seen.add(index)
        while self._first in self._seen:
            self._first += 1
        item = item_of(result)
        removed = item.status == CANCELLED
        if removed:
            self._removed.append(item)
        self._order.put(index, None if removed else item)

    def _drain(self) -> None:
        """Pass on the rest at the end. Variations that were removed because the sweep was stopped are no results."""
        if self._drained:
            return
        self._drained = True
        self._order.end()
        for item in self._removed if self.status == FINISHED else ():
            self._order.append(item)
