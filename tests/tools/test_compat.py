"""`dev.py compat --python`: the fast tests on one Python, or an error if it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools import compat, steps


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(steps.Stop, match=r"Python 3\.0 is not installed; install it"):
        compat.fast_tests("3.0")


@pytest.mark.parametrize("failing", [None, "newest"])
def test_the_fast_tests_run_with_the_oldest_and_the_newest_aiohttp(
    monkeypatch: pytest.MonkeyPatch, failing: str | None
) -> None:
    ran: list[str] = []

    def venv(version: str, python: str, aiohttp: str | None) -> Path:
        return Path(f"{python}-{aiohttp or 'newest'}")

    def tested(what: str, command: Sequence[str | Path]) -> bool:
        assert set(compat.PARTS) <= set(command)
        ran.append(str(command[0]))
        return failing is not None and str(command[0]).endswith(failing)

    monkeypatch.setattr(compat, "_python", lambda version: f"python{version}")
    monkeypatch.setattr(compat, "_venv", venv)
    monkeypatch.setattr(compat, "_installed", lambda venv: "any")
    monkeypatch.setattr(compat, "_tested", tested)
    assert compat.fast_tests("3.10") == (0 if failing is None else 1)
    assert ran == [f"python3.10-{compat.AIOHTTP[0]}", "python3.10-newest"]
