"""Folders that are replaced by others between a check and a write."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage import file_check, local_copy
from comfyui_uiapi.downloads.storage.ledger import Identity
from comfyui_uiapi.downloads.storage.open_folder import Folder
from comfyui_uiapi.downloads.storage.partial_file import Partial
from comfyui_uiapi.downloads.storage.target_lock import target_lock
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
SIZE = 300_000


def exchange(service: Service) -> Path:
    """Put a link to the folder of code where the subfolder of models was; answers that."""
    code = Path(service.folders.folder_names_and_paths["custom_nodes"][0][0])
    sub = service.path("sub")
    sub.rename(sub.with_name("moved"))
    sub.symlink_to(code)
    return code


def held_below(folder: Path) -> list[str]:
    """The files and folders below this one that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    return [path for path in found if path.startswith(str(folder))]


async def test_a_folder_exchanged_before_the_first_byte_is_refused(service: Service, host: Host) -> None:
    code: list[Path] = []

    def exchange_once(_: Any) -> None:
        if not code:
            code.append(exchange(service))

    host.offer("/x", model_bytes(SIZE), on_request=exchange_once)
    entry = await service.fetch("sub/x.safetensors", host.url("/x"))
    assert (entry["status"], entry["code"]) == ("error", "bad_path"), entry
    assert [path for path in code[0].iterdir() if path.is_file()] == []


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_folder_exchanged_while_a_file_comes_gets_none_of_it(
    service: Service, host: Host, eventually: Eventually, overwrite: bool
) -> None:
    go = asyncio.Event()
    host.offer("/x", model_bytes(SIZE), held=go)
    run = await service.downloads.fetch_one("sub/x.safetensors", {"url": host.url("/x")}, overwrite=overwrite)
    await eventually((service.path("sub") / ".x.safetensors.uiapi-part").exists)
    base = Path(service.folders.models_dir).parent
    assert held_below(base) != []
    code = exchange(service)
    go.set()
    await service.ended(run)
    assert run.items[0].to_dict()["code"] == "storage_failed", run.items[0].to_dict()
    assert not (code / "x.safetensors").exists() and not (service.path("moved") / "x.safetensors").exists()
    await eventually(lambda: held_below(base) == [])


@pytest.mark.parametrize("links", [True, False])
async def test_a_folder_exchanged_before_a_copy_gets_none_of_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    kept = service.path("kept.safetensors", "loras")
    kept.write_bytes(model_bytes(SIZE))
    code: list[Path] = []

    def exchange_and_check(*arguments: Any) -> None:
        code.append(exchange(service))
        file_check.check_file(*arguments)

    def no_links(*_: Any, **__: Any) -> None:
        raise OSError("no links on this disk")

    monkeypatch.setattr(local_copy, "check_file", exchange_and_check)
    if not links:
        monkeypatch.setattr(Folder, "link_from", no_links)
    entry = await service.fetch("sub/x.safetensors", {"local": str(kept)})
    assert (entry["status"], entry["code"]) == ("error", "storage_failed"), entry
    assert [path for path in code[0].iterdir() if path.is_file()] == []


def test_a_folder_is_held_by_what_it_is_and_not_by_its_path(service: Service) -> None:
    service.path("sub").mkdir()
    folder = Folder(service.path("sub"), service.downloads.places.check_folder)
    try:
        code = exchange(service)
        os.close(folder.open("a", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        folder.move_without_replacing("a", "b")
        folder.replace("b", "c")
        assert os.listdir(service.path("moved")) == ["c"] and os.listdir(code) == []
        with pytest.raises(OSError, match="replaced by another"):
            folder.check_still_there()
    finally:
        folder.close()
    with pytest.raises(UiapiError, match="not a folder for models"):
        Folder(service.path("sub"), service.downloads.places.check_folder)


NAMES = (".x.safetensors.uiapi-part", ".x.safetensors.uiapi-json", ".x.safetensors.uiapi-lock")


def of_others(code: Path) -> dict[str, bytes]:
    """Create files of the names of a transfer in a folder, and return the folder's contents."""
    for name in NAMES:
        (code / name).write_bytes(b"of others")
    return contents(code)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder with their contents, and its subfolders with nothing."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


def partial_of(service: Service) -> Partial:
    return Partial(service.path("sub/x.safetensors"), service.downloads.places.check_folder)


def test_the_journal_and_the_removal_stay_in_the_folder_that_was_opened(service: Service) -> None:
    identity = Identity(10, '"v"', None)
    for end in (Partial.remove, Partial.close):
        partial = partial_of(service)
        partial.open()
        partial.allocate(10, fresh=True)
        code = exchange(service)
        before = of_others(code)
        partial.note(identity, [(3, 10)])
        end(partial)
        assert contents(code) == before
        left = sorted(contents(service.path("moved")))
        assert left == ([] if end is Partial.remove else sorted(NAMES[:2]))
        service.path("sub").unlink()
        service.path("moved").rename(service.path("sub"))
    assert partial_of(service).load() == (identity, [(3, 10)])


def test_the_files_of_an_earlier_transfer_are_neither_read_nor_removed_elsewhere(service: Service) -> None:
    service.path("sub").mkdir()
    code = exchange(service)
    journal = {"version": 1, "size": 9, "validator": "v", "sha256": None, "missing": []}
    (code / NAMES[1]).write_text(json.dumps(journal))
    (code / "kept").write_bytes(b"of others")
    # As a partial file that was just renamed, which is removed before it is written to again.
    os.link(code / "kept", code / NAMES[0])
    before = contents(code)
    partial = partial_of(service)
    assert partial.is_there() and partial.load() is None
    partial.remove()
    with pytest.raises(UiapiError, match="not a folder for models"):
        partial.open()
    assert contents(code) == before


async def test_a_cancelled_download_removes_nothing_elsewhere(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(SIZE), held=asyncio.Event())
    run = await service.downloads.fetch_one("sub/x.safetensors", {"url": host.url("/x")})
    await eventually((service.path("sub") / NAMES[0]).exists)
    code = exchange(service)
    before = of_others(code)
    await service.downloads.stop(run.id, None, "cancelled")
    await service.ended(run)
    assert contents(code) == before and contents(service.path("moved")) == {}


async def test_a_target_is_locked_in_the_folder_that_was_opened(service: Service) -> None:
    check = service.downloads.places.check_folder
    target = service.path("sub/x.safetensors")
    async with target_lock(target, check):
        code = exchange(service)
        before = of_others(code)
    assert contents(code) == before
    with pytest.raises(UiapiError, match="not a folder for models"):
        async with target_lock(target, check):
            pass
    assert contents(code) == before


async def test_no_folder_is_created_or_removed_elsewhere(service: Service) -> None:
    check = service.downloads.places.check_folder
    service.path("sub").mkdir()
    target = service.path("sub/deep/deeper/x.safetensors")
    async with target_lock(target, check):
        code = exchange(service)
        (code / "deep/deeper").mkdir(parents=True)
    assert (code / "deep/deeper").is_dir() and contents(service.path("moved")) == {}
    (code / "deep/deeper").rmdir()
    (code / "deep").rmdir()
    for work in (partial_of, lambda service: Partial(target, check)):
        with pytest.raises(UiapiError, match="not a folder for models"):
            work(service).open()
    with pytest.raises(UiapiError, match="not a folder for models"):
        async with target_lock(target, check):
            pass
    assert contents(code) == {}
