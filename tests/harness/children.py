"""Starts and stops child processes of dev.py and the tests, each in its own process group.

Standard library only: dev.py needs it before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

LEASH = Path(__file__).with_name("leash.py")


def start(
    command: Sequence[str | Path],
    *,
    output: IO[bytes] | int | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command without input that writes both its streams to `output` and ends with this process.

    Args:
        output: an open file or one of subprocess' constants; inherited if None.
        env: variables added to those of this process.
    """
    return subprocess.Popen(  # noqa: S603 - the commands are this repository's own
        [sys.executable, str(LEASH), str(os.getpid()), *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        # Its own group, so that the processes it starts can be ended with it.
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """End a started command and its group: SIGTERM first, SIGKILL after `grace` seconds (0: at once)."""
    if process.poll() is None and grace > 0:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    # Raised if the group has ended (macOS reports a group of zombies with the latter).
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that `finally` blocks stop the children then too."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
