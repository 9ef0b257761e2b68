"""Downloads stopped at awkward moments: while copied, renamed, closed or queued, and next to others that continue."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.api import service as service_module
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage import local_copy, partial_file
from comfyui_uiapi.downloads.storage.hash_cache import Hashes
from comfyui_uiapi.downloads.storage.open_folder import Folder
from comfyui_uiapi.downloads.transfer import transfer, turns
from comfyui_uiapi.tests.downloads.conftest import Service, received
from comfyui_uiapi.tests.harness.models.lock_holder import hold_lock
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SMALL = 200_000
LARGE = 12_000_000
MINE = model_bytes(SMALL)
NOTHING = ["user/__uiapi/downloads.json"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks small enough that a file of a few megabytes has many."""
    monkeypatch.setattr(transfer, "FIRST_BLOCK", 1 << 20)
    monkeypatch.setattr(transfer, "SMALLEST_BLOCK", 1 << 18)
    monkeypatch.setattr(transfer, "JOURNAL_INTERVAL", 0.05)


class Gate:
    """Has a function of a thread wait before or after it has done its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool = False) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        really = getattr(owner, name)

        def gated(*args: Any, **how: Any) -> Any:
            done = really(*args, **how) if after else None
            self.reached.set()
            assert self.go.wait(60)
            return done if after else really(*args, **how)

        monkeypatch.setattr(owner, name, gated)


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Gate]]:
    """Makes gates, and opens them at the end whatever happened."""
    made: list[Gate] = []

    def make(*where: Any, **how: Any) -> Gate:
        made.append(Gate(monkeypatch, *where, **how))
        return made[-1]

    yield make
    for gate in made:
        gate.go.set()


def partials(service: Service) -> list[str]:
    return [file for file in service.folders.files() if "uiapi-" in file]


# -- copies -------------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(service: Service, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model on another disk, where it can only be copied from, in many pieces."""
    path = service.state.parent / "mine.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MINE)
    really = os.link

    def link(source: Any, target: Any, **how: Any) -> None:
        if str(source) == os.path.realpath(path):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        really(source, target, **how)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(local_copy, "CHUNK", 1 << 10)
    return path


async def test_a_copy_that_is_cancelled_is_stopped_and_nothing_lands(
    service: Service, host: Host, elsewhere: Path, gates: Callable[..., Gate], eventually: Eventually
) -> None:
    gate = gates(local_copy, "_copy")
    run = await service.downloads.fetch_one("x.safetensors", {"local": str(elsewhere)})
    await eventually(gate.reached.is_set)
    stopping = asyncio.create_task(service.downloads.stop(run.id, None, "cancelled"))
    await eventually(lambda: run.to_dict()["progress"]["x.safetensors"]["status"] == "cancelled")
    # The target is still locked, so that no other fetch starts to write there.
    assert [file for file in partials(service) if file.endswith("uiapi-lock")]
    gate.go.set()
    await stopping
    assert run.to_dict()["status"] == "cancelled" and not service.path("x.safetensors").exists()
    assert partials(service) == []


