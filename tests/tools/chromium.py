"""Finds a Chromium, or installs Debian's where that is allowed. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import build, steps
from .steps import Stop

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Without a font, text on a screenshot is boxes.
DEBIAN_PACKAGES = ("chromium", "fonts-liberation")

# A quiet browser: nothing on the page's side may ask the network for anything but the page.
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
    """The Chromium to use: CHROMIUM from the environment, or the first one installed that runs.

    Raises:
        Stop: CHROMIUM names something that does not run.
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
    """Whether it starts; Ubuntu's chromium-browser, for one, may be a stub that only says how to install it."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def ensure() -> Path:
    """A Chromium, installed with apt-get if there is none and this user may.

    Raises:
        Stop: there is none and it cannot be installed from here.
    """
    found = find()
    if found is not None:
        return found
    advice = "install one (Debian: apt-get install chromium) or name it in the environment variable CHROMIUM"
    installer = apt()
    if installer is None:
        raise Stop(f"There is no Chromium and no right to install it; {advice}.")
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
    """The apt-get command line with the right to install, or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603
        return [sudo, "-n", "apt-get"]
    return None
