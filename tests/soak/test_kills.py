"""A few of the kills; `python3 dev.py soak --kills 200` are all of them."""

from __future__ import annotations

from comfyui_uiapi.tests.soak.kills import kill_again_and_again
from playwright.async_api import async_playwright


async def test_a_comfyui_that_is_killed_loses_nothing_it_had_answered_for() -> None:
    async with async_playwright() as playwright:
        counts = await kill_again_and_again(playwright, 2)
    assert counts["kills"] == 2 and counts["saved"] > 0 and counts["written"] > 0
