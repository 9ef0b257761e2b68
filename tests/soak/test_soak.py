"""Half a minute of the soak; `python3 dev.py soak --minutes 10` runs longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from comfyui_uiapi.tests.soak import soak
from PIL import Image
from playwright.async_api import async_playwright

pytestmark = pytest.mark.stack


async def test_nothing_grows_while_programs_and_tabs_come_and_go(tmp_path: Path) -> None:
    async with async_playwright() as playwright:
        result = await soak.soak(playwright, minutes=0.5)
    assert result.faults() == []
    await asyncio.to_thread(result.draw, tmp_path / "soak.png")
    with Image.open(tmp_path / "soak.png") as drawn:
        assert drawn.width == 900
