"""Disk work in threads whose caller is cancelled."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.threads import settled


async def test_a_failure_after_its_caller_was_cancelled_is_not_reported_as_forgotten() -> None:
    begun, go = threading.Event(), threading.Event()
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def work() -> None:
        begun.set()
        assert go.wait(60)
        raise UiapiError("size_mismatch", "The file is broken.")

    waiting = asyncio.create_task(settled(work))
    assert await asyncio.to_thread(begun.wait, 60)
    waiting.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    del waiting
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []
