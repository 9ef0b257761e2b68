"""Files that the client writes: they are complete or absent, and no other file is lost."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import OutputFile, UiapiError, Unreachable
from comfyui_uiapi.client.common.files import write
from comfyui_uiapi.tests.client.conftest import Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can become larger than 1000 bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_workflow_that_cannot_be_written_leaves_the_old_file(
    scripted: Scripted, invoke: Invoke, full_disk: None, tmp_path: Path
) -> None:
    (tmp_path / "w.json").write_text("{}")
    scripted.answers["get_workflow"] = {"workflow": {"workflow": {"big": "x" * 5000}}}
    with pytest.raises(UiapiError, match="choose another path") as failed:
        await invoke("save", tmp_path / "w.json")
    assert failed.value.code == "storage_failed"
    assert os.listdir(tmp_path) == ["w.json"] and (tmp_path / "w.json").read_text() == "{}"


async def test_a_picture_of_the_canvas_needs_an_existing_folder(
    scripted: Scripted, invoke: Invoke, tmp_path: Path
) -> None:
    scripted.answers["screenshot"] = {"png": "aGk="}
    with pytest.raises(UiapiError, match="cannot be written") as failed:
        await invoke("screenshot", tmp_path / "none" / "s.png")
    assert failed.value.code == "storage_failed"


async def test_a_title_with_a_lone_surrogate_is_saved_as_json(
    scripted: Scripted, invoke: Invoke, tmp_path: Path
) -> None:
    scripted.answers["get_workflow"] = {"workflow": {"workflow": {"title": "\ud83d", "é": 1}}}
    assert await invoke("save", tmp_path / "w.json") == {"title": "\ud83d", "é": 1}
    assert (tmp_path / "w.json").read_text() == '{\n  "title": "\\ud83d",\n  "é": 1\n}\n'


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    assert write(tmp_path / "link", b"after") == tmp_path / "link"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"after"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "any").write_bytes(b"")
    assert write(tmp_path / "new", b"").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(tmp_path / "pipe", b"hello")
        assert os.read(reading, 10) == b"hello"
    finally:
        os.close(reading)


# -- what a run made --------------------------------------------------------------------------------------------


def made(name: str, content: bytes, **more: Any) -> OutputFile:
    return OutputFile("1", name, "/view", data=content, **more)


def test_files_of_one_name_are_all_kept(tmp_path: Path) -> None:
    saved = [made("img_1_.png", content, subfolder=content.decode()).save(tmp_path) for content in (b"a", b"b", b"c")]
    assert [path.name for path in saved] == ["img_1_.png", "img_1__2.png", "img_1__3.png"]
    assert [path.read_bytes() for path in saved] == [b"a", b"b", b"c"]


def test_an_identical_file_is_not_written_twice(tmp_path: Path) -> None:
    assert made("a.png", b"a").save(tmp_path) == made("a.png", b"a").save(tmp_path) == tmp_path / "a.png"
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png"])
def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    assert made(name, b"a").save(tmp_path) == tmp_path / "a.png"


@pytest.mark.parametrize("name", ["..", "", "a\x00b"])
def test_an_invalid_name_is_an_error_or_replaced(tmp_path: Path, name: str) -> None:
    try:
        saved = made(name, b"a").save(tmp_path)
    except UiapiError as error:
        assert error.code == "storage_failed"
    else:
        assert saved.parent == tmp_path and saved.read_bytes() == b"a"


# -- between processes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UiapiError, Unreachable])
def test_an_error_can_be_pickled(kind: type[UiapiError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a_code", "Do this.", {"candidates": ["b"]}, 404)))  # noqa: S301
    assert type(error) is kind and str(error) == "Do this."
    assert (error.code, error.candidates, error.status) == ("a_code", ["b"], 404)
