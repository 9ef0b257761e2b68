"""The steps of a build: their progress is printed, their results are complete or absent, and errors are one sentence.

Uses only the standard library, since dev.py needs it before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..harness import children

STAMP = ".stamp"
# Seconds between progress lines of a step if the output is not a terminal.
REPORT_EVERY = 20.0


class Stop(Exception):
    """Ends a command of dev.py; the text is the sentence that is printed."""


def say(text: str) -> None:
    """Print a line and flush, so that a file with the output shows the progress of a build."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(
    title: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command with its output in `log`, and print how long it has been running.

    Raises:
        Stop: the command failed.
    """
    started = time.monotonic()
    terminal = sys.stdout.isatty()
    if not terminal:
        say(f"  {title} ...")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = children.start(command, output=output, cwd=cwd, env=env)
        try:
            reported = started
            while process.poll() is None:
                time.sleep(0.1)
                now = time.monotonic()
                if terminal and now - reported >= 1:
                    sys.stdout.write(f"\r  {title} ... {now - started:.0f} s ")
                    sys.stdout.flush()
                    reported = now
                elif not terminal and now - reported >= REPORT_EVERY:
                    say(f"  {title} ... {now - started:.0f} s")
                    reported = now
        finally:
            children.stop(process)
    elapsed = time.monotonic() - started
    if process.returncode != 0:
        if terminal:
            say("")
        raise Stop(_why(title, log))
    say(("\r" if terminal else "") + f"  {title}: {elapsed:.1f} s ")


def _why(title: str, log: Path) -> str:
    """Returns the sentence for a command that failed, from its output."""
    text = log.read_text(errors="replace")
    if "No space left on device" in text or "ENOSPC" in text:
        return f"{title}: the disk is full; make room (about 4 GB are needed) and run the same command again."
    unreachable = (
        "Temporary failure in name resolution",
        "Name or service not known",
        "nodename nor servname",
        "Network is unreachable",
        "Connection refused",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyError",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNREFUSED",
        "ETIMEDOUT",
        "Could not resolve",
        "Temporary failure resolving",
    )
    if any(sign in text for sign in unreachable):
        return (
            f"{title}: the package registry cannot be reached; check the network (and pip's or npm's proxy and index "
            "settings) and run the same command again; it continues where it stopped."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "no output")
    return f"{title} failed ({last[:300]}); the whole output is in {log}. Run the same command to try again."


def make(target: Path, key: str, maker: Callable[[Path], None]) -> bool:
    """Make a folder unless it exists and was made from the same `key`.

    `maker` fills a new folder, which replaces the target when it is complete, so that an interruption leaves no
    incomplete target.

    Returns:
        Whether it was made by this call.
    """
    if is_made(target, key):
        return False
    fresh = target.with_name(f"{target.name}.part")
    remove(fresh)
    fresh.mkdir(parents=True)
    maker(fresh)
    (fresh / STAMP).write_text(key)
    remove(target)
    fresh.rename(target)
    return True


def is_made(target: Path, key: str) -> bool:
    """Returns whether the folder is complete and was made from this key."""
    try:
        return (target / STAMP).read_text() == key
    except OSError:
        return False


def remove(folder: Path) -> None:
    """Delete a folder, its stamp first, so that a partly deleted folder never counts as made."""
    (folder / STAMP).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the build lock; a second build prints a line and waits for the first one.

    The system releases the lock when the process ends for any reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"Another dev.py (process {file.read().strip() or 'unknown'}) is building; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
