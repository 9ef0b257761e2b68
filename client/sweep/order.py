"""Passes results on as they come, or in the order of their index."""

from __future__ import annotations

from collections import deque

from .item import SweepItem


class Order:
    """Results on their way to the loop over a sweep.

    Args:
        ordered: hold a result back until all before it have come.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._ready: deque[SweepItem] = deque()
        self._held: dict[int, SweepItem | None] = {}
        self._due = 0

    def put(self, index: int, item: SweepItem | None) -> None:
        """Add a result; None for a variation that has none."""
        if not self._ordered:
            self.append(item)
            return
        self._held[index] = item
        while self._due in self._held:
            self.append(self._held.pop(self._due))
            self._due += 1

    def take(self) -> SweepItem | None:
        """Returns the next result, or None."""
        return self._ready.popleft() if self._ready else None

    def end(self) -> None:
        """Pass on what is held back for results that will not come."""
        for index in sorted(self._held):
            self.append(self._held.pop(index))

    def append(self, item: SweepItem | None) -> None:
        """Add a result that has no place in the order."""
        if item is not None:
            self._ready.append(item)
