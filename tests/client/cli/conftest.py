"""Fixtures: a command line with the scripted server, and an empty folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from comfyui_uiapi.tests.client.conftest import Ended
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

Uiapi = Callable[..., Awaitable[Ended]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder; other fixtures use tmp_path."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def talk(scripted: Scripted, uiapi: Uiapi) -> Uiapi:
    """Runs a command line with the scripted server: `await talk("run")`."""

    async def carry_out(*words: str, stdin: str = "") -> Ended:
        return await uiapi("--url", scripted.url, *words, stdin=stdin)

    return carry_out
