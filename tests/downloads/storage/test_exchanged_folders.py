"""Folders that are replaced by others between a check and a write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage import file_check, local_copy
from comfyui_uiapi.downloads.storage.open_folder import Folder
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
