"""Tests of JSON files: writes are atomic, also in a power cut, and damaged files are kept."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from comfyui_uiapi.common import json_store
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.common.json_store import Damaged, read_json, set_aside, sweep, write_json


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Records disk operations in order: syncs and renames with the bytes at that time, and removals."""
    asked: list[tuple[str, str]] = []
    fsync, replace, unlink = os.fsync, os.replace, os.unlink

    def synced(descriptor: int) -> None:
        status = os.fstat(descriptor)
        folder = stat.S_ISDIR(status.st_mode)
        asked.append(("sync folder", "") if folder else ("sync", os.pread(descriptor, status.st_size, 0).decode()))
        fsync(descriptor)

    def renamed(source: Any, target: Any) -> None:
        asked.append(("rename", Path(source).read_text("utf-8")))
        replace(source, target)

    def removed(path: Any, **named: Any) -> None:
        asked.append(("remove", ""))
        unlink(path, **named)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "unlink", removed)
    return asked


async def test_bytes_are_synced_before_they_take_the_files_place_and_the_folder_after(
    tmp_path: Path, disk: list[tuple[str, str]]
) -> None:
    path = tmp_path / "deep" / "er" / "kept.json"
    await write_json(path, {"words": "ä\ud800"})
    whole = path.read_text("utf-8")
    assert disk == [("sync", whole), ("rename", whole), ("sync folder", "")]
    assert json.loads(whole) == {"version": 1, "words": "ä\ud800"}
    assert "ä" in whole and await read_json(path) == {"version": 1, "words": "ä\ud800"}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
async def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "kept.json"
    await write_json(path, {"number": 1})

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(UiapiError, match=r"kept\.json cannot be written \(No space left on device\); check") as caught:
        await write_json(path, {"number": 2})
    assert caught.value.code == "storage_failed"
    assert await read_json(path) == {"version": 1, "number": 1} and os.listdir(tmp_path) == ["kept.json"]


async def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UiapiError, match=r"kept\.json cannot be written"):
        await write_json(tmp_path / "file" / "kept.json", {})


async def test_a_folder_that_cannot_be_synced_does_not_make_a_write_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    before = len(os.listdir("/dev/fd"))
    await write_json(tmp_path / "kept.json", {})
    assert len(os.listdir("/dev/fd")) <= before


async def test_a_file_that_is_not_there_is_none_and_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert await read_json(tmp_path / "kept.json") is None
    (tmp_path / "kept.json").mkdir()
    with pytest.raises(UiapiError, match="cannot be read") as caught:
        await read_json(tmp_path / "kept.json")
    assert caught.value.code == "storage_failed" and not isinstance(caught.value, Damaged)
    assert os.listdir(tmp_path) == ["kept.json"]


@pytest.mark.parametrize("version", [2, "1", None, 1.5])
async def test_a_file_of_another_version_stays_where_it_is(tmp_path: Path, version: Any) -> None:
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"version": version}))
    with pytest.raises(UiapiError, match="newer ComfyUI-uiapi") as caught:
        await read_json(path)
    assert not isinstance(caught.value, Damaged) and os.listdir(tmp_path) == ["kept.json"]


async def test_a_file_that_fails_its_check_is_set_aside_and_its_place_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "kept.json"
    path.write_text('{"rules": 3}')

    def check(data: dict[str, Any]) -> None:
        raise ValueError("it does not hold the rules")

    with caplog.at_level(logging.ERROR, "uiapi"), pytest.raises(Damaged, match="it does not hold the rules") as caught:
        await read_json(path, check)
    kept = tmp_path / os.listdir(tmp_path)[0]
    assert kept.read_text() == '{"rules": 3}' and kept.name.startswith("kept.json.broken-2")
    assert kept.name in caught.value.message and [record.message for record in caplog.records] == [caught.value.message]
    assert await read_json(path) is None


async def test_a_file_that_cannot_be_set_aside_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept.json"
    path.write_text("")

    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    for reading in (read_json(path), set_aside(path, "it is none")):
        with pytest.raises(UiapiError, match="Permission denied") as caught:
            await reading
        assert caught.value.code == "storage_failed" and not isinstance(caught.value, Damaged)
    assert path.exists()


async def test_a_write_that_fails_after_its_caller_left_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    writing = asyncio.create_task(write_json(tmp_path / "kept.json", {}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert "No space left" in caplog.text and os.listdir(tmp_path) == []


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time, which stands for the sweeps."""
    now = time.time()
    monkeypatch.setattr(json_store, "time", SimpleNamespace(time=lambda: now))
    return now


def test_a_write_in_progress_is_not_swept_away(tmp_path: Path, now: float) -> None:
    young, old = tmp_path / ".a.json.1.tmp", tmp_path / ".a.json.2.tmp"
    for path, age in ((young, 3), (old, 60)):
        path.write_text("{")
        os.utime(path, (now - age,) * 2)
    (tmp_path / ".a.json.3.tmp").symlink_to(tmp_path / "nowhere")
    sweep(tmp_path)
    assert young.exists() and not old.exists()


@pytest.mark.usefixtures("now")
def test_only_temporary_files_of_killed_writes_are_removed(tmp_path: Path) -> None:
    names = [".model_urls.json.a1.tmp", ".model_urls.json.b2.tmp", "model_urls.json", ".other.tmp"]
    for name in names:
        (tmp_path / name).write_text("{")
    for name in names[0], names[2], names[3]:
        os.utime(tmp_path / name, (1, 1))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


async def test_a_cancelled_write_leaves_no_descriptor_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    await write_json(path, {"number": -1})
    before = len(os.listdir("/dev/fd"))
    for number in range(200):
        writing = asyncio.create_task(write_json(path, {"number": number}))
        # A write takes about a dozen turns of the loop.
        for _ in range(number % 40):
            await asyncio.sleep(0)
        if number % 2:
            await asyncio.sleep(number / 1e5)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert (await read_json(path) or {}).keys() == {"version", "number"}
    assert len(os.listdir("/dev/fd")) <= before
    assert os.listdir(tmp_path) == [path.name]
