"""Values of fields that are downloaded: by the rules of all downloads, and without traces after an error."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.transfer import input_file
from comfyui_uiapi.tests.bridge.conftest import Server
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host

MP3 = b"ID3\x04" + bytes(300_000)


async def refused(service: Service, url: str, target: Path) -> str:
    """The code with which a download is refused; nothing is left of it."""
    with pytest.raises(UiapiError) as error:
        await service.downloads.fetch_input(url, target)
    assert target.name not in {path.name for path in await asyncio.to_thread(lambda: [*target.parent.iterdir()])}
    return error.value.code


async def test_a_file_is_downloaded_with_its_digest_and_name(service: Service, host: Host, tmp_path: Path) -> None:
    host.offer("/songs/a.mp3", MP3)
    fetched = await service.downloads.fetch_input(host.url("/songs/a.mp3?x=1"), tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == MP3
    assert (fetched.size, fetched.filename, fetched.head) == (len(MP3), "a.mp3", MP3[:64])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://169.254.169.254/latest/meta-data", "host_refused"),
        ("http://127.0.0.1:1/a.mp3", "host_refused"),
        ("https://elsewhere.example/a.mp3", "host_refused"),
        ("http://huggingface.co/a.mp3", "host_refused"),
        ("https://user:secret@huggingface.co/a.mp3", "invalid"),
        ("file:///etc/passwd", "invalid"),
        ("nonsense", "invalid"),
    ],
)
async def test_a_url_that_downloads_may_not_go_to_is_refused(
    service: Service, tmp_path: Path, url: str, code: str
) -> None:
    assert await refused(service, url, tmp_path / "new") == code


async def test_a_redirect_is_checked_too(service: Service, host: Host, tmp_path: Path) -> None:
    host.redirect("/a.mp3", "https://169.254.169.254/a.mp3")
    assert await refused(service, host.url("/a.mp3"), tmp_path / "new") == "host_refused"


async def test_a_missing_file_and_one_that_is_too_large_leave_nothing(
    service: Service, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await refused(service, host.url("/missing.mp3"), tmp_path / "new") == "not_at_source"
    monkeypatch.setattr(input_file, "MAX_INPUT", 1000)
    host.offer("/a.mp3", MP3)
    assert await refused(service, host.url("/a.mp3"), tmp_path / "new") == "too_large"


async def test_a_field_takes_a_url_over_http(server: Server, host: Host, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    host.offer("/a.mp3", MP3)
    tab = await server.tab()
    tab.on("set_fields", {})
    value = {"type": "url", "url": host.url("/a.mp3")}
    status, body = await server.post("set_fields", {"fields": [["Song.audio", value]]})
    assert status == 200, body
    [[_, name]] = tab.requests[0]["data"]["fields"]
    assert (tmp_path / "input" / name).read_bytes() == MP3
    assert [path.name for path in (tmp_path / "input").iterdir()] == [name]
