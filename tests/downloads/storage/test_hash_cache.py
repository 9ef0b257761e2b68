"""Hashing of files on the disk: its threads, how often it is done, and when it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.storage import hash_cache
from comfyui_uiapi.downloads.storage.hash_cache import Hashes
from comfyui_uiapi.downloads.storage.model_folders import Places
from comfyui_uiapi.tests.downloads.conftest import FolderPaths

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

DIGEST = "0" * 64


class SlowDisk:
    """Replaces hashing: it starts, and ends when released or when all its callers are cancelled."""

    def __init__(self) -> None:
        self.begun: list[Path] = []
        self.ended: list[Path] = []
        self.go_on = threading.Event()
        # Until then a thread that was stopped takes no other file.
        self.leave = threading.Event()
        self.leave.set()

    def sha256_of(self, path: Path, stop: threading.Event) -> str:
        self.begun.append(path)
        while not self.go_on.wait(0.01):
            if stop.is_set():
                self.ended.append(path)
                assert self.leave.wait(60)
                raise InterruptedError
        return DIGEST


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    disk = SlowDisk()
    monkeypatch.setattr(hash_cache, "sha256_of", disk.sha256_of)
    return disk


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for path in paths:
        path.write_bytes(b"x")
    return paths


@pytest.fixture
def known(tmp_path: Path, disk: SlowDisk) -> Iterator[Hashes]:
    known = Hashes(tmp_path / "hashes.json", Places(FolderPaths(tmp_path)))
    yield known
    known.close()


async def test_hashing_holds_none_of_the_threads_comfyui_shares(
    known: Hashes, disk: SlowDisk, files: list[Path], eventually: Eventually
) -> None:
    # Cut down to one, so that a single call that waits in them is noticed.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    asked = [asyncio.create_task(known.of(path)) for path in files]
    await eventually(lambda: len(disk.begun) == hash_cache.THREADS)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 60) == "free"
    disk.go_on.set()
    assert await asyncio.gather(*asked) == [DIGEST] * len(files)


async def test_hashing_stops_when_no_caller_waits_for_it(
    known: Hashes, disk: SlowDisk, files: list[Path], eventually: Eventually
) -> None:
    disk.leave.clear()
    asked = [asyncio.create_task(known.of(path)) for path in files]
    await eventually(lambda: len(disk.begun) == hash_cache.THREADS)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await eventually(lambda: sorted(disk.ended) == sorted(disk.begun))
    assert len(disk.begun) == hash_cache.THREADS
    disk.leave.set()
    disk.go_on.set()
    assert await known.of(files[0]) == DIGEST
    # None of those that waited for a thread.
    assert len(disk.begun) == hash_cache.THREADS + 1


async def test_a_file_two_ask_for_is_hashed_once_and_goes_on_for_the_one_who_stays(
    known: Hashes, disk: SlowDisk, files: list[Path], eventually: Eventually
) -> None:
    leaves, stays = (asyncio.create_task(known.of(files[0])) for _ in range(2))
    # Each looks at the file on a thread before it joins.
    await eventually(lambda: disk.begun and [one.wanted_by for one in known._running.values()] == [2])
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    disk.go_on.set()
    assert await stays == DIGEST and disk.begun == [files[0]]


async def test_closing_stops_the_hashing_in_progress_and_starts_none(
    known: Hashes, disk: SlowDisk, files: list[Path], eventually: Eventually
) -> None:
    asked = [asyncio.create_task(known.of(path)) for path in files]
    await eventually(lambda: len(disk.begun) == hash_cache.THREADS)
    known.close()
    assert await asyncio.wait_for(asyncio.gather(*asked), 60) == [None] * len(files)
    assert await known.of(files[0]) is None
