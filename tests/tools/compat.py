"""`dev.py compat`: the fast tests on each installed Python, and the core tests on each supported frontend.

The fast tests run with the oldest and the newest aiohttp, on the oldest Python with the oldest of every requirement.
"""

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
# The oldest version that ComfyUI 0.3.75 allows, and the newest (None).
AIOHTTP = ("3.11.8", None)
TOOLS = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "hypothesis>=6.150", "pillow", "numpy", "av", "typer", "rich")
# Tests without ComfyUI and a browser. LEFT_OUT lists those that need ComfyUI, published lists of models, Node.js,
# Dask, the SDK of MCP or tomllib, which Python 3.10 lacks; they do not depend on the version of Python.
PARTS = ("tests/common", "tests/bridge", "tests/downloads", "tests/fuzz", "tests/client")
# Run on every supported frontend; the other tests of the graph run on the oldest and the newest one only.
CORE = tuple(
    f"tests/e2e/page/{name}.py"
    for name in (
        *("page/test_start", "page/test_socket", "page/test_execute", "page/test_loading", "page/test_workflow_tabs"),
        *("page/test_sweeps", "page/test_sweep_interruptions"),
        *("graph/test_fields", "graph/test_writes", "graph/test_history", "graph/test_screenshot"),
        *("ui/test_dialogs", "ui/test_stacked_dialogs"),
    )
)
LEFT_OUT = (
    "tests/downloads/workflow/test_core_nodes.py",
    "tests/downloads/finding/test_field.py",
    "tests/fuzz/test_paths.py",
    "tests/bridge/api/test_openapi.py",
    "tests/client/farm",
    "tests/client/mcp",
    "tests/client/js",
    "tests/client/test_install.py",
    "tests/client/test_example_errors.py",
    "tests/client/cli/test_farm_commands.py",
    "tests/client/cli/test_interrupts.py",
    "tests/client/common/test_command_table.py",
)


def main(frontends: Sequence[str]) -> int:
    """Run the core tests on these frontends, or everything without any; returns 1 if a test failed."""
    failed = 0 if frontends else sum(_on_python(version, python) for version, python in _pythons().items())
    for version in frontends or build.ALL_FRONTENDS:
        # Sequentially, since each run starts ComfyUI and Chromium.
        failed += _tested(f"frontend {version}", [build.PYTHON, "-m", "pytest", "-q", f"--frontends={version}", *CORE])
    return 1 if failed else 0


def fast_tests(version: str) -> int:
    """Run the fast tests on one Python; returns 1 if a test failed.

    Raises:
        Stop: this version is not installed.
    """
    python = _python(version)
    if python is None:
        raise steps.Stop(f"Python {version} is not installed; install it so that python{version} is on the path.")
    return 1 if _on_python(version, python) else 0


def _on_python(version: str, python: str) -> int:
    """Returns the number of failed runs."""
    failed = 0
    for aiohttp in AIOHTTP:
        venv = _venv(version, python, aiohttp)
        left_out = (f"--ignore={path}" for path in LEFT_OUT)
        command: list[str | Path] = [venv, "-m", "pytest", "-q", "-m", "not stack", *left_out, *PARTS]
        failed += _tested(f"Python {version}, aiohttp {_installed(venv)}", command)
    return failed


def _tested(what: str, command: Sequence[str | Path]) -> bool:
    """Run tests and print the result; returns whether they failed."""
    done = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    say(f"  {what}: {done.stdout.strip().rpartition(chr(10))[2]}")
    if done.returncode != 0:
        say(done.stdout[-4000:] + done.stderr[-2000:])
    return done.returncode != 0


def _pythons() -> dict[str, str]:
    """Returns the installed Pythons by version; prints the missing ones."""
    found: dict[str, str] = {}
    for version in VERSIONS:
        python = _python(version)
        if python is None:
            say(f"  Python {version}: not installed")
        else:
            found[version] = python
    return found


def _python(version: str) -> str | None:
    """Returns the Python of this version or None; also finds those of pyenv, which need not be on the path."""
    kept = map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True))
    # python3.x on the path may be a pyenv shim, which runs only the selected versions.
    return next((python for python in (shutil.which(f"python{version}"), *kept) if _says(python) == version), None)


def _says(python: str | None) -> str:
    """Returns the version that a Python reports, or an empty text if it does not run."""
    if python is None:
        return ""
    done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.match(r"Python (\d+\.\d+)", done.stdout)
    return match[1] if match else ""


def _venv(version: str, python: str, aiohttp: str | None) -> Path:
    """Returns the Python of a virtual environment with the requirements; recreated when they change."""
    place = PLACE / f"{version}-{aiohttp or 'newest'}"
    wanted = ["-r", str(build.ROOT / "requirements.txt"), *TOOLS, f"aiohttp=={aiohttp}" if aiohttp else "aiohttp"]
    if aiohttp and version == VERSIONS[0]:
        # Newer Pythons have no wheels of the oldest packages.
        wanted += (build.ROOT / "requirements.txt").read_text("utf-8").replace(">=", "==").split()
    mark = place / "made.txt"
    inside = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    content = "\n".join([*wanted, (build.ROOT / "requirements.txt").read_text("utf-8")])
    if not mark.exists() or mark.read_text("utf-8") != content:
        shutil.rmtree(place, ignore_errors=True)
        steps.run(f"creating a venv of Python {version}", [python, "-m", "venv", place], build.LOGS / "compat.log")
        command: list[str | Path] = [inside, "-m", "pip", "install", "--quiet", *wanted]
        steps.run("installing the requirements", command, build.LOGS / "compat.log")
        mark.write_text(content, "utf-8")
    return inside


def _installed(python: Path) -> str:
    command = [str(python), "-c", "import aiohttp; print(aiohttp.__version__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.strip()
