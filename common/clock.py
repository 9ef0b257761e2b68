"""A clock for durations and expiry times that is not affected by changes of the system time."""

from __future__ import annotations

import time

# The system clock may be set while ComfyUI runs, by hand or over the network. This must not change the age of anything.
_AHEAD = time.time() - time.monotonic()


def steady_time() -> float:
    """Return seconds since 1970: the system time when ComfyUI started plus the time that has passed since."""
    return _AHEAD + time.monotonic()
