"""Tests of Ctrl-C and SIGTERM: they close the bridge first, and otherwise behave as in ComfyUI."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from comfyui_uiapi.common import signals

# How ComfyUI's main.py runs its loop.
PROGRAM = """
import asyncio, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
import signals
signals.CLOSE_LIMIT, signals.STUCK_LIMIT = {limits}

async def close():
    print("closing", flush=True)
    {close}
    print("closed", flush=True)

async def main():
    end = signals.close_on_signals(close)
    print("ready", flush=True)
    {main}

{before}
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(main())
except KeyboardInterrupt:
    print("Stopped server", flush=True)
"""
FOREVER = "await asyncio.Event().wait()"


@contextmanager
def running(
    close: str = "pass", main: str = FOREVER, before: str = "", close_limit: float = 600, stuck_limit: float = 600
) -> Iterator[subprocess.Popen[str]]:
    """A running PROGRAM, ready to be stopped; without a limit it may be as slow as it likes."""
    folder = str(signals.__file__).rpartition("/")[0]
    text = PROGRAM.format(close=close, main=main, before=before, limits=(close_limit, stuck_limit))
    process = subprocess.Popen([sys.executable, "-c", text, folder], stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def rest(process: Any) -> list[str]:
    """Return its output until it ends."""
    return list(process.communicate(timeout=60)[0].splitlines())


# The signals, and ComfyUI's reaction to each after the bridge is closed: its own way to stop, or none.
SIGNALS = pytest.mark.parametrize(
    ("number", "ending", "code"),
    [(signal.SIGINT, ["Stopped server"], 0), (signal.SIGTERM, [], -signal.SIGTERM)],
    ids=["Ctrl-C", "SIGTERM"],
)


@SIGNALS
def test_the_bridge_is_closed_before_the_loop_ends(number: int, ending: list[str], code: int) -> None:
    with running() as process:
        process.send_signal(number)
        assert rest(process) == ["closing", "closed", *ending]
        assert process.returncode == code


@SIGNALS
def test_a_bridge_that_does_not_close_is_not_waited_for(number: int, ending: list[str], code: int) -> None:
    with running(close="await asyncio.sleep(600)", close_limit=0.2) as process:
        process.send_signal(number)
        assert rest(process) == ["closing", *ending]
        assert process.returncode == code


@SIGNALS
def test_a_failure_to_close_does_not_keep_comfyui_from_ending(number: int, ending: list[str], code: int) -> None:
    with running(close="raise ValueError") as process:
        process.send_signal(number)
        assert rest(process) == ["closing", *ending]


@SIGNALS
def test_a_loop_that_hangs_is_ended_all_the_same(number: int, ending: list[str], code: int) -> None:
    with running(main="while True: time.sleep(0.01)", stuck_limit=0.2) as process:
        process.send_signal(number)
        assert rest(process) == ending
        assert process.returncode == code


@SIGNALS
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["then Ctrl-C", "then SIGTERM"])
def test_a_second_signal_ends_at_once(number: int, ending: list[str], code: int, second: int) -> None:
    with running(close="await asyncio.sleep(600)") as process:
        process.send_signal(number)
        assert process.stdout is not None and process.stdout.readline() == "closing\n"
        process.send_signal(second)
        assert rest(process) == (["Stopped server"] if second == signal.SIGINT else [])


@SIGNALS
def test_an_existing_signal_handler_is_kept(number: int, ending: list[str], code: int) -> None:
    before = f"signal.signal({int(number)}, lambda *_: print('mine', flush=True) or sys.exit())"
    with running(before=before) as process:
        process.send_signal(number)
        assert rest(process) == ["mine"]


@SIGNALS
def test_a_loop_on_another_thread_is_left_alone(number: int, ending: list[str], code: int) -> None:
    before = "threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start(); signal.pause()"
    with running(before=before) as process:
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == -number
