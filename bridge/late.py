"""Answers that came after their caller was told `timeout`: kept for a while, to be fetched by the request's id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any

# Seconds an answer can be fetched, and for how many requests at the most.
KEEP = 600.0
MAX_REQUESTS = 256


class LateAnswers:
    """The requests that ended in a timeout after they had reached their tab.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._requests: OrderedDict[str, tuple[float, dict[str, Any] | None]] = OrderedDict()

    def expect(self, request_id: str) -> None:
        """A request's time is up; its answer may still come."""
        self._forget_old()
        self._requests[request_id] = (self._clock(), None)
        if len(self._requests) > MAX_REQUESTS:
            self._requests.popitem(last=False)

    def offer(self, request_id: str, answer: dict[str, Any]) -> None:
        """An answer came that nobody waits for; kept if it is expected and the first."""
        since, known = self._requests.get(request_id, (0.0, {}))
        if known is None:
            self._requests[request_id] = (since, answer)

    def find(self, request_id: str) -> dict[str, Any] | None:
        """The answer, or None while there is none. KeyError if the request is not or no longer known."""
        self._forget_old()
        return self._requests[request_id][1]

    def _forget_old(self) -> None:
        now = self._clock()
        while self._requests and now - next(iter(self._requests.values()))[0] >= KEEP:
            self._requests.popitem(last=False)
