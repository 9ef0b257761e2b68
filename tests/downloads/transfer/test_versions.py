"""Versions of a file: parts of two versions are never combined, whatever a host reports."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.json_store import sync_directory
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.storage import ledger, partial_file
from comfyui_uiapi.downloads.transfer import transfer
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SIZE = 6_000_000
OLD, NEW = model_bytes(SIZE, 1), model_bytes(SIZE, 2)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks small enough that a file of a few megabytes has many."""
    monkeypatch.setattr(transfer, "FIRST_BLOCK", 1 << 20)
    monkeypatch.setattr(transfer, "SMALLEST_BLOCK", 1 << 18)


def left_behind(
    service: Service, host: Host, validator: str | None, missing: list[list[int]], digest: str | None = None
) -> None:
    """A partial of the old version, whole in its bytes, of which a journal says that parts are missing."""
    left = partial_file.Partial(service.path("x.safetensors"))
    left.open()
    left.allocate(SIZE, fresh=True)
    left.write(OLD, 0)
    left.note(ledger.Identity(SIZE, validator, digest, host.url("/x")), [(start, end) for start, end in missing])
    left.close()


# -- validators ---------------------------------------------------------------------------------------------------


async def test_a_weak_etag_is_compared_and_never_sent_as_a_condition(service: Service, host: Host) -> None:
    host.offer("/x", OLD, etag='W/"one"', cuts=[300_000] * 3)
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == OLD
    # A server may take no weak one for a match, and would send the whole file.
    assert [seen for seen in host.seen if "if-range" in seen.headers] == []
    assert host.sent["/x"] < SIZE * 3 // 2


async def test_a_strong_etag_is_sent_as_a_condition(service: Service, host: Host) -> None:
    host.offer("/x", OLD)
    await service.fetch("x.safetensors", host.url("/x"))
    assert {seen.headers.get("if-range") for seen in host.seen[1:]} == {'"one"'}


