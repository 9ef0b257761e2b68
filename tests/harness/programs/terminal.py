"""Runs the command line in a terminal of a given width, or in a pipe, and returns what a person would read.

Without the sentences that only a person on a slow machine would read, that a command is still waiting.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

from ....client.cli.terminal import QUEUED, SLOW
from .installed_client import environment

# Seconds for one command line.
LONGEST = 120


async def in_terminal(url: str, place: Path, columns: int | None, *words: str) -> str:
    """Returns what a command line prints in a terminal of that width, or in a pipe; both outputs in one text."""
    env = {name: value for name, value in environment(place, url).items() if name not in ("COLUMNS", "FORCE_COLOR")}
    command = [sys.executable, "-m", "uiapi", *words]
    if columns is None:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
        )
        out, _ = await asyncio.wait_for(process.communicate(), LONGEST)
        return _without_waiting(out.decode())
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=slave, stdout=slave, stderr=slave, env={**env, "TERM": "xterm"}
    )
    os.close(slave)
    reading = asyncio.create_task(asyncio.to_thread(_read, master))
    await asyncio.wait_for(process.wait(), LONGEST)
    return await asyncio.wait_for(reading, LONGEST)


def _read(master: int) -> str:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            # The other end is closed.
            part = b""
        if not part:
            os.close(master)
            plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(parts).decode().replace("\r\n", "\n"))
            return _without_waiting(plain)
        parts.append(part)


def _without_waiting(said: str) -> str:
    return said.replace(f"{SLOW}\n", "").replace(f"{QUEUED}\n", "")
