"""Runs blocking work in threads and waits for it even when the caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(work: Callable[..., T], *args: Any) -> T:
    """Run `work(*args)` in a thread and return its result. A cancelled caller waits until the work has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            # Retrieved, so that asyncio does not log an exception that was never retrieved.
            task.exception()
        raise
