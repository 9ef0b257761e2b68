"""Answers that came after their caller was told `timeout`: kept for a while, to be fetched by the request's id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any

from pydantic_core import from_json, to_json

# Seconds an answer can be fetched, for how many requests at the most, and the bytes of all answers.
KEEP = 600.0
MAX_REQUESTS = 256
MAX_BYTES = 128 * 1024 * 1024


class LateAnswers:
    """The requests that ended in a timeout after they had reached their tab.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # When each request's time was up, and its answer as JSON, whose size is known.
        self._requests: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    def expect(self, request_id: str) -> None:
        """A request's time is up; its answer may still come."""
        self._forget_old()
        self._requests[request_id] = (self._clock(), None)
        if len(self._requests) > MAX_REQUESTS:
            self._requests.popitem(last=False)

    def offer(self, request_id: str, answer: dict[str, Any]) -> None:
        """An answer came that nobody waits for; kept if it is expected and the first. The oldest make room for it."""
        since, known = self._requests.get(request_id, (0.0, b""))
        if known is not None:
            return
        self._requests[request_id] = (since, to_json(answer))
        sizes = {name: len(text) for name, (_, text) in self._requests.items() if text is not None}
        excess = sum(sizes.values()) - MAX_BYTES
        for name, size in sizes.items():
            if excess > 0:
                del self._requests[name]
                excess -= size

    def find(self, request_id: str) -> dict[str, Any] | None:
        """The answer, or None while there is none. KeyError if the request is not or no longer known."""
        self._forget_old()
        kept = self._requests[request_id][1]
        answer: dict[str, Any] | None = None if kept is None else from_json(kept)
        return answer

    def _forget_old(self) -> None:
        now = self._clock()
        while self._requests and now - next(iter(self._requests.values()))[0] >= KEEP:
            self._requests.popitem(last=False)
