"""Another process that holds the lock of a download's target."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

HOLDER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


async def hold_lock(path: Path) -> asyncio.subprocess.Process:
    """Start a process and return it once it holds the lock; kill it to release the lock."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await asyncio.wait_for(holder.stdout.readline(), 60) == b"held\n"
    return holder
