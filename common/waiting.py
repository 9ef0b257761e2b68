"""Waiting for a task that is the bridge's own, and so may end with it while somebody waits."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from .errors import stopping

T = TypeVar("T")


async def outcome(task: asyncio.Task[T]) -> T:
    """What a task of the bridge's own returns; who stops waiting leaves it going.

    Raises what the task raises, and UiapiError `shutting_down` when it was ended: its own cancellation would else pass
    for the caller's, who would then be answered nothing at all.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise stopping() from None
        raise
