"""What a killed write leaves beside its file goes away at the next start; what is being written stays."""

from __future__ import annotations

import os
from pathlib import Path

from comfyui_uiapi.bridge.atomic import sweep


def test_only_what_a_killed_write_left_is_taken_away(tmp_path: Path) -> None:
    names = [".model_urls.json.a1.tmp", ".model_urls.json.b2.tmp", "model_urls.json", ".other.tmp"]
    for name in names:
        (tmp_path / name).write_text("{")
    for name in names[0], names[2], names[3]:
        os.utime(tmp_path / name, (1, 1))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
