"""The browser without a window: which program is found, its command line, and when it is started again."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from comfyui_uiapi.client.cli import headless_tab as module
from comfyui_uiapi.client.cli.headless_tab import (
    CLOSING,
    MARK,
    HeadlessTab,
    close_kept,
    command_of,
    find_browser,
    is_kept,
    profile_of,
)
from comfyui_uiapi.client.common import profile_lock
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.common.profile_lock import claimed
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

from ..conftest import Ended

URL = "http://127.0.0.1:8188"


def program(path: Path, text: str = "exec sleep 600") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["google-chrome", "chromium", "microsoft-edge", "firefox"])
def test_a_browser_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = program(tmp_path / name)
    assert find_browser() == find_browser(str(path)) == path


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("win32", "PROGRAMFILES(X86)", "Microsoft/Edge/Application/msedge.exe"),
        ("win32", "LOCALAPPDATA", "Google/Chrome/Application/chrome.exe"),
        ("darwin", "HOME", "Applications/Firefox.app/Contents/MacOS/firefox"),
    ],
)
def test_a_browser_is_found_where_its_installer_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, place: str
) -> None:
    monkeypatch.setenv("PATH", "")
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setenv(variable, str(tmp_path))
    path = program(tmp_path / place)
    assert find_browser() == path


def test_without_a_browser_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for given in (None, str(tmp_path / "none")):
        with pytest.raises(UiapiError, match="--browser"):
            find_browser(given)


def test_each_comfyui_has_a_profile_of_its_own_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = {profile_of(url) for url in (URL, "http://127.0.0.1:8189", "https://h", "http://[::1]:8188/../x")}
    assert len(found) == 4 and {path.parent for path in found} == {tmp_path / "uiapi"}


def test_chromium_keeps_its_sandbox_except_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, expected in ((0, True), (1000, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert ("--no-sandbox" in command_of(Path("/usr/bin/chromium"), Path("/p"), URL)) is expected
    assert command_of(Path("/usr/bin/firefox"), Path("/p"), URL)[-3:] == ["--profile", "/p", URL]


class Comfyui:
    """A client of a ComfyUI that the test controls."""

    url = URL

    def __init__(self) -> None:
        self.tabs: list[dict[str, Any]] = []
        self.responds = True

    def webuis(self) -> list[dict[str, Any]]:
        return self.tabs if self.responds else self.status()  # type: ignore[return-value]

    def status(self) -> dict[str, Any]:
        if not self.responds:
            raise UiapiError("unreachable", "no")
        return {}


class Starts:
    """Replaces the start of a browser: each one connects a new tab, unless `connects` is False."""

    def __init__(self, comfyui: Comfyui, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.runs, self.connects = 0, False, True
        self._comfyui = comfyui
        monkeypatch.setattr(HeadlessTab, "_start", lambda tab: self.start())
        monkeypatch.setattr(HeadlessTab, "_runs", lambda tab: self.runs)
        monkeypatch.setattr(HeadlessTab, "end", lambda tab: setattr(self, "runs", False))

    def start(self) -> None:
        self.count += 1
        self.runs = True
        if self.connects:
            self._comfyui.tabs = [{"id": self.count}]


@pytest.fixture
def comfyui() -> Comfyui:
    return Comfyui()


@pytest.fixture
def starts(comfyui: Comfyui, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(comfyui, monkeypatch)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], object]]], None]:
    """Replaces the time: each pause takes no time, and what is planned happens in the pause of that number."""

    def plan(events: dict[int, Callable[[], object]]) -> None:
        now, count = [0.0], [0]

        def sleep(seconds: float) -> None:
            now[0] += seconds
            count[0] += 1
            events.get(count[0], lambda: None)()
            assert count[0] < 5000

        # Not for other threads of this process.
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0], time=time.time))

    return plan


def test_a_browser_that_ends_is_started_again_until_the_tab_is_closed(
    comfyui: Comfyui, starts: Starts, passing: Callable[..., None], tmp_path: Path
) -> None:
    def crash() -> None:
        starts.runs, comfyui.tabs = False, []

    passing({3: crash, 9: lambda: (tmp_path / MARK).rename(tmp_path / CLOSING)})
    said: list[str] = []
    page = HeadlessTab(comfyui, Path("b"), tmp_path, said.append)  # type: ignore[arg-type]
    assert page.open() == 1
    page.keep()
    assert (starts.count, len(said), starts.runs) == (2, 1, False)
    assert [*tmp_path.iterdir()] == []


def test_a_page_that_stays_away_is_opened_again_but_not_while_comfyui_is_away(
    comfyui: Comfyui, starts: Starts, passing: Callable[..., None], tmp_path: Path
) -> None:
    counts: list[int] = []

    def comfyui_is_back() -> None:
        counts.append(starts.count)
        comfyui.responds = True
        comfyui.tabs.clear()

    passing(
        {
            2: lambda: setattr(comfyui, "responds", False),
            200: comfyui_is_back,
            330: lambda: (tmp_path / MARK).rename(tmp_path / CLOSING),
        }
    )
    page = HeadlessTab(comfyui, Path("b"), tmp_path, lambda _: None)  # type: ignore[arg-type]
    page.open()
    page.keep()
    assert counts == [1] and starts.count == 2


def test_it_gives_up_after_several_starts_without_a_page(
    comfyui: Comfyui, starts: Starts, passing: Callable[..., None], tmp_path: Path
) -> None:
    def break_down() -> None:
        comfyui.tabs.clear()
        starts.connects = starts.runs = False

    passing({2: break_down})
    page = HeadlessTab(comfyui, Path("b"), tmp_path, lambda _: None)  # type: ignore[arg-type]
    page.open()
    with pytest.raises(UiapiError, match="in a row"):
        page.keep()
    assert starts.count == 1 + module.MOST_STARTS and not starts.runs


def test_a_browser_that_ends_at_once_is_an_error_with_its_log(comfyui: Comfyui, tmp_path: Path) -> None:
    broken = program(tmp_path / "browser", "echo no display >&2")
    page = HeadlessTab(comfyui, broken, tmp_path / "profile", lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(UiapiError, match="ended at once") as caught:
        page.open()
    log = tmp_path / "profile" / "browser.log"
    assert str(log) in caught.value.message and log.read_text() == "no display\n"


def test_another_process_closes_a_kept_tab(tmp_path: Path, starts: Starts, comfyui: Comfyui) -> None:
    page = HeadlessTab(comfyui, Path("b"), tmp_path, lambda _: None)  # type: ignore[arg-type]
    page.open()
    keeping = threading.Thread(target=page.keep)
    keeping.start()
    while not is_kept(tmp_path):
        assert keeping.is_alive()
    assert close_kept(tmp_path) and not is_kept(tmp_path)
    keeping.join(60)
    assert not keeping.is_alive()


@pytest.mark.parametrize("words", [(), ("--detach",), ("--stop",)])
async def test_while_another_process_opens_the_tab_no_second_browser_is_started_and_the_first_stays(
    talk: Callable[..., Awaitable[Ended]],
    scripted: Scripted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(profile_lock, "PAUSE", 0)
    started = tmp_path / "started"
    browser = program(tmp_path / "browser", f"touch {started}")
    profile = profile_of(scripted.url)
    with claimed(profile):
        ended = await talk("tab", "--browser", str(browser), *words)
    assert (ended.code, ended.out) == (6, "") and "try again" in ended.err
    assert not started.exists() and not profile.exists()
    # It is free as soon as the first has ended, whether or not that could clean up.
    with claimed(profile):
        pass


async def test_the_second_of_two_that_start_at_once_in_the_background_says_so(
    talk: Callable[..., Awaitable[Ended]], scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    browser = program(tmp_path / "browser")
    # The other one has claimed the profile after this one has looked, so the process in the background ends so.
    child = program(tmp_path / "child", "echo 'Another uiapi tab is opening; try again.'; exit 6")
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **how: popen([str(child)], **how))
    ended = await talk("tab", "--detach", "--browser", str(browser))
    assert (ended.code, ended.err) == (6, "Another uiapi tab is opening; try again.\n")
