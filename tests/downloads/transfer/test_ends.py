"""Whether a file is complete and the wanted one: bodies without a length, odd parts, old partial files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage import file_writer, ledger, partial_file
from comfyui_uiapi.downloads.storage.open_folder import Folder
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.tests.downloads.conftest import Service, received
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SIZE = 200_000
LARGE = 3_000_000
GGUF = b"GGUF" + bytes(SIZE)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks small enough that a file of a few megabytes has many."""
    monkeypatch.setattr(transfer, "FIRST_BLOCK", 1 << 20)
    monkeypatch.setattr(transfer, "SMALLEST_BLOCK", 1 << 18)
    monkeypatch.setattr(transfer, "JOURNAL_INTERVAL", 0.05)


@pytest.mark.parametrize("cuts", [[100_000] * 50, [2_000] * 50, [10] * 50])
async def test_a_body_that_ends_with_its_connection_before_its_header_says_does_not_land(
    service: Service, host: Host, cuts: list[int]
) -> None:
    host.offer("/x.safetensors", model_bytes(SIZE), ranges=False, framing="close", cuts=cuts)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) in [("error", "source_failed"), ("error", "not_a_model")]
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_body_that_was_cut_at_the_end_of_its_connection_is_asked_for_again(
    service: Service, host: Host
) -> None:
    data = model_bytes(SIZE)
    host.offer("/x.safetensors", data, ranges=False, framing="close", cuts=[100_000])
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_file_without_a_length_that_nothing_vouches_for_is_refused(service: Service, host: Host) -> None:
    host.offer("/x.gguf", GGUF, ranges=False, framing="close")
    entry = await service.fetch("x.gguf", host.url("/x.gguf"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed") and "sha256" in entry["error"]
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


@pytest.mark.parametrize(("framing", "digest"), [("close", sha256(GGUF)), ("chunked", None)])
async def test_a_digest_or_chunks_vouch_for_a_file_without_a_length(
    service: Service, host: Host, framing: str, digest: str | None
) -> None:
    host.offer("/x.gguf", GGUF, ranges=False, framing=framing)
    entry = await service.fetch("x.gguf", {"url": host.url("/x.gguf"), "sha256": digest})
    assert entry["status"] == "success", entry
    assert service.path("x.gguf").read_bytes() == GGUF


@pytest.mark.parametrize("size", [SIZE - 50, SIZE + 50])
async def test_a_file_in_chunks_must_be_as_long_as_its_header_says(service: Service, host: Host, size: int) -> None:
    data = (model_bytes(SIZE) + bytes(50))[:size]
    host.offer("/x.safetensors", data, ranges=False, framing="chunked")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "size_mismatch")
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_body_that_never_ends_is_stopped_where_its_header_says(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", model_bytes(SIZE) + bytes(60_000_000), ranges=False, framing="chunked")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["code"] == "size_mismatch"
    # What is on its way is lost; most of it was never sent.
    assert host.sent["/x.safetensors"] < 30_000_000


async def test_a_body_without_a_length_leaves_the_disks_reserve_alone(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_writer, "ROOM_STEP", 1 << 20)
    looks: list[int] = []

    def room_for_two(target: Any, needed: int) -> None:
        looks.append(needed)
        if len(looks) > 3:
            raise UiapiError("disk_full", "The disk is full.")

    monkeypatch.setattr(partial_file, "check_space", room_for_two)
    host.offer("/x.gguf", b"GGUF" + bytes(60_000_000), ranges=False, framing="chunked")
    entry = await service.fetch("x.gguf", host.url("/x.gguf"))
    assert entry["code"] == "disk_full" and looks[1:] == [1 << 20] * 3
    assert host.sent["/x.gguf"] < 30_000_000
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


@pytest.mark.parametrize("part", ["100-199/200", "0-200/200", "0-199/" + "9" * 5000, "5-4/9"])
async def test_a_first_part_that_is_not_the_first_is_refused(service: Service, host: Host, part: str) -> None:
    host.offer("/x.onnx", b"\x08" + bytes(199), status=206, headers={"Content-Range": f"bytes {part}"})
    entry = await service.fetch("x.onnx", host.url("/x.onnx"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed"), entry
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


# -- partials -----------------------------------------------------------------------------------------------------


async def paused(service: Service, host: Host, eventually: Eventually, data: bytes) -> None:
    """Leave a partial of /a."""
    host.offer("/a.safetensors", data, held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/a.safetensors")})
    await eventually(lambda: received(run) >= 1_000_000)
    await service.downloads.stop(run.id, None, "paused")
    assert [file for file in service.folders.files() if file.endswith("uiapi-part")]


async def test_a_partial_file_of_another_url_is_not_resumed(
    service: Service, host: Host, eventually: Eventually
) -> None:
    a, b = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    await paused(service, host, eventually, a)
    # Hosts that number their versions have equal validators for different files.
    host.offer("/b.safetensors", b)
    entry = await service.fetch("x.safetensors", host.url("/b.safetensors"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == b


async def test_a_partial_file_of_another_url_is_resumed_if_its_digest_is_the_expected_one(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data = model_bytes(LARGE)
    wanted = {"sha256": sha256(data)}
    host.offer("/a.safetensors", data, held=asyncio.Event(), free=1_500_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/a.safetensors"), **wanted})
    await eventually(lambda: received(run) >= 1_500_000)
    await service.downloads.stop(run.id, None, "paused")
    host.offer("/b.safetensors", data)
    entry = await service.fetch("x.safetensors", {"url": host.url("/b.safetensors"), **wanted})
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data
    assert host.sent["/b.safetensors"] < LARGE - 500_000


async def test_a_whole_partial_that_no_digest_vouches_for_is_compared_with_its_source(
    service: Service, host: Host
) -> None:
    old, new = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    left = partial_file.Partial(service.path("x.safetensors"))
    left.open()
    left.allocate(LARGE, fresh=True)
    left.write(old, 0)
    left.note(ledger.Identity(LARGE, '"one"', None, host.url("/x.safetensors")), [])
    left.close()
    host.offer("/x.safetensors", new, etag='"two"')
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == new


# -- a disk that fails --------------------------------------------------------------------------------------------


async def test_a_disk_that_cannot_be_read_is_reported_as_the_reason(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = model_bytes(SIZE)
    host.offer("/x.safetensors", data)
    opened = Folder.open

    def broken(self: Folder, name: str, flags: int, mode: int = 0o644) -> int:
        if name.endswith(".uiapi-part") and not flags & os.O_RDWR:
            raise OSError(5, "Input/output error")
        return opened(self, name, flags, mode)

    monkeypatch.setattr(Folder, "open", broken)
    for wanted in ({}, {"sha256": sha256(data)}):
        entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), **wanted})
        assert (entry["status"], entry["code"]) == ("error", "storage_failed"), entry
