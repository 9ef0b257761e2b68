"""How fast and how often: a bandwidth cap shared by all transfers, back-off between tries, and Retry-After."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

# Seconds before the first repeated try, and the longest between two.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# Tries in a row without a single byte after which a transfer gives up.
MOST_TRIES = 6
# A host that asks for a longer wait than this (seconds) is reported instead.
LONGEST_RETRY_AFTER = 300.0


class Bandwidth:
    """Bytes per second all transfers of one loop share.

    Args:
        rate: bytes per second; None for no limit.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, rate: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = clock()

    async def take(self, count: int) -> None:
        """Wait until `count` more bytes may have passed."""
        if self._rate is None:
            return
        now = self._clock()
        # A line that was idle may burst for a tenth of a second, not more.
        self._free_at = max(self._free_at, now - 0.1) + count / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class Backoff:
    """Pauses between tries that grow until something goes forward again."""

    def __init__(self, first: float = FIRST_PAUSE, most_tries: int = MOST_TRIES) -> None:
        self._first = first
        self._most_tries = most_tries
        self._failures = 0

    def succeeded(self) -> None:
        """Something arrived: start over with short pauses."""
        self._failures = 0

    def next_pause(self, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next try, or None when it is time to give up.

        Args:
            retry_after: what the host asked for; it is kept, however short our own pause would be.
        """
        self._failures += 1
        if self._failures >= self._most_tries or (retry_after or 0.0) > LONGEST_RETRY_AFTER:
            return None
        pause: float = min(LONGEST_PAUSE, self._first * 2.0 ** (self._failures - 1))
        # Spread out, so that transfers that failed together do not come back together.
        return max(retry_after or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret hangs on it


def retry_after(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds a Retry-After header asks for: a number or an HTTP date (RFC 9110, 10.2.3); None if unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (TypeError, ValueError):
        return None
