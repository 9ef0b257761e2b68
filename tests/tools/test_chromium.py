"""Finding Chromium: the configured one, one that runs, or an error that says how to install it."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools import chromium
from comfyui_uiapi.tests.tools.steps import Stop


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, on a machine without another browser and without root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(chromium, "MAC", tmp_path / "none")
    monkeypatch.setattr(chromium.os, "geteuid", lambda: 1000)  # type: ignore[attr-defined]
    return tmp_path


def program(path: Path, exit_code: int) -> Path:
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_without_a_browser_and_the_right_to_install_one_a_sentence_says_what_to_do(only: Path) -> None:
    with pytest.raises(Stop, match=r"apt-get install chromium.*CHROMIUM"):
        chromium.ensure()


def test_a_stub_that_does_not_start_is_passed_over(only: Path) -> None:
    program(only / "chromium-browser", 1)
    real = program(only / "google-chrome", 0)
    assert chromium.ensure() == real


def test_the_one_that_is_named_is_used_before_an_installed_one(only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(only / "chromium", 0)
    named = program(only / "mine", 0)
    monkeypatch.setenv("CHROMIUM", str(named))
    assert chromium.ensure() == named


def test_a_named_one_that_does_not_run_is_never_replaced_by_another(
    only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(only / "chromium", 0)
    monkeypatch.setenv("CHROMIUM", str(program(only / "mine", 1)))
    with pytest.raises(Stop, match="correct the variable or unset it"):
        chromium.ensure()


@pytest.mark.parametrize(("exit_code", "may"), [(0, True), (1, False)])
def test_apt_is_used_through_sudo_only_where_that_asks_for_no_password(only: Path, exit_code: int, may: bool) -> None:
    program(only / "apt-get", 0)
    sudo = program(only / "sudo", exit_code)
    assert chromium.apt() == ([str(sudo), "-n", "apt-get"] if may else None)
