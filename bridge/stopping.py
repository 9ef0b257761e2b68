"""What happens on Ctrl-C: the bridge is closed while ComfyUI's loop still runs, then ComfyUI ends as it always does.

ComfyUI stops its loop with the KeyboardInterrupt and never runs aiohttp's shutdown, so `on_shutdown` alone would
leave callers without an answer. SIGTERM is left alone: it ends the process at once, and what was being fetched goes
on from its journal, as after a crash.
"""

from __future__ import annotations

import _thread
import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

log = logging.getLogger("uiapi")

# Seconds Ctrl-C waits for the bridge; what has not ended by then is as after a crash.
CLOSE_LIMIT = 1.5
# Seconds after which the first Ctrl-C is passed on although the loop has not taken it up.
STUCK_LIMIT = CLOSE_LIMIT + 0.5


def close_on_interrupt(close: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Have Ctrl-C close the bridge first. Call it on the running loop.

    Nothing is changed where somebody else handles Ctrl-C, or where the loop is not the main thread's.

    Args:
        close: ends within a moment; called once at the most.

    Returns:
        Takes the change back.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return lambda: None
    loop = asyncio.get_running_loop()
    begun: list[asyncio.Task[None]] = []

    def restore() -> None:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    async def end() -> None:
        try:
            await asyncio.wait_for(close(), CLOSE_LIMIT)
        except asyncio.TimeoutError:
            log.warning("Not everything ended within %g s; downloads go on from what is on the disk.", CLOSE_LIMIT)
        finally:
            watchdog.cancel()
            # In a callback of its own, so that it ends the loop and not this task.
            loop.call_soon(signal.raise_signal, signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        # From here on Ctrl-C is ComfyUI's: the second one, ours below, or the watchdog's.
        restore()
        if loop.is_running():
            watchdog.start()
            loop.call_soon_threadsafe(lambda: begun.append(loop.create_task(end(), name="uiapi close")))
        else:
            signal.default_int_handler(number, frame)

    watchdog = threading.Timer(STUCK_LIMIT, _thread.interrupt_main)
    watchdog.daemon = True
    signal.signal(signal.SIGINT, interrupt)
    return restore
