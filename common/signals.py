"""What happens on Ctrl-C and SIGTERM: the bridge is closed while ComfyUI's loop still runs, then ComfyUI ends as ever.

ComfyUI stops its loop with the KeyboardInterrupt and never runs aiohttp's shutdown, and SIGTERM (of a service manager
or a container) ends it where it stands, so `on_shutdown` alone would leave callers without an answer.
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

# Seconds a signal waits for the bridge; what has not ended by then is as after a crash.
CLOSE_LIMIT = 1.5
# Seconds after which the first signal is passed on although the loop has not taken it up.
STUCK_LIMIT = CLOSE_LIMIT + 0.5
# Who handles each signal as long as nobody has said otherwise.
USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def close_on_signals(close: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Have Ctrl-C and SIGTERM close the bridge first. Call it on the running loop.

    Nothing is changed where somebody else handles them, or where the loop is not the main thread's.

    Args:
        close: ends within a moment; called once at the most.

    Returns:
        Takes the change back.
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
            log.warning("Not everything ended within %g s; downloads go on from what is on the disk.", CLOSE_LIMIT)
        finally:
            watchdog.cancel()
            # In a callback of its own, so that it ends the loop and not this task.
            loop.call_soon(signal.raise_signal, number)

    def on_signal(raised: int, frame: FrameType | None) -> None:
        number = signal.Signals(raised)
        # From here on both signals are ComfyUI's: the second one, ours in `end`, or the watchdog's.
        restore()
        if not loop.is_running():
            signal.raise_signal(number)
            return
        # The loop may be stuck; of what would end it here, only this reaches the main thread.
        passing_on = _thread.interrupt_main if number is signal.SIGINT else signal.raise_signal
        watchdog = threading.Timer(STUCK_LIMIT, passing_on, [number])
        watchdog.daemon = True
        watchdog.start()
        loop.call_soon_threadsafe(lambda: begun.append(loop.create_task(end(number, watchdog), name="uiapi close")))

    for number in taken:
        signal.signal(number, on_signal)
    return restore
