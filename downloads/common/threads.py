"""Work in threads that is waited for even when its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(work: Callable[..., T], *args: Any) -> T:
    """`work(*args)` in a thread; when cancelled, only after it has ended, so that nothing is pulled from under it."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            # Seen, so that asyncio does not report it as forgotten: nobody waits for it any more.
            task.exception()
        raise
