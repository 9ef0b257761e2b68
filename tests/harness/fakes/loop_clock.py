"""The time of the event loop, which a test moves instead of waiting."""

from __future__ import annotations

import asyncio


class LoopClock:
    """The time by which the timers of the running loop go, those of `call_later` and `wait_for` among them.

    Args:
        stands: whether it passes only when the test says so; otherwise it passes by itself as well.
    """

    def __init__(self, *, stands: bool = False) -> None:
        loop = asyncio.get_running_loop()
        time, began = loop.time, loop.time()
        self._ahead = 0.0
        loop.time = lambda: (began if stands else time()) + self._ahead  # type: ignore[method-assign]

    async def passes(self, seconds: float) -> None:
        """Let that many seconds pass, and let everything happen that is due then."""
        self._ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)
