"""The URL map on disk: always complete, and never silently empty."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiofiles
import pytest
from comfyui_uiapi import server
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.downloads.storage.url_map import load_stored_urlmap, remove_model_url, save_model_urls

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def map_path(tmp_path: Path) -> Path:
    """The map, in a folder that is not there yet."""
    url_map.use_directory(tmp_path / "user" / "__uiapi")
    return url_map.path


def content(path: Path) -> str:
    return path.read_text("latin-1")


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text, "latin-1")


async def test_saved_urls_are_loaded() -> None:
    await save_model_urls({"a.safetensors": "https://hf.co/a"})
    await save_model_urls({"sub/b.safetensors": {"url": "https://hf.co/b", "ckpt_type": "loras"}})
    await save_model_urls({"a.safetensors": "https://hf.co/a2"})
    assert await load_stored_urlmap() == {
        "a.safetensors": "https://hf.co/a2",
        "sub/b.safetensors": {"url": "https://hf.co/b", "ckpt_type": "loras"},
    }


async def test_a_map_that_is_not_there_is_empty(map_path: Path) -> None:
    assert await load_stored_urlmap() == {} and not map_path.parent.exists()


async def test_a_saved_url_can_be_removed() -> None:
    await save_model_urls({"a": "https://hf.co/a", "b": "https://hf.co/b"})
    assert await remove_model_url("a") and not await remove_model_url("a")
    assert await load_stored_urlmap() == {"b": "https://hf.co/b"}


def test_the_maps_functions_are_at_the_front_door() -> None:
    assert server.load_stored_urlmap is load_stored_urlmap and server.save_model_urls is save_model_urls


async def test_a_failure_before_the_rename_leaves_the_old_file_and_no_temporary(
    map_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_model_urls({"a": "https://hf.co/a"})
    before = content(map_path)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UiapiError) as caught:
        await save_model_urls({"b": "https://hf.co/b"})
    assert caught.value.code == "storage_failed"
    assert content(map_path) == before
    assert [path.name for path in map_path.parent.iterdir()] == [map_path.name]


@pytest.mark.parametrize("text", ['{"version": 1, "urls": {"a": "https://h', "", "[]", "null", "\x80binary"])
async def test_a_map_that_is_not_json_is_set_aside_and_reported(
    map_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(map_path, text)
    with caplog.at_level(logging.ERROR, "uiapi"):
        assert await load_stored_urlmap() == {}
    (aside,) = map_path.parent.iterdir()
    assert aside.name.startswith("model_urls.json.broken-20") and content(aside) == text
    assert aside.name in caplog.text
    await save_model_urls({"a": "https://hf.co/a"})
    assert await load_stored_urlmap() == {"a": "https://hf.co/a"}


async def test_a_map_that_cannot_be_read_is_an_error_and_not_an_empty_map(
    map_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save_model_urls({"a": "https://hf.co/a"})
    before = content(map_path)
    really = aiofiles.open

    def refuse(file: Any, *args: Any, **kwargs: Any) -> Any:
        if file == map_path:
            raise PermissionError(13, "Permission denied")
        return really(file, *args, **kwargs)

    monkeypatch.setattr(aiofiles, "open", refuse)
    for attempt in (load_stored_urlmap(), save_model_urls({"b": "https://hf.co/b"}), remove_model_url("a")):
        with pytest.raises(UiapiError) as caught:
            await attempt
        assert caught.value.code == "storage_failed"
    assert content(map_path) == before


async def test_fifty_saves_at_once_all_arrive(map_path: Path) -> None:
    await asyncio.gather(*(save_model_urls({f"m{n}": f"https://hf.co/{n}"}) for n in range(50)))
    saved = json.loads(content(map_path))
    assert saved == {"version": 1, "urls": {f"m{n}": f"https://hf.co/{n}" for n in range(50)}}


SAVER = """
import asyncio, importlib.util, sys
from pathlib import Path
root = sys.argv[1]
spec = importlib.util.spec_from_file_location("u", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["u"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from u.downloads.storage import url_map
url_map.use_directory(Path(sys.argv[2]))
async def main():
    number = 0
    while True:
        await url_map.save_model_urls({f"m{number % 40}": "https://hf.co/" + "x" * 2000 + str(number)})
        if number == 0:
            print("saving", flush=True)
        number += 1
asyncio.run(main())
"""


def test_a_save_that_is_killed_at_any_moment_leaves_the_old_or_the_new_whole(map_path: Path) -> None:
    for wait in (0.0, 0.011, 0.023, 0.037, 0.052):
        command = [sys.executable, "-c", SAVER, str(ROOT), str(map_path.parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as saver:  # noqa: S603
            assert saver.stdout is not None
            assert saver.stdout.readline() == b"saving\n"
            try:
                saver.wait(wait)
            except subprocess.TimeoutExpired:
                os.kill(saver.pid, signal.SIGKILL)
        saved = json.loads(content(map_path))
        assert saved["version"] == 1 and saved["urls"]
        assert all(url.startswith("https://hf.co/x") for url in saved["urls"].values())


async def test_a_map_of_a_newer_version_is_refused_and_untouched(map_path: Path) -> None:
    put(map_path, '{"version": 2, "entries": []}')
    for attempt in (load_stored_urlmap(), save_model_urls({"a": "https://hf.co/a"}), remove_model_url("a")):
        with pytest.raises(UiapiError) as caught:
            await attempt
        assert caught.value.code == "storage_failed" and "version 2" in caught.value.message
    assert content(map_path) == '{"version": 2, "entries": []}'
    assert [path.name for path in map_path.parent.iterdir()] == [map_path.name]


async def test_entries_that_are_no_urls_do_not_count(map_path: Path) -> None:
    put(map_path, '{"version": 1, "urls": {"a": "https://hf.co/a", "b": 7, "c": {"ckpt_type": "loras"}}}')
    assert await load_stored_urlmap() == {"a": "https://hf.co/a"}


@pytest.mark.parametrize(
    "text", ['{"version": 1, "urls": [["a", "b"]]}', '{"x.safetensors": "https://hf.co/a"}', '{"urls": null}']
)
async def test_a_map_of_another_shape_is_set_aside_and_reported(
    map_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(map_path, text)
    with caplog.at_level(logging.ERROR, "uiapi"):
        await save_model_urls({"a": "https://hf.co/a"})
    assert await load_stored_urlmap() == {"a": "https://hf.co/a"}
    (aside,) = [path for path in map_path.parent.iterdir() if path != map_path]
    assert content(aside) == text and aside.name in caplog.text


async def test_entries_that_nobody_here_can_use_stay_in_the_file(map_path: Path) -> None:
    odd: dict[str, Any] = {"b": 7, "c": {"ckpt_type": "loras"}, "d": {"mirror": "https://hf.co/d"}}
    put(map_path, json.dumps({"version": 1, "urls": {"a": "https://hf.co/a", **odd}}))
    await save_model_urls({"e": "https://hf.co/e"})
    await remove_model_url("a")
    assert json.loads(content(map_path))["urls"] == {**odd, "e": "https://hf.co/e"}


async def test_a_definition_may_have_any_source(map_path: Path) -> None:
    definition = {"huggingface": "org/repo", "ckpt_type": "loras"}
    put(map_path, json.dumps({"version": 1, "urls": {"a": definition}}))
    assert await load_stored_urlmap() == {"a": definition}


async def test_half_a_character_is_saved_and_loaded() -> None:
    await save_model_urls({"\ud800": "https://hf.co/a"})
    assert await load_stored_urlmap() == {"\ud800": "https://hf.co/a"}
