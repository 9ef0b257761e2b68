"""Faults during a transfer, and how each must end."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.downloads.storage import disk, partial_file
from comfyui_uiapi.downloads.storage.open_folder import Folder
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.tests.downloads.conftest import Pauses, Service, received
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


async def test_a_file_arrives_whole_and_verified(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data
    assert entry["path"] == str(service.path("x.safetensors"))
    assert (entry["bytes"], entry["total"]) == (LARGE, LARGE)
    assert [file for file in service.folders.files() if "uiapi-" in file] == []


async def test_several_connections_fetch_one_file_where_the_host_gives_parts(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    busy: list[int] = []
    answer = host.offer("/x.safetensors", data, rate=20e6)
    answer.on_request = lambda seen: busy.append(seen.range[0] if seen.range else -1)
    assert (await service.fetch("x.safetensors", host.url("/x.safetensors")))["status"] == "success"
    assert len(busy) >= 4 and len(set(busy)) == len(busy)
    assert service.path("x.safetensors").read_bytes() == data
    assert host.sent["/x.safetensors"] == LARGE


@pytest.mark.parametrize("times", [1, 4])
async def test_a_connection_cut_again_and_again_resumes_and_the_hash_is_right(
    service: Service, host: Host, times: int
) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data, cuts=[300_000] * times)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data
    # What a cut connection had not handed over yet is asked for again, nothing else.
    assert host.sent["/x.safetensors"] <= LARGE + times * 300_000
    assert len(service.pauses) >= times


async def test_a_range_answered_with_the_whole_file_starts_over_with_exactly_the_right_bytes(
    service: Service, host: Host
) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data, ranges=False, cuts=[5_000_000, 7_000_001])
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_host_that_stops_giving_parts_midway_is_read_in_one_go(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    answer = host.offer("/x.safetensors", data)

    def stop_giving_parts(seen: Any) -> None:
        answer.ranges = len(host.asked("/x.safetensors")) <= 3

    answer.on_request = stop_giving_parts
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_file_of_the_wrong_size_is_an_error_and_does_not_land(service: Service, host: Host) -> None:
    data = model_bytes(SMALL)
    host.offer("/x.safetensors", data + b"more")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "size_mismatch")
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_host_that_lies_about_the_length_is_given_up_and_nothing_lands(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", model_bytes(SMALL), ranges=False, length=SMALL + 50)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "error" and entry["code"] in ("source_failed", "size_mismatch")
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_host_whose_parts_belong_to_a_longer_file_than_it_has_is_given_up(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    answer = host.offer("/x.safetensors", data)

    def shrink(seen: Any) -> None:
        answer.data = data[: LARGE // 2] if len(host.seen) % 2 == 0 else data

    answer.on_request = shrink
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    # Which of the two lengths a try began with decides how it shows.
    assert entry["status"] == "error" and entry["code"] in ("source_failed", "size_mismatch")
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_file_of_the_wrong_hash_is_an_error_and_does_not_land(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": "0" * 64})
    assert (entry["status"], entry["code"]) == ("error", "hash_mismatch")
    assert entry["details"] == {"sha256": sha256(data), "expected": "0" * 64}
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_file_that_changes_between_tries_starts_over(service: Service, host: Host) -> None:
    old, new = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    answer = host.offer("/x.safetensors", old, cuts=[600_000] * 3)

    def change(seen: Any) -> None:
        if len(host.asked("/x.safetensors")) == 4:
            answer.data, answer.etag = new, '"two"'

    answer.on_request = change
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == new


async def test_a_file_that_changed_while_it_was_paused_starts_over(
    service: Service, host: Host, eventually: Eventually
) -> None:
    old, new = model_bytes(LARGE, 1), model_bytes(LARGE, 2)
    answer = host.offer("/x.safetensors", old, held=asyncio.Event(), free=2_000_000)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x.safetensors")})
    await eventually(lambda: received(run) >= 2_000_000)
    await service.downloads.stop(run.id, None, "paused")
    answer.data, answer.etag, answer.held = new, '"two"', None
    await service.ended(await service.downloads.resume(run.id, None))
    assert run.items[0].state == "success"
    assert service.path("x.safetensors").read_bytes() == new


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>" * 20


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE, "text/html; charset=utf-8"),
        (b'{"error":"sign in"}' * 20, "application/json"),
        (PAGE, "application/octet-stream"),
        (b'{"error":"sign in"}' * 20, "binary/octet-stream"),
        (b"\x00" * 5000, "application/octet-stream"),
        (b"", "application/octet-stream"),
        (b"short", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("ranges", [True, False])
async def test_a_page_instead_of_a_file_says_so_and_nothing_lands(
    service: Service, host: Host, body: bytes, content_type: str, ranges: bool
) -> None:
    host.offer("/x.safetensors", body, content_type=content_type, ranges=ranges)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "not_a_model"), entry
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_too_many_requests_waits_as_long_as_the_host_says(service: Service, host: Host, pauses: Pauses) -> None:
    data = model_bytes(SMALL)
    host.offer("/x.safetensors", data, refusals=[(429, {"Retry-After": "17"}), 503])
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "success", entry
    assert [*pauses] == [17.0, None]


async def test_a_host_that_never_recovers_is_given_up(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", refusals=[503] * 50)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed")
    assert len(host.seen) < 10


async def test_a_host_that_wants_fewer_connections_gets_fewer(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data, rate=20e6)
    refused: list[int] = []

    def refuse_the_third(seen: Any) -> None:
        answer = host.answers["/x.safetensors"]
        if len(host.seen) == 3:
            refused.append(1)
            answer.refusals.append((429, {"Retry-After": "60"}))

    host.answers["/x.safetensors"].on_request = refuse_the_third
    assert (await service.fetch("x.safetensors", host.url("/x.safetensors")))["status"] == "success"
    assert refused and service.path("x.safetensors").read_bytes() == data


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "login_required"), (403, "login_required"), (404, "not_at_source"), (410, "gone_at_source")],
)
async def test_a_final_refusal_ends_at_once_with_its_own_code(
    service: Service, host: Host, status: int, code: str
) -> None:
    body = json.dumps({"message": "because"}).encode()
    host.offer("/x.safetensors", body, status=status, content_type="application/json")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", code)
    assert "because" in entry["error"]
    assert len(host.seen) == 1 and not service.pauses
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_full_disk_is_reported_before_a_byte_is_written(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "DISK_RESERVE", 1 << 60)
    taken: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        really = getattr(os, name)

        def call(handle: int, *args: int) -> Any:
            # Truncating what may lie there takes no space.
            if args != (0,):
                taken.append(name)
            return really(handle, *args)

        return call

    for name in ("pwrite", "posix_fallocate", "ftruncate"):
        monkeypatch.setattr(os, name, noted(name))
    host.offer("/x.safetensors", model_bytes(SMALL))
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"], taken) == ("error", "disk_full", [])
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_disk_that_fills_up_midway_leaves_only_what_can_resume(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = model_bytes(LARGE)
    host.offer("/x.safetensors", data)
    really = partial_file.Partial.write

    def full(self: partial_file.Partial, piece: bytes, offset: int) -> None:
        if offset > 3_000_000:
            raise disk.disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self.target)
        really(self, piece, offset)

    monkeypatch.setattr(partial_file.Partial, "write", full)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert (entry["status"], entry["code"]) == ("error", "disk_full")
    assert not service.path("x.safetensors").exists()
    already = host.sent["/x.safetensors"]
    monkeypatch.setattr(partial_file.Partial, "write", really)
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data
    assert host.sent["/x.safetensors"] - already < LARGE


@pytest.mark.parametrize("end", ["finished", "paused"])
async def test_a_disk_on_which_no_journal_fits_any_more_costs_a_running_download_nothing(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually, end: str
) -> None:
    data = model_bytes(LARGE)
    go, full = asyncio.Event(), asyncio.Event()
    answer = host.offer("/x.safetensors", data, held=go, free=3_000_000)
    wanted = {"url": host.url("/x.safetensors"), "sha256": sha256(data)}
    run = await service.downloads.fetch_one("x.safetensors", wanted)
    journal = service.path(".x.safetensors.uiapi-json")
    await eventually(lambda: journal.exists() and received(run) >= 3_000_000)
    refused: list[str] = []
    really = Folder.replace

    def replace(folder: Folder, old: str, new: str) -> None:
        if full.is_set() and old.endswith("uiapi-json-new"):
            refused.append(old)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(folder, old, new)

    monkeypatch.setattr(Folder, "replace", replace)
    full.set()
    await eventually(lambda: len(refused) >= 2)
    assert run.to_dict()["progress"]["x.safetensors"]["status"] == "downloading"
    if end == "paused":
        await service.downloads.stop(run.id, None, "paused")
        assert sorted(file.name for file in service.path("x.safetensors").parent.iterdir() if "uiapi" in file.name) == [
            ".x.safetensors.uiapi-json",
            ".x.safetensors.uiapi-part",
        ]
        full.clear()
        answer.held = None
        already = host.sent["/x.safetensors"]
        assert (await service.fetch("x.safetensors", wanted))["status"] == "success"
        assert host.sent["/x.safetensors"] - already < LARGE
    else:
        go.set()
        await service.ended(run)
    assert service.path("x.safetensors").read_bytes() == data
    assert [file for file in service.folders.files() if "uiapi-" in file] == []


async def test_an_expired_signed_url_is_requested_again(service: Service, host: Host) -> None:
    data = model_bytes(LARGE)
    signed = host.offer("/signed", data)
    host.redirect("/x.safetensors", host.url("/signed?signature=1"))

    def expire(seen: Any) -> None:
        if len(host.asked("/signed")) == 3:
            signed.refusals.append(403)

    signed.on_request = expire
    entry = await service.fetch("x.safetensors", {"url": host.url("/x.safetensors"), "sha256": sha256(data)})
    assert entry["status"] == "success", entry
    # Each of the four connections may start a part before the first has received the new URL.
    assert 2 <= len(host.asked("/x.safetensors")) <= 5
