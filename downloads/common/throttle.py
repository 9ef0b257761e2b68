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
# Tries in a row after which a transfer gives up, and the bytes that must have come since the last failure for a
# further one not to be in that row.
MOST_TRIES = 6
STEP_FORWARD = 64 << 10
# A host that asks for a longer wait than this (seconds) is reported instead.
LONGEST_RETRY_AFTER = 300.0
# Bytes per second, over so many seconds of waiting for it, below which a connection counts as cut.
SLOWEST = 1000
SLOW_SECONDS = 60.0


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


class Pace:
    """Notices a connection on which less than SLOWEST comes.

    Only the time in which it is waited for counts, so neither a cap nor a slow disk makes a host slow.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._bytes = 0

    def too_slow(self, seconds: float, count: int) -> bool:
        """Whether it is too slow to be waited for any longer, `count` bytes having come after `seconds`."""
        self._seconds += seconds
        self._bytes += count
        if self._seconds < SLOW_SECONDS:
            return False
        slow = self._bytes < SLOWEST * self._seconds
        self._seconds, self._bytes = 0.0, 0
        return slow


class Backoff:
    """Pauses between tries that grow until something goes forward again."""

    def __init__(self, first: float = FIRST_PAUSE, most_tries: int = MOST_TRIES) -> None:
        self._first = first
        self._most_tries = most_tries
        self._failures = 0
        self._came = 0

    def arrived(self, count: int) -> None:
        """So many bytes arrived; enough of them make the next pause a short one again."""
        self._came += count
        if self._came >= STEP_FORWARD:
            self._failures = 0

    def next_pause(self, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next try, or None when it is time to give up.

        Args:
            retry_after: what the host asked for; it is kept, however short our own pause would be.
        """
        self._failures += 1
        self._came = 0
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
