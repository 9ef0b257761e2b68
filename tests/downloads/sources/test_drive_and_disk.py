"""Google Drive and the server's own disk as sources, and several sources for one model."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.sources import gdrive
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import hub_file

SIZE = 300_000


@pytest.fixture
def settings(host: Host, other_host: Host) -> Settings:
    """The scripted host stands for every endpoint, the other one for where the bytes are."""
    mirror = host.url("")
    named = (host.authority, other_host.authority)
    return Settings(allowed_hosts=named, hf_endpoint=mirror, civitai_endpoint=mirror)


# -- Google Drive ---------------------------------------------------------------------------------------------

DRIVE_ID = "1AbcDefGhiJklMnoPqrStUvWxYz012345"
CONFIRM_PAGE = b"<html><form id='download-form'>confirm</form></html>"


@pytest.fixture
def gdown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What gdown offers for its pages, with the pages it was given."""
    pages: list[str] = []
    package, download, exceptions = ModuleType("gdown"), ModuleType("gdown.download"), ModuleType("gdown.exceptions")

    class FileURLRetrievalError(Exception):
        pass

    def get_url_from_gdrive_confirmation(contents: str) -> str:
        pages.append(contents)
        if "quota" in contents:
            raise FileURLRetrievalError("The quota of this file is used up.")
        return contents.partition("href=")[2].partition(" ")[0]

    download.get_url_from_gdrive_confirmation = get_url_from_gdrive_confirmation  # type: ignore[attr-defined]
    exceptions.FileURLRetrievalError = FileURLRetrievalError  # type: ignore[attr-defined]
    for module in (package, download, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return pages


@pytest.fixture
def drive(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The scripted host in Google Drive's place."""
    really = gdrive.look_up
    monkeypatch.setattr(gdrive, "look_up", lambda file, engine: really(file, engine, endpoint=host.url("")))
    return host


async def test_a_small_file_of_the_drive_comes_at_once(service: Service, drive: Host) -> None:
    data = model_bytes(SIZE)
    drive.offer("/uc", data, headers={"Content-Disposition": "attachment"})
    entry = await service.fetch("x.safetensors", {"gdrive": DRIVE_ID})
    assert entry["status"] == "success", entry
    assert service.path("x.safetensors").read_bytes() == data


async def test_a_large_file_of_the_drive_comes_after_its_confirmation(
    service: Service, drive: Host, gdown: list[str]
) -> None:
    data = model_bytes(SIZE)
    page = f"<html>href={drive.url('/download?confirm=t')} </html>".encode()
    drive.offer("/uc", page, content_type="text/html")
    drive.offer("/download", data, headers={"Content-Disposition": "attachment"})
    entry = await service.fetch("x.safetensors", {"url": f"https://drive.google.com/file/d/{DRIVE_ID}/view"})
    assert entry["status"] == "success", entry
    assert gdown == [page.decode()] and service.path("x.safetensors").read_bytes() == data


async def test_a_file_of_the_drive_whose_quota_is_used_up_says_so(
    service: Service, drive: Host, gdown: list[str]
) -> None:
    drive.offer("/uc", b"<html>quota</html>", content_type="text/html")
    entry = await service.fetch("x.safetensors", {"gdrive": DRIVE_ID})
    assert entry["code"] == "rate_limited" and "quota" in entry["error"]


async def test_without_gdown_a_confirmation_says_what_to_install(
    service: Service, drive: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    drive.offer("/uc", CONFIRM_PAGE, content_type="text/html")
    entry = await service.fetch("x.safetensors", {"gdrive": DRIVE_ID})
    assert "pip install gdown" in entry["error"] and not service.path("x.safetensors").exists()


# -- the server's own disk, and several sources -----------------------------------------------------------------


async def test_a_local_file_is_had_without_the_network(service: Service, host: Host) -> None:
    data = model_bytes(SIZE)
    elsewhere = service.state.parent / "kept.safetensors"
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    elsewhere.write_bytes(data)
    entry = await service.fetch("sub/x.safetensors", {"local": str(elsewhere)})
    assert entry["status"] == "success", entry
    assert service.path("sub/x.safetensors").read_bytes() == data and host.seen == []


async def test_a_local_file_may_be_named_as_it_is_in_the_model_folders(service: Service) -> None:
    data = model_bytes(SIZE)
    service.path("y.safetensors", "loras").write_bytes(data)
    entry = await service.fetch("x.safetensors", {"local": "y.safetensors"})
    assert entry["status"] == "success" and service.path("x.safetensors").read_bytes() == data


@pytest.mark.parametrize("path", ["/etc/passwd", "/nothing/x.safetensors", "relative/x.safetensors"])
async def test_a_local_file_must_be_there_and_be_a_model(service: Service, path: str) -> None:
    entry = await service.fetch("x.safetensors", {"local": path})
    assert entry["code"] in ("unsupported_type", "not_at_source"), entry


async def test_the_next_source_is_tried_when_one_has_not_the_file(
    service: Service, host: Host, other_host: Host
) -> None:
    data = model_bytes(SIZE)
    hub_file(host, other_host, "x.safetensors", data)
    model = {"url": host.url("/gone.safetensors"), "civitai": "12@34", "huggingface": "org/repo/x.safetensors"}
    entry = await service.fetch("x.safetensors", model)
    assert entry["status"] == "success" and entry["source"] == "huggingface", entry
