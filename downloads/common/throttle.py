"""Limits the rate of transfers: a shared bandwidth cap, back-off between retries, and Retry-After."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

# Seconds before the first retry, and the longest pause between two.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# Consecutive failures after which a transfer gives up, and the bytes that must arrive after a failure to reset that
# count.
MOST_TRIES = 6
STEP_FORWARD = 64 << 10
# If a host asks for a longer wait than this (seconds), the transfer fails instead.
LONGEST_RETRY_AFTER = 300.0
# Bytes per second, over this many seconds of waiting for data, below which a connection is considered broken.
SLOWEST = 1000
SLOW_SECONDS = 60.0


class Bandwidth:
    """A cap on bytes per second that all transfers of one loop share.

    Args:
        rate: bytes per second; None for no limit.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, rate: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = clock()

    async def take(self, count: int) -> None:
        """Wait until `count` more bytes fit within the cap."""
        if self._rate is None:
            return
        now = self._clock()
        # After an idle time, a burst of at most a tenth of a second is allowed.
        self._free_at = max(self._free_at, now - 0.1) + count / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class Pace:
    """Detects a connection that is slower than SLOWEST.

    Only time spent waiting for data counts, so that neither the bandwidth cap nor a slow disk counts against a host.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._bytes = 0

    def too_slow(self, seconds: float, count: int) -> bool:
        """Whether the connection is too slow, after `count` more bytes arrived in `seconds` of waiting."""
        self._seconds += seconds
        self._bytes += count
        if self._seconds < SLOW_SECONDS:
            return False
        slow = self._bytes < SLOWEST * self._seconds
        self._seconds, self._bytes = 0.0, 0
        return slow


class Backoff:
    """Pauses between retries, which grow until data arrives again."""

    def __init__(self, first: float = FIRST_PAUSE, most_tries: int = MOST_TRIES) -> None:
        self._first = first
        self._most_tries = most_tries
        self._failures = 0
        self._came = 0

    def arrived(self, count: int) -> None:
        """Count bytes that arrived; after STEP_FORWARD of them the next pause is short again."""
        self._came += count
        if self._came >= STEP_FORWARD:
            self._failures = 0

    def next_pause(self, retry_after: float | None = None) -> float | None:
        """Seconds to wait before the next retry, or None to give up.

        Args:
            retry_after: the wait that the host asked for; the pause is at least that long.
        """
        self._failures += 1
        self._came = 0
        if self._failures >= self._most_tries or (retry_after or 0.0) > LONGEST_RETRY_AFTER:
            return None
        pause: float = min(LONGEST_PAUSE, self._first * 2.0 ** (self._failures - 1))
        # Jitter, so that transfers that failed together do not retry together.
        return max(retry_after or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 - not used as a secret


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
