"""Finds Chromium, or installs it with apt-get if this user may. Uses only the standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import build, steps
from .steps import Stop

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Without a font, screenshots show boxes instead of text.
DEBIAN_PACKAGES = ("chromium", "fonts-liberation")

# The browser itself must not use the network; only the page does.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> Path | None:
    """Returns the Chromium in the environment variable CHROMIUM, or the first installed one that runs.

    Raises:
        Stop: CHROMIUM does not run.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        path = shutil.which(named)
        if path is None or not _runs(path):
            raise Stop(f"CHROMIUM={named} is not a Chromium that runs; correct the variable or unset it.")
        return Path(path)
    found = [path for path in map(shutil.which, COMMANDS) if path is not None]
    if MAC.exists():
        found.append(str(MAC))
    return next((Path(path) for path in found if _runs(path)), None)


def _runs(path: str) -> bool:
    """Returns whether it starts; Ubuntu's chromium-browser may be a stub that only prints how to install it."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def ensure() -> Path:
    """Returns a Chromium; installs it with apt-get if necessary and permitted.

    Raises:
        Stop: none was found and it cannot be installed.
    """
    found = find()
    if found is not None:
        return found
    advice = "install one (Debian: apt-get install chromium) or name it in the environment variable CHROMIUM"
    installer = apt()
    if installer is None:
        raise Stop(f"No Chromium was found, and this user may not install it; {advice}.")
    log = build.LOGS / "apt.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    steps.run("reading Debian's package lists", [*installer, "update"], log, env=quiet)
    install = [*installer, "install", "-y", "--no-install-recommends", *DEBIAN_PACKAGES]
    steps.run("installing Chromium", install, log, env=quiet)
    found = find()
    if found is None:
        raise Stop(f"apt-get installed no Chromium that runs; {advice}.")
    return found


def apt() -> list[str] | None:
    """Returns an apt-get command that may install packages, or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603
        return [sudo, "-n", "apt-get"]
    return None
