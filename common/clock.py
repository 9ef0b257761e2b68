"""The clock for how long something has been or is kept: nobody sets it, unlike the machine's own."""

from __future__ import annotations

import time

# The machine's clock may be set while ComfyUI runs, by hand or over the network. What is an hour old must neither be
# a day old then, nor be under way for less than no time.
_AHEAD = time.time() - time.monotonic()


def steady_time() -> float:
    """Seconds since 1970, by what the machine's clock said when ComfyUI started and what has passed since."""
    return _AHEAD + time.monotonic()
