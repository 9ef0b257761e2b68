"""The results of a sweep on a farm of ComfyUIs, for programs that block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from types import TracebackType

from .item import SweepItem
from .ledger import RUNNING
from .order import Order

# Runs the variations; ends when the event is set.
Runner = Callable[[threading.Event], Generator[SweepItem]]


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

    _loop: Generator[SweepItem] | None = None

    def __iter__(self) -> Generator[SweepItem]:
        self._loop = self._each()
        return self._loop

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
        """End the loop and cancel the rest of the sweep, which is done on every machine when this returns."""
        self._over.set()
        # A loop that waits for a result, on another thread, ends by itself.
        if self._loop is not None and not self._loop.gi_running:  # type: ignore[attr-defined]
            self._loop.close()

    def _each(self) -> Generator[SweepItem]:
        try:
            with closing(self._run(self._over)) as results:
                for item in results:
                    self._count(item)
                    yield from self._due()
            self._order.end()
            yield from self._due()
        finally:
            self._finish()

    def _due(self) -> Generator[SweepItem]:
        while (due := self._order.take()) is not None:
            yield due
            self._check(due)
