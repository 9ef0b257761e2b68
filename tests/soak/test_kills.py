"""Two rounds of tests/soak/kills.py; `python3 dev.py soak --kills 200` runs more."""

from __future__ import annotations

import pytest
from comfyui_uiapi.tests.soak.kills import kill_again_and_again
from playwright.async_api import async_playwright

pytestmark = pytest.mark.stack


async def test_a_killed_comfyui_loses_nothing_it_has_confirmed() -> None:
    async with async_playwright() as playwright:
        counts = await kill_again_and_again(playwright, 2)
    assert counts["kills"] == 2 and counts["saved"] > 0 and counts["written"] > 0
