"""Keeps ComfyUI open in a browser without a window, for machines without a screen: finds, starts and restarts it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from ..client import Client
from ..common.errors import UiapiError

# The names of browsers on the PATH, the preferred first.
COMMANDS = (
    *("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge", "brave-browser", "firefox", "firefox-esr"),
)
# Where installers put them, below the folders of applications.
MAC_APPS = (
    *("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium"),
    *("Microsoft Edge.app/Contents/MacOS/Microsoft Edge", "Firefox.app/Contents/MacOS/firefox"),
)
WINDOWS_APPS = (
    *("Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe"),
    *("Microsoft/Edge/Application/msedge.exe", "Mozilla Firefox/firefox.exe"),
)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
# The page must go on working although nobody looks at it.
CHROMIUM_FLAGS = (
    *("--headless=new", "--no-first-run", "--no-default-browser-check", "--window-size=1600,1000"),
    *("--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"),
    *("--disable-renderer-backgrounding", "--disable-dev-shm-usage", "--mute-audio"),
)
FIREFOX_FLAGS = ("--headless", "--no-remote", "--new-instance")
# Seconds for the page to connect, without a tab before the browser is restarted, and between two looks.
CONNECT_TIMEOUT, LOST_TIMEOUT, INTERVAL = 120.0, 60.0, 1.0
# Starts without a connected tab in between, after which it gives up.
MOST_STARTS = 5
# Seconds for the browser to end, and for another process to end it.
END_TIMEOUT, CLOSE_TIMEOUT = 10.0, 30.0
# The file in the profile that is touched while the tab is kept open. Renamed to the second one, it closes the tab.
MARK, CLOSING = "uiapi-open", "uiapi-closing"
# Seconds after which a mark that is no longer touched is ignored.
MARK_TIMEOUT = 15.0


def find_browser(given: str | None = None) -> Path:
    """Returns the program of the given browser, or of the first one that is installed.

    Raises UiapiError `not_found`.
    """
    if given is not None:
        program = shutil.which(os.path.expanduser(given))
        if program is None:
            raise _none(f"{given} is not a program; give the path of a browser in --browser.")
        return Path(program)
    for path in _candidates():
        if path.is_file():
            return path
    raise _none("No browser was found; install Chrome, Chromium, Edge or Firefox, or name one in --browser.")


def _none(sentence: str) -> UiapiError:
    return UiapiError("not_found", sentence, status=404)


def _candidates() -> Iterator[Path]:
    found = (shutil.which(name) for name in COMMANDS)
    yield from (Path(path) for path in found if path is not None)
    if sys.platform == "darwin":
        yield from (
            folder / app for folder in (Path("/Applications"), Path.home() / "Applications") for app in MAC_APPS
        )
    elif sys.platform == "win32":
        folders = [Path(os.environ[name]) for name in WINDOWS_FOLDERS if os.environ.get(name)]
        yield from (folder / app for app in WINDOWS_APPS for folder in folders)


def profile_of(url: str) -> Path:
    """Returns the browser profile for a ComfyUI, apart from the user's own profiles."""
    places = {
        "darwin": Path.home() / "Library" / "Caches",
        "win32": Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"),
    }
    cache = os.environ.get("XDG_CACHE_HOME")
    place = places.get(sys.platform) or (Path(cache) if cache else Path.home() / ".cache")
    parts = urlsplit(url)
    return place / "uiapi" / re.sub(r"[^A-Za-z0-9.-]+", "_", f"tab-{parts.hostname}-{parts.port or parts.scheme}")


def command_of(browser: Path, profile: Path, url: str) -> list[str]:
    """Returns the command line that opens a URL in a browser without a window."""
    if "firefox" in browser.name.lower():
        return [str(browser), *FIREFOX_FLAGS, "--profile", str(profile), url]
    # As root, which servers and containers often use, Chromium only starts without its sandbox.
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [str(browser), *CHROMIUM_FLAGS, *root, f"--user-data-dir={profile}", url]


