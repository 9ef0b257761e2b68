"""Time of the command line, from a shell: its help compared with that of hf, and a read with a bare script's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from playwright.async_api import Playwright

from ...harness.fakes.scripted_comfyui import Scripted
from ...harness.programs.installed_client import environment
from ...tools import build
from ..runner import Row, ratio

# Alternations; a start takes long enough that the median of these is steady.
ROUNDS = 15
FIELD = "Canvas.width"
# The same request without this package.
BARE = """
import os, requests
url = os.environ["COMFYUI_URL"] + "/uiapi/get_fields"
print(requests.post(url, json={"fields": ["Canvas.width"]}, timeout=30).json()["response"]["Canvas.width"])
"""


async def measure(_: Playwright) -> list[Row]:
    """Two rows of seconds, each from the same alternations."""
    server = Scripted()
    server.answers["get_fields"] = {FIELD: 64}
    await server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            times = await asyncio.to_thread(_alternated, Path(folder), server.url)
    finally:
        await server.close()
    return [
        ratio("uiapi --help / hf --help, median", times["uiapi --help"], times["hf --help"], 1.0, unit="s"),
        ratio("uiapi get / requests in a bare Python, median", times["uiapi get"], times["bare"], 1.5, unit="s"),
    ]


def _alternated(folder: Path, url: str) -> dict[str, float]:
    """Returns the median seconds of each program, run in turns."""
    env = environment(folder, url)
    # Installed packages are compiled.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    uiapi = [sys.executable, "-m", "uiapi"]
    programs: dict[str, Sequence[str]] = {
        "uiapi --help": [*uiapi, "--help"],
        "hf --help": [str(build.VENV / "bin" / "hf"), "--help"],
        "uiapi get": [*uiapi, "get", FIELD],
        "bare": [sys.executable, "-c", BARE],
    }
    for words in programs.values():
        _seconds(words, env)
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, words in programs.items():
            times[name].append(_seconds(words, env))
    return {name: median(taken) for name, taken in times.items()}


def _seconds(words: Sequence[str], env: Mapping[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, env=env, capture_output=True, check=True)  # noqa: S603 - the programs above
    return time.perf_counter() - started
