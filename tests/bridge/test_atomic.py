"""What a killed write leaves beside its file goes away at the next start; what is being written stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from comfyui_uiapi.bridge.atomic import read_json, sweep, write_json


def test_only_what_a_killed_write_left_is_taken_away(tmp_path: Path) -> None:
    names = [".model_urls.json.a1.tmp", ".model_urls.json.b2.tmp", "model_urls.json", ".other.tmp"]
    for name in names:
        (tmp_path / name).write_text("{")
    for name in names[0], names[2], names[3]:
        os.utime(tmp_path / name, (1, 1))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


async def test_a_write_that_is_cancelled_anywhere_leaves_no_descriptor_and_no_file_beside(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    await write_json(path, {"number": -1})
    before = len(os.listdir("/dev/fd"))
    for number in range(200):
        writing = asyncio.create_task(write_json(path, {"number": number}))
        # A write takes some dozen turns of the loop.
        for _ in range(number % 40):
            await asyncio.sleep(0)
        if number % 2:
            await asyncio.sleep(number / 1e5)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert (await read_json(path) or {}).keys() == {"version", "number"}
    assert len(os.listdir("/dev/fd")) <= before
    assert os.listdir(tmp_path) == [path.name]
