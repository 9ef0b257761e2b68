"""A process killed during a transfer: what its journal lists, and how much is downloaded again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
Span = tuple[int, int]

ROOT = Path(__file__).resolve().parents[3]
SIZE = 30_000_000
# Fetches one file in a process of its own; the journal is written ten times as often as it is otherwise.
FETCHER = """
import asyncio, importlib.util, sys
from pathlib import Path

root, authority, target = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "comfyui_uiapi", root + "/__init__.py", submodule_search_locations=[root]
)
sys.modules["comfyui_uiapi"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["comfyui_uiapi"])
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.downloads.transfer.transfer_thread import Engine
from comfyui_uiapi.downloads.transfer.host_guard import HostGuard
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage.file_writer import Progress
from yarl import URL

transfer.JOURNAL_INTERVAL /= 10

async def fetch():
    settings = Settings(allowed_hosts=(authority,))
    engine = Engine(settings, HostGuard(settings))
    await engine.fetch(transfer.Order(URL(f"http://{authority}/x"), Path(target)), Progress())
    await engine.close()

asyncio.run(fetch())
"""


async def test_a_killed_download_fetches_again_only_what_came_since_the_last_note(
    host: Host, tmp_path: Path, eventually: Eventually
) -> None:
    data = model_bytes(SIZE)
    answer = host.offer("/x", data, held=asyncio.Event(), free=SIZE // 2)
    target = tmp_path / "x.safetensors"

    async def begin() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", FETCHER, str(ROOT), host.authority, str(target)
        )

    process = await begin()
    journal = tmp_path / ".x.safetensors.uiapi-json"
    # Notes are made all the time, also while nothing comes.
    await eventually(lambda: journal.exists() and missing_bytes(journal) <= SIZE - SIZE // 2)
    process.kill()
    await process.wait()
    answer.held, host.sent["/x"] = None, 0
    assert await (await begin()).wait() == 0
    assert sha256(target.read_bytes()) == sha256(data)
    assert host.sent["/x"] <= SIZE - SIZE // 2
    assert os.listdir(tmp_path) == ["x.safetensors"]


async def test_the_journal_never_names_bytes_that_are_not_on_the_disk_yet(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Span] = []
    synced: list[Span] = []
    journals: list[list[Span]] = []
    whole: set[int] = set()
    pwrite, fdatasync, fsync, replace = os.pwrite, os.fdatasync, os.fsync, os.replace

    def noted_write(handle: int, piece: Any, offset: int) -> int:
        count = pwrite(handle, piece, offset)
        written.append((offset, offset + count))
        return count

    def noted_sync(handle: int) -> None:
        reached = [*written]
        fdatasync(handle)
        synced[:] = reached

    def noted_journal_sync(handle: int) -> None:
        fsync(handle)
        whole.add(os.fstat(handle).st_ino)

    def noted_rename(source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if str(target).endswith(".uiapi-json"):
            with open(source, encoding="utf-8", opener=lambda name, how: os.open(name, how, dir_fd=src_dir_fd)) as file:
                assert os.fstat(file.fileno()).st_ino in whole
                missing = json.load(file)["missing"]
            journals.append(uncovered(missing, synced))
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    for name, noted in (
        ("pwrite", noted_write),
        ("fdatasync", noted_sync),
        ("fsync", noted_journal_sync),
        ("replace", noted_rename),
    ):
        monkeypatch.setattr(os, name, noted)
    # As often as possible, however slow the machine is.
    monkeypatch.setattr(transfer, "JOURNAL_INTERVAL", 0.0)
    host.offer("/x", model_bytes(SIZE), rate=10e6)
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and len(journals) > 3
    assert journals == [[]] * len(journals)


def missing_bytes(journal: Path) -> int:
    """How many bytes a partial file lacks by its journal."""
    return sum(end - start for start, end in json.loads(journal.read_text("utf-8"))["missing"])


def uncovered(missing: list[Span], synced: list[Span]) -> list[Span]:
    """The stretches that are neither missing nor on the disk."""
    gaps, at = [], 0
    for start, end in sorted([*map(tuple, missing), *synced, (SIZE, SIZE)]):
        if start > at:
            gaps.append((at, start))
        at = max(at, end)
    return gaps