async def test_a_copy_is_on_the_disk_before_it_has_its_name(
    service: Service, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    syncs, names = os.fsync, Folder.move_without_replacing

    def fsync(handle: int) -> None:
        if os.fstat(handle).st_size == SMALL:
            done.append("sync")
        syncs(handle)

    def name(folder: Folder, old: str, new: str) -> None:
        done.append("name")
        names(folder, old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Folder, "move_without_replacing", name)
    entry = await service.fetch("x.safetensors", {"local": str(elsewhere)})
    assert entry["status"] == "success" and (entry["bytes"], entry["total"]) == (SMALL, SMALL)
    assert service.path("x.safetensors").read_bytes() == MINE
    assert done == ["sync", "name"]


async def test_a_file_that_changes_while_it_is_copied_does_not_land(
    service: Service, elsewhere: Path, gates: Callable[..., Gate], eventually: Eventually
) -> None:
    gate = gates(local_copy, "_copy")
    run = await service.downloads.fetch_one("x.safetensors", {"local": str(elsewhere)})
    await eventually(gate.reached.is_set)
    os.truncate(elsewhere, SMALL // 2)
    gate.go.set()
    await service.ended(run)
    assert run.items[0].to_dict()["code"] == "conflict" and not service.path("x.safetensors").exists()
    assert partials(service) == []


async def test_a_copy_leaves_no_partial_of_an_earlier_download(
    service: Service, host: Host, elsewhere: Path, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(LARGE), held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(lambda: received(run) >= 1_000_000)
    await service.downloads.stop(run.id, None, "paused")
    assert partials(service)
    assert (await service.fetch("x.safetensors", {"local": str(elsewhere)}))["status"] == "success"
    assert partials(service) == []


async def test_a_local_file_must_have_the_digest_that_is_wanted(service: Service, elsewhere: Path) -> None:
    entry = await service.fetch("x.safetensors", {"local": str(elsewhere), "sha256": "0" * 64})
    assert (entry["status"], entry["code"]) == ("error", "hash_mismatch")
    assert not service.path("x.safetensors").exists()
    right = {"local": str(elsewhere), "sha256": sha256(MINE).upper()}
    assert (await service.fetch("x.safetensors", right))["status"] == "success"


async def test_a_local_file_must_be_what_its_new_name_says(service: Service) -> None:
    gguf = service.state.parent / "mine.gguf"
    gguf.parent.mkdir(parents=True, exist_ok=True)
    gguf.write_bytes(b"GGUF" + bytes(500))
    entry = await service.fetch("x.safetensors", {"local": str(gguf)})
    assert (entry["status"], entry["code"]) == ("error", "not_a_model")
    assert not service.path("x.safetensors").exists()


# -- the moment of the rename -------------------------------------------------------------------------------------


async def test_a_download_cancelled_while_it_gets_its_name_is_present_and_says_so(
    service: Service, host: Host, gates: Callable[..., Gate], eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(SMALL))
    gate = gates(partial_file, "sync_directory", after=True)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(gate.reached.is_set)
    stopping = asyncio.create_task(service.downloads.stop(run.id, None, "cancelled"))
    await eventually(lambda: run.to_dict()["progress"]["x.safetensors"]["status"] == "cancelled")
    gate.go.set()
    await stopping
    assert (run.to_dict()["status"], run.items[0].state) == ("completed", "success")
    assert service.path("x.safetensors").exists() and partials(service) == []
    landed = [data for event, data in service.events if event == "model_landed"]
    assert landed == [{"directory": "checkpoints", "path": str(service.path("x.safetensors"))}]


async def test_a_download_cancelled_while_its_digest_is_noted_is_present_and_says_so(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    data = model_bytes(SMALL)
    host.offer("/x", data)
    noting = asyncio.Event()

    async def note(*_: Any) -> None:
        noting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Hashes, "note", note)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x"), "sha256": sha256(data)})
    await asyncio.wait_for(noting.wait(), 60)
    await service.downloads.stop(run.id, None, "cancelled")
    assert (run.to_dict()["status"], run.items[0].state) == ("completed", "success")
    assert [event for event, _ in service.events if event == "model_landed"] == ["model_landed"]


async def test_a_digest_that_cannot_be_remembered_makes_no_failure_of_a_file_that_is_there(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = model_bytes(SMALL)
    host.offer("/x", data)

    async def note(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Hashes, "note", note)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x"), "sha256": sha256(data)})
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data


# -- what is left behind ------------------------------------------------------------------------------------------


async def test_cancelling_a_paused_download_leaves_the_transfer_of_another_alone(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data = model_bytes(LARGE)
    go = asyncio.Event()
    answer = host.offer("/x", data, held=go, free=1_000_000)
    first = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(lambda: received(first) >= 1_000_000)
    await service.downloads.stop(first.id, None, "paused")
    answer.free = host.sent["/x"] + 1_000_000
    second = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x"), "sha256": sha256(data)})
    await eventually(lambda: received(second) >= 1_500_000)
    await service.downloads.stop(first.id, None, "cancelled")
    assert first.to_dict()["status"] == "cancelled" and partials(service)
    go.set()
    await service.ended(second)
    assert second.items[0].state == "success", second.items[0].to_dict()
    assert service.path("x.safetensors").read_bytes() == data and partials(service) == []


async def test_cancelling_a_download_that_is_still_being_paused_leaves_nothing(
    service: Service, host: Host, gates: Callable[..., Gate], eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(LARGE), held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(lambda: received(run) >= 1_000_000)
    gate = gates(partial_file.Partial, "sync")
    pausing = asyncio.create_task(service.downloads.stop(run.id, None, "paused"))
    await eventually(gate.reached.is_set)
    cancelling = asyncio.create_task(service.downloads.stop(run.id, None, "cancelled"))
    await eventually(lambda: run.items[0].state == "cancelled")
    gate.go.set()
    await asyncio.gather(pausing, cancelling)
    assert run.to_dict()["status"] == "cancelled" and service.folders.files() == NOTHING


async def test_a_cancelled_download_cannot_be_paused(service: Service, host: Host) -> None:
    host.offer("/x", model_bytes(SMALL), held=asyncio.Event())
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await service.downloads.stop(run.id, None, "cancelled")
    with pytest.raises(UiapiError) as caught:
        await service.downloads.stop(run.id, None, "paused")
    assert (caught.value.code, run.to_dict()["status"]) == ("conflict", "cancelled")


async def test_a_download_resumed_while_it_is_still_being_paused_continues(
    service: Service, host: Host, gates: Callable[..., Gate], eventually: Eventually
) -> None:
    data = model_bytes(LARGE)
    answer = host.offer("/x", data, held=asyncio.Event(), free=2_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(lambda: received(run) >= 2_000_000)
    gate = gates(partial_file.Partial, "sync")
    pausing = asyncio.create_task(service.downloads.stop(run.id, None, "paused"))
    await eventually(lambda: gate.reached.is_set() and run.items[0].state == "paused")
    already, answer.held = host.sent["/x"], None
    resuming = asyncio.create_task(service.downloads.resume(run.id, None))
    await asyncio.sleep(0)
    gate.go.set()
    await asyncio.gather(pausing, resuming)
    assert (await service.ended(run))["status"] == "completed"
    assert service.path("x.safetensors").read_bytes() == data and host.sent["/x"] - already < LARGE


async def test_stopping_waits_no_longer_than_it_says(
    service: Service, host: Host, gates: Callable[..., Gate], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.offer("/x", model_bytes(LARGE), held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    await eventually(lambda: received(run) >= 1_000_000)
    gate = gates(partial_file.Partial, "sync")
    monkeypatch.setattr(service_module, "CLOSE_TIMEOUT", 0.05)
    await asyncio.wait_for(service.downloads.stop(run.id, None, "paused"), 60)
    assert run.items[0].state == "paused" and run.items[0].busy
    gate.go.set()
    await service.ended(run)
    assert run.to_dict()["status"] == "paused"


class TestOneFileAtATime:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), max_downloads=1)

    async def test_cancelling_a_resumed_download_before_its_turn_leaves_nothing(
        self, service: Service, host: Host, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turns, "PATIENCE", 1e6)
        for name in ("/x", "/y"):
            host.offer(name, model_bytes(LARGE), held=asyncio.Event(), free=1_000_000)
        first = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
        await eventually(lambda: received(first) >= 1_000_000)
        await service.downloads.stop(first.id, None, "paused")
        second = await service.downloads.fetch_one("y.safetensors", {"url": host.url("/y")})
        await eventually(lambda: received(second) >= 1_000_000)
        await service.downloads.resume(first.id, None)
        await eventually(lambda: first.items[0].fetch is not None and first.items[0].busy)
        await service.downloads.stop(first.id, None, "cancelled")
        await service.downloads.stop(second.id, None, "cancelled")
        assert service.folders.files() == NOTHING

    async def test_a_file_that_another_process_holds_keeps_no_other_from_its_turn(
        self, service: Service, host: Host
    ) -> None:
        for name in ("/x", "/y"):
            host.offer(name, model_bytes(SMALL))
        lock = service.path(".x.safetensors.uiapi-lock")
        holder = await hold_lock(lock)
        held = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
        assert (await service.fetch("y.safetensors", host.url("/y")))["status"] == "success"
        assert held.items[0].busy
        holder.kill()
        await holder.communicate()
        await service.ended(held)
        assert held.items[0].state == "success"


async def test_a_download_of_a_thousand_models_is_cancelled_in_one_breath(service: Service, host: Host) -> None:
    needs = [(f"{number}.safetensors", "checkpoints", host.url("/x")) for number in range(1000)]
    host.offer("/x", model_bytes(SMALL), held=asyncio.Event())
    run = await service.downloads.begin(workflow(*needs), {})
    await asyncio.wait_for(service.downloads.stop(run.id, None, "cancelled"), 240)
    assert run.to_dict()["status"] == "cancelled" and service.folders.files() == NOTHING


# -- one target, two requests -------------------------------------------------------------------------------------


async def test_another_file_wanted_under_the_same_name_does_not_pass_for_it(
    service: Service, host: Host, eventually: Eventually
) -> None:
    a, b = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    go = asyncio.Event()
    host.offer("/a", a, held=go, free=500_000)
    host.offer("/b", b)
    first = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/a")})
    await eventually(lambda: received(first) >= 500_000)
    second = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/b"), "sha256": sha256(b)})
    third = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/b"), "sha256": sha256(a)})
    go.set()
    for run in (first, second, third):
        await service.ended(run)
    assert [run.items[0].state for run in (first, second, third)] == ["success", "error", "success"]
    assert second.items[0].to_dict()["code"] == "damaged" and "another version" in second.items[0].to_dict()["error"]
    assert service.path("x.safetensors").read_bytes() == a and not host.asked("/b")


async def test_another_source_of_the_same_name_is_tried_when_the_first_fails(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data, gate = model_bytes(SMALL), asyncio.Event()
    host.offer("/a", b"no model at all", held=gate)
    host.offer("/b", data)
    first = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/a")})
    await eventually(lambda: host.seen)
    second = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/b")})
    gate.set()
    for run in (first, second):
        await service.ended(run)
    assert [run.items[0].state for run in (first, second)] == ["error", "success"]
    assert service.path("x.safetensors").read_bytes() == data
