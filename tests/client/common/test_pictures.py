"""A picture is saved in the format of its suffix, or refused with a sentence; nothing is written under a wrong one."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import OutputFile, UiapiError
from comfyui_uiapi.tests.client.conftest import Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from PIL import Image


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **how)
    return made.getvalue()


RED = encoded(Image.new("RGB", (4, 2), "red"), "PNG")
CLEAR = encoded(Image.new("RGBA", (4, 2), (255, 0, 0, 0)), "PNG")


def file(name: str, data: bytes) -> OutputFile:
    return OutputFile("1", name, f"/view?filename={name}", data=data)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".jpg", "JPEG"),
        (".JPEG", "JPEG"),
        (".webp", "WEBP"),
        (".bmp", "BMP"),
        (".tiff", "TIFF"),
        (".gif", "GIF"),
        (".png", "PNG"),
    ],
)
def test_a_picture_is_written_in_the_format_of_its_suffix(tmp_path: Path, suffix: str, kind: str) -> None:
    for content in (RED, CLEAR):
        saved = file("a.png", content).save(tmp_path / f"x{suffix}")
        with Image.open(saved) as picture:
            assert (picture.format, picture.size) == (kind, (4, 2))


def test_a_file_of_the_same_format_is_not_written_anew(tmp_path: Path) -> None:
    assert file("a.jpeg", b"as it is").save(tmp_path / "x.JPG").read_bytes() == b"as it is"
    assert file("a.png", RED).save(tmp_path / "x").read_bytes() == RED
    assert file("a.png", RED).save(tmp_path / "result.v2").read_bytes() == RED
    assert file("a.png", RED).save(tmp_path).read_bytes() == RED
    assert OutputFile("1", "a.txt", "", kind="text", data=b"t").save(tmp_path / "x.png").read_bytes() == b"t"


def test_transparent_parts_are_white_where_there_is_no_transparency(tmp_path: Path) -> None:
    with Image.open(file("a.png", CLEAR).save(tmp_path / "x.jpg")) as picture:
        assert picture.getpixel((0, 0)) == (255, 255, 255)


FRAMES = [Image.new("RGB", (4, 2), colour) for colour in ("red", "blue")]


@pytest.mark.parametrize(
    ("name", "data", "wanted", "better"),
    [
        ("a.mp4", b"video", "x.jpg", "x.mp4"),
        ("a.png", RED, "x.mp4", "x.png"),
        ("a.mp4", b"video", "x.webm", "x.mp4"),
        ("a.latent", b"numbers", "x.png", "x.latent"),
        ("a.png", RED, "x.exr", "x.png"),
        ("a.png", b"no picture", "x.jpg", "x.png"),
        ("a.webp", encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "x.gif", "x.webp"),
        ("a.png", encoded(Image.new("I;16", (4, 2)), "PNG"), "x.jpg", "x.png"),
    ],
)
def test_an_impossible_conversion_is_refused_with_the_name_to_use(
    tmp_path: Path, name: str, data: bytes, wanted: str, better: str
) -> None:
    with pytest.raises(UiapiError, match=f"name the file .*{better}") as failed:
        file(name, data).save(tmp_path / wanted)
    assert failed.value.code == "invalid" and [*tmp_path.iterdir()] == []


def test_without_pillow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UiapiError, match=r"pip install pillow; or name the file x\.png"):
        file("a.png", RED).save(tmp_path / "x.jpg")
    assert [*tmp_path.iterdir()] == []


async def test_a_screenshot_has_the_format_of_its_suffix(scripted: Scripted, invoke: Invoke, tmp_path: Path) -> None:
    scripted.answers["screenshot"] = {"png": base64.b64encode(RED).decode()}
    assert await invoke("screenshot", tmp_path / "x.jpg") == RED
    with Image.open(tmp_path / "x.jpg") as picture:
        assert picture.format == "JPEG"
    await invoke("screenshot", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == RED
    with pytest.raises(UiapiError, match=r"name the file y\.png"):
        await invoke("screenshot", tmp_path / "y.mp4")