def apart() -> dict[str, Any]:
    """Returns the arguments of Popen for a process that Ctrl-C in this terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def is_kept(profile: Path) -> bool:
    """Returns whether a tab with this profile is kept open."""
    try:
        return time.time() - (profile / MARK).stat().st_mtime < MARK_TIMEOUT
    except OSError:
        return False


def close_kept(profile: Path) -> bool:
    """Close the tab that another process keeps open; returns whether it has closed in time."""
    (profile / MARK).rename(profile / CLOSING)
    until = time.monotonic() + CLOSE_TIMEOUT
    while (profile / CLOSING).exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


class HeadlessTab:
    """A browser without a window that shows ComfyUI. Use it in `with`, which ends it.

    Args:
        client: of that ComfyUI.
        browser: the browser's program.
        profile: the folder of its profile, which is created.
        note: called with a sentence when something happens.
    """

    def __init__(self, client: Client, browser: Path, profile: Path, note: Callable[[str], object]) -> None:
        self._client = client
        self._browser = browser
        self._profile = profile
        self._note = note
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HeadlessTab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def open(self) -> int:
        """Start the browser and return the ID of its tab once it is connected.

        Raises:
            UiapiError: `no_webui` if the page does not connect, `not_found` if the browser does not start.
            Unreachable: ComfyUI does not respond.
        """
        before = {tab["id"] for tab in self._client.webuis()}
        self._start()
        until = time.monotonic() + CONNECT_TIMEOUT
        while time.monotonic() < until and self._runs():
            opened = [int(tab["id"]) for tab in self._client.webuis() if tab["id"] not in before]
            if opened:
                return opened[0]
            time.sleep(INTERVAL / 4)
        state = "is open but its page did not connect" if self._runs() else "ended at once"
        self.end()
        log = self._profile / "browser.log"
        raise UiapiError("no_webui", f"{self._browser} {state}; its messages are in {log}.", status=503)

    def keep(self) -> None:
        """Restart the browser whenever it ends or its page is lost, until interrupted or `close_kept`.

        Raises UiapiError `no_webui` after several attempts.
        """
        mark = self._profile / MARK
        mark.touch()
        try:
            self._keep(mark)
        finally:
            self.end()
            for name in (MARK, CLOSING):
                (self._profile / name).unlink(missing_ok=True)

    def _keep(self, mark: Path) -> None:
        lost_since: float | None = None
        starts = 0
        while True:
            try:
                os.utime(mark)
            except FileNotFoundError:
                return
            time.sleep(INTERVAL)
            if self._is_connected():
                lost_since, starts = None, 0
                continue
            lost_since = lost_since or time.monotonic()
            if self._runs() and time.monotonic() - lost_since < LOST_TIMEOUT:
                continue
            if not self._comfyui_responds():
                # The page reconnects by itself when ComfyUI is back; a browser that ended must be started then.
                continue
            starts += 1
            if starts > MOST_STARTS:
                raise UiapiError("no_webui", f"The tab was lost {MOST_STARTS} times in a row; open ComfyUI to see why.")
            self._note("The tab was lost; it is opened again.")
            self.end()
            lost_since = None
            with contextlib.suppress(UiapiError):
                self.open()

    def end(self) -> None:
        """End the browser."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_TIMEOUT)

    def _start(self) -> None:
        self.end()
        self._profile.mkdir(parents=True, exist_ok=True)
        command = command_of(self._browser, self._profile, self._client.url)
        # Ctrl-C in the terminal reaches this process only, which then ends the browser.
        try:
            with (self._profile / "browser.log").open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - the user's own browser
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **apart()
                )
        except OSError as error:
            sentence = f"{self._browser} cannot be started: {error.strerror}; name another browser in --browser."
            raise _none(sentence) from error

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _is_connected(self) -> bool:
        try:
            return self._runs() and bool(self._client.webuis())
        except UiapiError:
            return False

    def _comfyui_responds(self) -> bool:
        try:
            self._client.status()
        except UiapiError:
            return False
        return True
