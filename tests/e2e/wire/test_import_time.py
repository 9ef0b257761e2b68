"""How long ComfyUI waits for this package when it starts."""

from __future__ import annotations

from pathlib import Path

from comfyui_uiapi.tests.harness.comfy.import_time import SHARE, measured


def test_comfyui_waits_for_the_import_less_than_half_as_long_as_for_aiohttp(tmp_path: Path) -> None:
    rounds = []
    for number in range(5):
        own, yardstick = measured(tmp_path / str(number))
        if own <= SHARE * yardstick:
            return
        rounds.append((own, yardstick))
    raise AssertionError(f"seconds for this package and for aiohttp, five times: {rounds}")
