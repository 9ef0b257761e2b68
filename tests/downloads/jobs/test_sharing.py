"""Files that are cancelled, paused, requested twice or present already, and their partial files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.downloads.storage import file_check
from comfyui_uiapi.downloads.storage.ledger import Identity
from comfyui_uiapi.downloads.storage.partial_file import Partial
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.tests.downloads.conftest import Service, received
from comfyui_uiapi.tests.harness.models.lock_holder import hold_lock
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SMALL = 200_000
LARGE = 12_000_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks small enough that a file of a few megabytes has many."""
    monkeypatch.setattr(transfer, "FIRST_BLOCK", 1 << 20)
    monkeypatch.setattr(transfer, "SMALLEST_BLOCK", 1 << 18)
    monkeypatch.setattr(transfer, "JOURNAL_INTERVAL", 0.05)


async def test_a_cancelled_file_leaves_nothing(service: Service, host: Host, eventually: Eventually) -> None:
    host.offer("/x.safetensors", model_bytes(LARGE), held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.fetch_one("sub/x.safetensors", {"url": host.url("/x.safetensors")})
    await eventually(lambda: received(run) >= 1_000_000)
    await service.downloads.stop(run.id, None, "cancelled")
    assert run.to_dict()["status"] == "cancelled" and run.to_dict()["completed"]
    assert service.folders.files() == ["user/__uiapi/downloads.json"]
    assert not service.path("sub").exists()


async def test_a_paused_file_goes_on_where_it_was(service: Service, host: Host, eventually: Eventually) -> None:
    data = model_bytes(LARGE)
    answer = host.offer("/x.safetensors", data, held=asyncio.Event(), free=4_000_000)
    run = await service.downloads.fetch_one(
        "x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)}
    )
    await eventually(lambda: received(run) >= 4_000_000)
    await service.downloads.stop(run.id, None, "paused")
    assert (run.to_dict()["status"], run.to_dict()["completed"], run.to_dict()["resumable"]) == ("paused", False, True)
    assert not service.path("x.safetensors").exists()
    already, answer.held = host.sent["/x.safetensors"], None
    await service.ended(await service.downloads.resume(run.id, None))
    assert run.to_dict()["status"] == "completed"
    assert service.path("x.safetensors").read_bytes() == data
    # What was on the wire when it was paused is fetched again, nothing else.
    assert host.sent["/x.safetensors"] - already < LARGE - 2_000_000
    assert all("if-range" in seen.headers for seen in host.seen[-2:])


async def test_one_target_wanted_by_two_tasks_is_fetched_once(
    service: Service, host: Host, eventually: Eventually
) -> None:
    go = asyncio.Event()
    host.offer("/x.safetensors", model_bytes(LARGE), held=go)
    runs = [await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")}) for _ in range(2)]
    await eventually(lambda: all(run.items[0].fetch is not None for run in runs))
    go.set()
    for run in runs:
        await service.ended(run)
        assert run.items[0].state == "success"
    assert host.sent["/x.safetensors"] == LARGE


async def test_a_task_that_is_cancelled_does_not_end_the_transfer_another_wants(
    service: Service, host: Host, eventually: Eventually
) -> None:
    go = asyncio.Event()
    host.offer("/x.safetensors", model_bytes(LARGE), held=go, free=500_000)
    first, second = [
        await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")}) for _ in range(2)
    ]
    await eventually(lambda: received(first) >= 500_000 and second.items[0].fetch is not None)
    await service.downloads.stop(first.id, None, "cancelled")
    go.set()
    await service.ended(second)
    assert first.items[0].state == "cancelled" and second.items[0].state == "success"
    assert host.sent["/x.safetensors"] == LARGE


async def test_a_file_wanted_again_while_its_transfer_is_being_ended_is_fetched_anew(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data = model_bytes(LARGE)
    answer = host.offer("/x.safetensors", data, held=asyncio.Event(), free=500_000)
    first = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
    await eventually(lambda: received(first) >= 500_000)
    ending = asyncio.create_task(service.downloads.stop(first.id, None, "cancelled"))
    await asyncio.sleep(0)
    answer.held = None
    second = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
    await ending
    await service.ended(second)
    assert first.items[0].state == "cancelled" and second.items[0].state == "success"
    assert service.path("x.safetensors").read_bytes() == data


async def test_one_target_wanted_by_two_comfyuis_is_fetched_once(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data, rate=10e6)
    other = service.make()
    runs = [
        await downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
        for downloads in (service.downloads, other)
    ]
    try:
        for run in runs:
            await service.ended(run)
            assert run.items[0].state == "success", run.items[0].to_dict()
    finally:
        await other.close()
    assert host.sent["/x.safetensors"] == LARGE
    assert [file for file in service.folders.files() if "uiapi-" in file] == []


async def test_another_process_that_holds_a_target_is_waited_for(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/x.safetensors", model_bytes(SMALL))
    lock = service.path(".x.safetensors.uiapi-lock")
    holder = await hold_lock(lock)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
    await eventually(lambda: service.downloads.status(run.id)["progress"]["x.safetensors"]["status"] == "waiting")
    assert host.seen == []
    holder.kill()
    await holder.communicate()
    await service.ended(run)
    assert run.items[0].state == "success"


async def test_a_file_that_is_there_is_not_overwritten_unless_asked(service: Service, host: Host) -> None:
    service.path("x.safetensors").write_bytes(mine := model_bytes(300))
    data = model_bytes(SMALL)
    host.offer("/x.safetensors", data)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["model_number"]) == ("success", "existing")
    assert service.path("x.safetensors").read_bytes() == mine and host.seen == []
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"), overwrite=True)
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data


async def test_a_file_that_appears_meanwhile_is_not_overwritten(
    service: Service, host: Host, eventually: Eventually
) -> None:
    go = asyncio.Event()
    host.offer("/x.safetensors", model_bytes(LARGE), held=go, free=500_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
    await eventually(lambda: received(run) >= 500_000)
    service.path("x.safetensors").write_bytes(b"mine")
    go.set()
    await service.ended(run)
    assert run.items[0].to_dict()["code"] == "conflict"
    assert service.path("x.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize("journal", [False, True], ids=["linked to another copy", "downloaded"])
async def test_a_partial_that_is_another_name_of_a_model_is_never_written_to(
    service: Service, host: Host, journal: bool
) -> None:
    """What a SIGKILL leaves between the two steps in which a file gets its second name."""
    model, data = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    service.path("kept.safetensors").write_bytes(model)
    partial = Partial(service.path("x.safetensors"))
    partial.path.hardlink_to(service.path("kept.safetensors"))
    if journal:
        partial.note(Identity(LARGE, '"one"', None), [(0, 1 << 20)])
    host.offer("/x.safetensors", data)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success"
    assert service.path("x.safetensors").read_bytes() == data
    assert service.path("kept.safetensors").read_bytes() == model


async def test_a_link_planted_for_the_journal_leads_nowhere(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    outside = service.path("precious")
    outside.write_text("precious")
    journal = Partial(service.path("x.safetensors")).journal
    journal.with_name(journal.name + "-new").symlink_to(outside)
    host.offer("/x.safetensors", data, rate=20e6)
    assert (await service.fetch("x.safetensors", host.url("/x.safetensors")))["status"] == "success"
    assert outside.read_text() == "precious"


async def test_a_file_that_is_being_verified_is_paused_at_once(
    service: Service, host: Host, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = model_bytes(LARGE)
    # A piece of the hash takes a while, and there are many.
    monkeypatch.setattr(file_check, "HASH_CHUNK", 1 << 10)
    monkeypatch.setattr("hashlib.sha256", Slow)
    host.offer("/x.safetensors", data)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": "0" * 64})
    item = run.items[0]
    await eventually(lambda: item.fetch is not None and item.fetch.progress.phase == "verifying")
    await asyncio.wait_for(service.downloads.stop(run.id, None, "paused"), 60)
    assert item.state == "paused"


class Slow:
    """A digest that would take minutes."""

    def update(self, data: bytes) -> None:
        time.sleep(0.05)

    def hexdigest(self) -> str:
        return "0" * 64
