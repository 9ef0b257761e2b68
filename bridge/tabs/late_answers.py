"""Answers of tabs that arrived after their request's timeout, kept for a while under the request's id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any

from pydantic_core import from_json, to_json

# Seconds an answer is kept, the number of requests, and the bytes of all answers.
KEEP = 600.0
MAX_REQUESTS = 256
MAX_BYTES = 128 * 1024 * 1024


class LateAnswers:
    """The requests that timed out after they had been sent to their tab.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # When each request timed out, and its answer as JSON.
        self._requests: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    def expect(self, request_id: str) -> None:
        """Note a request that has timed out; its answer may still arrive."""
        self._forget_old()
        self._requests[request_id] = (self._clock(), None)
        if len(self._requests) > MAX_REQUESTS:
            self._requests.popitem(last=False)

    def offer(self, request_id: str, answer: dict[str, Any]) -> None:
        """Keep a late answer if it is expected and the first one; the oldest answers are dropped to make room."""
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
        """Return the answer, or None if there is none yet. Raises KeyError for an unknown or expired request."""
        self._forget_old()
        kept = self._requests[request_id][1]
        answer: dict[str, Any] | None = None if kept is None else from_json(kept)
        return answer

    def _forget_old(self) -> None:
        now = self._clock()
        while self._requests and now - next(iter(self._requests.values()))[0] >= KEEP:
            self._requests.popitem(last=False)
