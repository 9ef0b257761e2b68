"""What `dev.py compat` does: tests without a ComfyUI on each Python there is, with the oldest and newest aiohttp, and
the core of the tests with one on each frontend that is supported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import build, steps
from .steps import say

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
PLACE = build.STACK / "compat"
# What ComfyUI 0.3.75 allows at the least; None stands for the newest.
AIOHTTP = ("3.11.8", None)
TOOLS = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "hypothesis>=6.150", "pillow")
# The parts without ComfyUI and a browser. Left out is what runs in ComfyUI, in Node.js, and what reads our own
# documents, which Python 3.10 has no TOML for; those are the same everywhere.
PARTS = ("tests/common", "tests/bridge", "tests/downloads", "tests/fuzz")
# What a frontend must be able to do, oldest and newest included; the other tests of the live graph run on those only.
CORE = tuple(
    f"tests/e2e/page/{name}.py"
    for name in (
        *("page/test_start", "page/test_socket", "page/test_execute", "page/test_loading", "page/test_workflow_tabs"),
        *("graph/test_fields", "graph/test_writes", "graph/test_history", "graph/test_screenshot"),
        *("ui/test_dialogs", "ui/test_stacked_dialogs"),
    )
)
LEFT_OUT = (
    "tests/downloads/workflow/test_core_nodes.py",
    "tests/fuzz/test_paths.py",
    "tests/bridge/api/test_openapi.py",
)


def main(frontends: Sequence[str]) -> int:
    """Run them all on these frontends, and return 1 if any failed; without frontends on all Pythons and frontends."""
    failed = 0 if frontends else sum(_on_python(version, python) for version, python in _pythons().items())
    for version in frontends or build.ALL_FRONTENDS:
        # One after the other: each is a ComfyUI and a Chromium of its own.
        failed += _tested(f"frontend {version}", [build.PYTHON, "-m", "pytest", "-q", f"--frontends={version}", *CORE])
    return 1 if failed else 0


def fast_tests(version: str) -> int:
    """Run the tests without a ComfyUI on one Python, and return 1 if any failed.

    Raises:
        Stop: if this machine has no such Python.
    """
    python = _python(version)
    if python is None:
        raise steps.Stop(f"There is no Python {version} on this machine; install it, so that python{version} is found.")
    return 1 if _on_python(version, python) else 0


def _on_python(version: str, python: str) -> int:
    """How many runs failed."""
    failed = 0
    for aiohttp in AIOHTTP:
        venv = _venv(version, python, aiohttp)
        left_out = (f"--ignore={path}" for path in LEFT_OUT)
        command: list[str | Path] = [venv, "-m", "pytest", "-q", "-m", "not stack", *left_out, *PARTS]
        failed += _tested(f"Python {version}, aiohttp {_installed(venv)}", command)
    return failed


def _tested(what: str, command: Sequence[str | Path]) -> bool:
    """Run tests and print how that ended; whether it failed."""
    done = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    say(f"  {what}: {done.stdout.strip().rpartition(chr(10))[2]}")
    if done.returncode != 0:
        say(done.stdout[-4000:] + done.stderr[-2000:])
    return done.returncode != 0


def _pythons() -> dict[str, str]:
    """The Pythons of this machine by version; one that it has not is named and left out."""
    found: dict[str, str] = {}
    for version in VERSIONS:
        python = _python(version)
        if python is None:
            say(f"  Python {version}: not on this machine")
        else:
            found[version] = python
    return found


def _python(version: str) -> str | None:
    """The Python of that version, if this machine has one; it may be pyenv's, which need not be on the path."""
    kept = map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True))
    # What is on the path may be pyenv's stand-in, which runs only what is chosen.
    return next((python for python in (shutil.which(f"python{version}"), *kept) if _says(python) == version), None)


def _says(python: str | None) -> str:
    """The version a Python says it is; empty where it does not run."""
    if python is None:
        return ""
    done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.match(r"Python (\d+\.\d+)", done.stdout)
    return match[1] if match else ""


def _venv(version: str, python: str, aiohttp: str | None) -> Path:
    """A Python of its own with what this package needs; made anew when that changes."""
    place = PLACE / f"{version}-{aiohttp or 'newest'}"
    wanted = ["-r", str(build.ROOT / "requirements.txt"), *TOOLS, f"aiohttp=={aiohttp}" if aiohttp else "aiohttp"]
    mark = place / "made.txt"
    inside = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    content = "\n".join([*wanted, (build.ROOT / "requirements.txt").read_text("utf-8")])
    if not mark.exists() or mark.read_text("utf-8") != content:
        shutil.rmtree(place, ignore_errors=True)
        steps.run(f"making Python {version}", [python, "-m", "venv", place], build.LOGS / "compat.log")
        command: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", *wanted]
        steps.run("installing what it needs", command, build.LOGS / "compat.log")
        mark.write_text(content, "utf-8")
    return inside


def _installed(python: Path) -> str:
    command = [str(python), "-c", "import aiohttp; print(aiohttp.__version__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()
