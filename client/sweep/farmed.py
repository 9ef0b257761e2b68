"""The results of a sweep on a farm of ComfyUIs, for programs that block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from .item import SweepItem
from .ledger import RUNNING
from .order import Order

# Runs the variations; ends when the event is set.
Runner = Callable[[threading.Event], Iterator[SweepItem]]


class Tally:
    """How far a sweep on a farm is.

    Args:
        run: runs the variations.
        total: how many there are.
        ordered, stop: as for Sweep.

    Attributes:
        sweep_id: empty, since no single ComfyUI knows the sweep.
        total, done, failed: how many variations there are, succeeded and failed.
        status: "running", "finished", "failed" or "cancelled".
        warnings: about the sweep as a whole.
    """

    def __init__(self, run: Runner, total: int, *, ordered: bool = False, stop: bool = False) -> None:
        self.sweep_id = ""
        self.total, self.done, self.failed = total, 0, 0
        self.status = RUNNING
        self.warnings: list[str] = []
        self._run, self._stop = run, stop
        self._order = Order(ordered)
        self._over = threading.Event()

    def _count(self, item: SweepItem) -> None:
        self.done += item.error is None
        self.failed += item.error is not None
        self._order.put(item.index, item)

    def _check(self, item: SweepItem) -> None:
        if self._stop and item.error is not None:
            self.status = "failed"
            raise item.error

    def _finish(self) -> None:
        self._over.set()
        if self.status == RUNNING:
            self.status = "finished" if self.done + self.failed >= self.total else "cancelled"


class FarmSweep(Tally):
    """A sweep on a farm: iterate over it for its results; see Sweep."""

    def __iter__(self) -> Iterator[SweepItem]:
        return self._each()

    def __enter__(self) -> FarmSweep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Do nothing: it starts with the first result."""

    def cancel(self) -> None:
        """Cancel the rest of the sweep."""
        self._over.set()

    def close(self) -> None:
        """End the loop and cancel the rest of the sweep."""
        self._over.set()

    def _each(self) -> Iterator[SweepItem]:
        try:
            for item in self._run(self._over):
                self._count(item)
                yield from self._due()
            self._order.end()
            yield from self._due()
        finally:
            self._finish()

    def _due(self) -> Iterator[SweepItem]:
        while (due := self._order.take()) is not None:
            yield due
            self._check(due)
