"""Signal handlers that close the bridge on Ctrl-C and SIGTERM while ComfyUI's loop still runs.

ComfyUI stops its loop with the KeyboardInterrupt and never runs aiohttp's shutdown, and SIGTERM (from a service manager
or a container) ends the process immediately. With `on_shutdown` alone, callers would get no answer.
"""

from __future__ import annotations

import _thread
import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

log = logging.getLogger("uiapi")

# Seconds a signal waits for the bridge to close; work that has not ended by then is treated as after a crash.
CLOSE_LIMIT = 1.5
# Seconds after which the first signal is passed on even if the loop has not handled it.
STUCK_LIMIT = CLOSE_LIMIT + 0.5
# The default handler of each signal.
USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def close_on_signals(close: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Make Ctrl-C and SIGTERM close the bridge first. Call it on the running loop.

    Signals that have another handler are left alone, and so are all if the loop does not run on the main thread.

    Args:
        close: closes the bridge quickly; called at most once.

    Returns:
        A function that restores the default handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    taken = [number for number, usual in USUAL.items() if signal.getsignal(number) is usual]
    loop = asyncio.get_running_loop()
    begun: list[asyncio.Task[None]] = []

    def restore() -> None:
        for number in taken:
            if signal.getsignal(number) is on_signal:
                signal.signal(number, USUAL[number])

    async def end(number: signal.Signals, watchdog: threading.Timer) -> None:
        try:
            await asyncio.wait_for(close(), CLOSE_LIMIT)
        except asyncio.TimeoutError:
            log.warning("Closing took longer than %g s; downloads will resume from what is on the disk.", CLOSE_LIMIT)
        finally:
            watchdog.cancel()
            # In a separate callback, so that the exception ends the loop and not this task.
            loop.call_soon(signal.raise_signal, number)

    def on_signal(raised: int, frame: FrameType | None) -> None:
        number = signal.Signals(raised)
        # From now on ComfyUI handles both: a second signal, the one raised in `end`, and the watchdog's.
        restore()
        if not loop.is_running():
            signal.raise_signal(number)
            return
        # The loop may be stuck; only this reaches the main thread.
        passing_on = _thread.interrupt_main if number is signal.SIGINT else signal.raise_signal
        watchdog = threading.Timer(STUCK_LIMIT, passing_on, [number])
        watchdog.daemon = True
        watchdog.start()
        loop.call_soon_threadsafe(lambda: begun.append(loop.create_task(end(number, watchdog), name="uiapi close")))

    for number in taken:
        signal.signal(number, on_signal)
    return restore