@pytest.mark.parametrize(("was", "now"), [('W/"one"', 'W/"two"'), ('"one"', 'W/"one"'), ('"one"', None)])
async def test_a_partial_file_of_another_version_is_not_resumed(
    service: Service, host: Host, was: str, now: str | None
) -> None:
    left_behind(service, host, was, [[SIZE // 2, SIZE]])
    host.offer("/x", NEW, etag=now, heeds_conditions=False)
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == NEW


async def test_a_part_of_another_version_is_not_taken_although_its_condition_was_not_met(
    service: Service, host: Host
) -> None:
    answer = host.offer("/x", OLD, heeds_conditions=False)

    def change(seen: Any) -> None:
        if len(host.asked("/x")) == 3:
            answer.data, answer.etag = NEW, '"two"'

    answer.on_request = change
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == NEW


async def test_parts_that_may_be_of_different_versions_are_verified_by_the_digest(service: Service, host: Host) -> None:
    answer = host.offer("/x", OLD, etag=None)

    def change(seen: Any) -> None:
        answer.data = OLD if len(host.asked("/x")) < 3 else NEW

    answer.on_request = change
    entry = await service.fetch("x.safetensors", {"url": host.url("/x"), "sha256": sha256(OLD)})
    assert (entry["status"], entry["code"]) == ("error", "hash_mismatch")
    assert not service.path("x.safetensors").exists()


# -- journals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    [
        [[0, 4_000_000], [3_000_000, 5_000_000]],
        [[4_000_000, 5_000_000], [0, 1_000_000]],
        [[2_000_000, 1_000_000]],
        [[-5, 1_000_000]],
        [[0, SIZE + 1]],
        [["a", 5]],
        [[1, 2, 3]],
    ],
    ids=str,
)
async def test_a_transfer_with_an_inconsistent_journal_starts_over(
    service: Service, host: Host, missing: list[list[int]]
) -> None:
    left_behind(service, host, '"one"', [])
    path = service.path(".x.safetensors.uiapi-json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"missing": missing}))
    # Its bytes are of another file, so any that are kept are noticed.
    host.offer("/x", NEW)
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == NEW


async def test_a_transfer_with_a_consistent_journal_is_resumed(service: Service, host: Host) -> None:
    left_behind(service, host, '"one"', [[1_000_000, 2_000_000], [2_000_000, 3_000_000]])
    host.offer("/x", OLD)
    entry = await service.fetch("x.safetensors", host.url("/x"))
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == OLD
    assert host.sent["/x"] == 2_000_000


# -- URLs that expire ---------------------------------------------------------------------------------------------


class Signed:
    """A file behind a signed URL that changes with each redirect and is valid for some requests."""

    def __init__(self, host: Host, holds: int) -> None:
        self._host = host
        self._holds = holds
        self._used: dict[str, int] = {}
        self.given = 0
        self.file = host.offer("/signed", OLD)
        self.file.on_request = self._use
        self.front = host.offer("/x", status=302)
        self.front.on_request = self._sign

    def _sign(self, _: Any) -> None:
        self.given += 1
        self.front.headers["Location"] = self._host.url(f"/signed?signature={self.given}")

    def _use(self, seen: Any) -> None:
        used = self._used[seen.path] = self._used.get(seen.path, 0) + 1
        if used > self._holds:
            self.file.refusals.append(403)


class TestOneConnection:
    @pytest.fixture
    def settings(self, host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority,), segments=1)

    async def test_a_signed_url_that_keeps_expiring_is_requested_each_time(self, service: Service, host: Host) -> None:
        signed = Signed(host, holds=2)
        entry = await service.fetch("x.safetensors", host.url("/x"))
        assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == OLD
        assert signed.given >= 3 and host.sent["/signed"] == SIZE

    async def test_a_signed_url_that_expires_before_it_is_used_is_a_refusal(self, service: Service, host: Host) -> None:
        signed = Signed(host, holds=1)
        signed.front.on_request = lambda _: signed.front.headers.update(Location=host.url("/signed"))
        entry = await service.fetch("x.safetensors", host.url("/x"))
        assert (entry["status"], entry["code"]) == ("error", "login_required")
        assert len(host.asked("/x")) == 2 and len(host.asked("/signed")) == 3


# -- digests of another kind --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BLAKE3", "sha256-tree", "", None, 256])
async def test_a_digest_of_another_kind_is_not_taken_for_a_sha256(service: Service, host: Host, kind: Any) -> None:
    host.offer("/x", OLD)
    need = ("x.safetensors", "checkpoints", host.url("/x"))
    run = await service.downloads.begin(workflow(need, hash="0" * 64, hash_type=kind), {})
    assert (await service.ended(run))["status"] == "completed"
    assert service.path("x.safetensors").read_bytes() == OLD


# -- the order on the disk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_file_gets_its_name_only_after_all_its_bytes_are_on_the_disk(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    target = service.path("x.safetensors")
    if overwrite:
        target.write_bytes(NEW)
    done: list[str] = []
    pwrite, fdatasync, link, replace = os.pwrite, os.fdatasync, os.link, os.replace

    def noted_write(handle: int, piece: Any, offset: int) -> int:
        done.append("write")
        return pwrite(handle, piece, offset)

    def noted_sync(handle: int) -> None:
        written = done.count("write")
        fdatasync(handle)
        done.append("sync" if done.count("write") == written else "sync of a part")

    def named(really: Callable[..., None]) -> Callable[..., None]:
        def name(source: Any, destination: Any, **how: Any) -> None:
            really(source, destination, **how)
            if Path(destination).name == target.name:
                done.append("name")

        return name

    def noted_directory(directory: Any) -> None:
        sync_directory(directory)
        done.append("directory")

    monkeypatch.setattr(os, "pwrite", noted_write)
    monkeypatch.setattr(os, "fdatasync", noted_sync)
    monkeypatch.setattr(os, "link", named(link))
    monkeypatch.setattr(os, "replace", named(replace))
    monkeypatch.setattr("comfyui_uiapi.downloads.storage.partial_file.sync_directory", noted_directory)
    host.offer("/x", OLD)
    entry = await service.fetch("x.safetensors", host.url("/x"), overwrite=overwrite)
    assert entry["status"] == "success" and target.read_bytes() == OLD
    assert "write" in done and done[-3:] == ["sync", "name", "directory"]
