"""Waits for tasks that the bridge owns and may cancel."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from .errors import stopping

T = TypeVar("T")


async def outcome(task: asyncio.Task[T]) -> T:
    """Return the result of a task that the bridge owns; cancelling the wait does not cancel the task.

    Raises what the task raises, and UiapiError `shutting_down` if the task was cancelled: otherwise its cancellation
    would look like the caller's own, and the caller would get no answer.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise stopping() from None
        raise
