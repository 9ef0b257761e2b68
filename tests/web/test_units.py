"""The unit tests of web/, run in the Node.js that Playwright includes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from comfyui_uiapi.tests.tools import build

UNITS = sorted(Path(__file__).parent.rglob("*.test.mjs"))
# Gives the page the English texts, which a server would do.
ENGLISH = Path(__file__).parent / "english.mjs"
DEADLINE = 300


@pytest.mark.parametrize("unit", UNITS, ids=[unit.name for unit in UNITS])
def test_unit(unit: Path) -> None:
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    done = subprocess.run(  # noqa: S603 - our own tests
        [node, f"--import={ENGLISH.as_uri()}", "--test", "--test-reporter=spec", unit],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "fail 0" in done.stdout, done.stdout
