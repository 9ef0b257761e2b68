"""Tests of values that are files of other kinds than pictures."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui import picture_store
from comfyui_uiapi.bridge.comfyui.input_files import Fetched, sha256_of, suffix_of
from comfyui_uiapi.bridge.comfyui.input_images import has_url
from comfyui_uiapi.bridge.comfyui.picture_store import GRACE, PictureStore
from comfyui_uiapi.common.errors import UiapiError

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
MP3 = b"ID3\x04" + bytes(60)
GLB = b"glTF\x02" + bytes(60)


def file(data: bytes, filename: str | None = None) -> dict[str, str]:
    value = {"type": "file_base64", "data": base64.b64encode(data).decode()}
    return value if filename is None else {**value, "filename": filename}


@pytest.mark.parametrize(
    ("data", "filename", "suffix"),
    [
        (PNG, None, ".png"),
        (PNG, "song.mp3", ".png"),
        (MP3, None, ".mp3"),
        (MP3, "song.mp3", ".mp3"),
        (b"\xff\xfb" + bytes(9), None, ".mp3"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a", ".wav"),
        (b"fLaC", None, ".flac"),
        (b"OggS" + bytes(24) + b"OpusHead", None, ".opus"),
        (b"OggS" + bytes(24) + b"\x01vorbis", None, ".ogg"),
        (b"\0\0\0\x20ftypM4A ", None, ".m4a"),
        (b"\0\0\0\x20ftypisom", "clip.mov", ".mov"),
        (b"\0\0\0\x20ftypisom", "clip.txt", ".mp4"),
        (b"\x1a\x45\xdf\xa3", "clip.mkv", ".mkv"),
        (GLB, None, ".glb"),
        (b"# a text", "C:\\models\\Cat.OBJ", ".obj"),
        (b"solid", "../../cat.stl", ".stl"),
        (b"subtitles", "a.srt", ".srt"),
    ],
)
def test_the_content_or_else_the_name_decides_the_suffix(data: bytes, filename: str | None, suffix: str) -> None:
    assert suffix_of("A.b", data, filename) == suffix


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (b"<script>", "a.html"),
        (b"<svg>", "a.svg"),
        (b"import os", "a.py"),
        (b"MZ", "a.exe"),
        (b"PK", "a.pt"),
        (b"text", "a"),
        (b"text", "picture.png"),
        (b"text", None),
        (b"", "a.mp3"),
    ],
)
def test_what_a_browser_or_a_node_would_run_is_refused(data: bytes, filename: str | None) -> None:
    with pytest.raises(UiapiError) as refused:
        suffix_of("A.b", data, filename)
    assert refused.value.code == "invalid"
    assert refused.value.message.startswith("A.b: ")


@pytest.mark.parametrize(
    ("data", "name"),
    [(MP3, "INPUT_Song_audio_{}.mp3"), (GLB, "3d/INPUT_Song_audio_{}.glb")],
)
async def test_a_file_is_stored_once_where_its_node_looks_for_it(
    server: Any, tmp_path: Path, data: bytes, name: str
) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    expected = name.format(sha256_of(data)[:16])
    for _ in range(2):
        status, _ = await server.post("set_fields", {"fields": [["Song.audio", file(data)]]})
        assert status == 200
        assert tab.requests[-1]["data"]["fields"] == [["Song.audio", expected]]
    stored = [path for path in (tmp_path / "input").rglob("*") if path.is_file()]
    assert [path.relative_to(tmp_path / "input").as_posix() for path in stored] == [expected]
    assert stored[0].read_bytes() == data


async def test_a_refused_write_leaves_no_file(server: Any, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.refuse("set_fields", "unknown_path")
    assert (await server.post("set_fields", {"fields": [["Song.audio", file(GLB)]]}))[0] == 404
    assert not [path for path in (tmp_path / "input").rglob("*") if path.is_file()]


async def test_a_form_sends_files_to_fields(server: Any, tmp_path: Path) -> None:
    import aiohttp

    tab = await server.tab()
    tab.on("set_fields", {})
    form = aiohttp.FormData()
    form.add_field("data", '{"fields": [["Song.volume", 2]]}')
    form.add_field("Song.audio", MP3, filename="song.mp3")
    async with server.session.post(server.url("/uiapi/set_fields"), data=form) as response:
        assert response.status == 200
    [volume, [path, name]] = tab.requests[0]["data"]["fields"]
    assert (volume, path) == (["Song.volume", 2], "Song.audio")
    assert (tmp_path / "input" / name).read_bytes() == MP3


def test_unused_files_are_removed_by_their_size_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_store, "KEPT_BYTES", 150)
    times = iter(range(0, 10_000, 10))
    used: list[Any] = []
    now = [1_000_000_000.0]
    store = PictureStore(lambda: tmp_path, lambda: used, lambda: now[0])
    names = []
    for number in range(4):
        now[0] += next(times)
        names.append(store.put("Cat", GLB + bytes([number]), ".glb"))
        store.release(names[-1], keep=True)
        import os

        os.utime(tmp_path / names[-1], (now[0], now[0]))
    used.append({"model_file": names[0]})
    now[0] += 10 * GRACE
    # The latest two have 132 bytes; of the others, one is in use.
    assert store.tidy() == 1
    assert {path.name for path in (tmp_path / "3d").iterdir()} == {name.removeprefix("3d/") for name in names} - {
        names[1].removeprefix("3d/")
    }


# -- by URL -----------------------------------------------------------------------------------------------------


class Web:
    """The download of URLs, played by the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content = MP3

    def counts(self) -> tuple[int, int]:
        return 0, 0

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to stop."""

    async def fetch_input(self, url: str, target: Path) -> Fetched:
        self.asked.append(url)
        await asyncio.to_thread(target.write_bytes, self.content)
        return Fetched(target, len(self.content), sha256_of(self.content), self.content[:64], "song.mp3")


@pytest.fixture
def web(server: Any) -> Web:
    web = Web()
    server.bridge.downloads = web
    return web


URL = {"type": "url", "url": "https://example.com/song.mp3"}


async def test_a_file_by_url_is_stored_like_one_that_was_sent(server: Any, web: Web, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    for value in (URL, file(MP3)):
        assert (await server.post("set_fields", {"fields": [["Song.audio", value]]}))[0] == 200
    expected = f"INPUT_Song_audio_{sha256_of(MP3)[:16]}.mp3"
    assert [request["data"]["fields"][0][1] for request in tab.requests] == [expected, expected]
    assert [path.name for path in (tmp_path / "input").iterdir()] == [expected]
    assert web.asked == [URL["url"]]


async def test_a_refused_write_by_url_leaves_nothing(server: Any, web: Web, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.refuse("set_fields", "unknown_path")
    web.content = b"<html>"
    for content, code in ((b"\0" * 9, "unknown_path"), (b"", "invalid")):
        web.content = content
        _, body = await server.post("set_fields", {"fields": [["Song.audio", URL]]})
        assert body["code"] == code
    assert list((tmp_path / "input").iterdir()) == []


async def test_a_value_by_url_needs_the_rule_for_downloads(server: Any, web: Web, person: Any) -> None:
    from comfyui_uiapi.bridge.policy.rules import Rule
    from comfyui_uiapi.bridge.protocol.command_spec import Kind

    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.REFUSE})
    _, body = await server.post("set_fields", {"fields": [["Canvas.width", URL]]})
    assert body["code"] == "refused_by_person"
    assert (await server.post("set_fields", {"fields": [["Canvas.width", 640]]}))[0] == 200
    assert web.asked == []


def test_a_url_is_seen_among_the_values_of_a_sweep_too() -> None:
    assert has_url([("Song.audio", [file(MP3), URL])])
    assert not has_url([("Song.audio", ["url", file(MP3)]), ("Any.object", {"type": "url", "more": 1})])


async def test_a_dry_run_downloads_nothing(server: Any, web: Web, tmp_path: Path) -> None:
    tab = await server.tab(capabilities=["batch"])
    tab.on("batch", {"results": [], "valid": True})
    command = {"command": "set_fields", "data": {"fields": [["Song.audio", URL]]}}
    await server.post("batch", {"commands": [command], "dry_run": True})
    assert web.asked == []
    assert list((tmp_path / "input").iterdir()) == []


ADD = {"command": "add_node", "data": {"type": "LoadAudio", "fields": [["audio", URL]]}}
ONE = {"command": "set_fields", "data": {"fields": None, "field": ["Song.audio", URL]}}


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("add_node", ADD["data"]),
        ("batch", {"commands": [ADD]}),
        ("batch", {"commands": [ONE]}),
        ("batch", {"commands": [{"command": "set_fields", "data": {"fields": [["Song.audio", URL]]}}]}),
        ("set_fields", {"field": ["Song.audio", URL]}),
        ("run", {"fields": [["Song.audio", URL]]}),
        ("sweep", {"grid": {"Song.audio": [URL]}}),
        ("export_prompts", {"variations": [[["Song.audio", URL]]]}),
    ],
)
async def test_no_command_downloads_a_value_that_the_person_or_the_operator_does_not_allow(
    server: Any, web: Web, person: Any, monkeypatch: pytest.MonkeyPatch, command: str, body: dict[str, Any]
) -> None:
    from comfyui_uiapi.bridge.policy.access import Guard
    from comfyui_uiapi.bridge.policy.rules import Rule
    from comfyui_uiapi.bridge.protocol.command_spec import Kind

    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.REFUSE})
    assert (await server.post(command, body))[1]["code"] == "refused_by_person"
    await server.bridge.approvals.decide(rules={Kind.DOWNLOAD: Rule.ALLOW})
    monkeypatch.setattr(server.bridge, "guard", Guard(beyond_loopback=True))
    assert (await server.post(command, body))[1]["code"] == "forbidden"
    assert web.asked == []


async def test_a_url_that_no_check_has_seen_is_not_downloaded(web: Web, server: Any) -> None:
    from comfyui_uiapi.bridge.comfyui.input_images import Pictures

    async with Pictures(server.bridge.pictures) as pictures:
        with pytest.raises(UiapiError) as refused:
            await pictures.data([("Song.audio", URL)])
    assert refused.value.code == "forbidden" and web.asked == []


async def test_a_file_by_url_may_be_stored_under_two_kinds_of_name(server: Any, web: Web, tmp_path: Path) -> None:
    tab = await server.tab()
    tab.on("set_fields", {})
    web.content = b"1\n00:00"
    fields = [[f"Texts.{name}", {**URL, "filename": name}] for name in ("a.srt", "b.txt")]
    status, body = await server.post("set_fields", {"fields": fields})
    assert status == 200, body
    names = [value for _, value in tab.requests[0]["data"]["fields"]]
    assert sorted(path.name for path in (tmp_path / "input").iterdir()) == sorted(names)
    assert web.asked == [URL["url"]]
