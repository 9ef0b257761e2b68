"""Waits for tasks: for the first of several events, and until cancelled tasks have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

# Seconds after which a task that still runs is cancelled again.
AGAIN = 0.2


async def first_of(*waiting: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of the coroutines has ended; the others are cancelled."""
    tasks = {asyncio.ensure_future(one) for one in waiting}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def end(tasks: Collection[asyncio.Task[Any]], again: float = AGAIN) -> None:
    """Cancel tasks until they have ended; once more after `again` seconds, which also ends what they do at their end.

    asyncio.wait_for of Python before 3.12 can lose a cancellation.
    """
    left = {*tasks}
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=again)
        # Otherwise asyncio logs errors that nobody has looked at.
        await asyncio.gather(*ended, return_exceptions=True)
