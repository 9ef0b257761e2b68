"""The results of runs: media types, the result of each prompt, and distinct file names."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import OutputFile, UiapiError
from comfyui_uiapi.client.common.results import run_of
from comfyui_uiapi.tests.client.conftest import Ended, Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

Uiapi = Callable[..., Awaitable[Ended]]


def file(name: str, kind: str = "images", **more: Any) -> dict[str, Any]:
    folder, _, filename = name.rpartition("/")
    place = {"filename": filename, "subfolder": folder, "url": f"/view?filename={name}"}
    return {"node_id": "3", "title": "Result", "kind": kind, "type": "output", **place, **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"node_id": "4", "title": "Show", "node_type": "ShowText", "kind": "text", "text": words, **more}


FAILED = {"code": "execution_failed", "error": "KSampler (#3) failed: no memory.", "details": {"node": "3"}}
PARTIAL = {
    "prompt_id": "p1",
    "prompt_ids": ["p1", "p2"],
    "status": "partial",
    "execution_time": 1.5,
    "outputs": [file("a.png", prompt_id="p1")],
    "prompts": [
        {"prompt_id": "p1", "status": "success"},
        {"prompt_id": "p2", "status": "error", "error": FAILED, "outputs": [file("half.png"), text("half")]},
    ],
}


@pytest.fixture
def talk(scripted: Scripted, uiapi: Uiapi) -> Uiapi:
    """Runs a command line with the scripted server: `await talk("run")`."""

    async def carry_out(*words: str) -> Ended:
        return await uiapi("--url", scripted.url, *words)

    return carry_out


def answering(scripted: Scripted, *outputs: dict[str, Any], **more: Any) -> None:
    """Sets the outputs of a run; the content of every file is its URL."""
    answer = {"prompt_id": "p1", "execution_time": 1.5, "outputs": [*outputs], **more}
    scripted.answers["run"] = answer
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": answer}]
    scripted.answers["view"] = lambda request: web.Response(text=request.query["filename"])


# -- what is in a file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "format", "media"),
    [
        ("a.png", "images", None, "image"),
        ("a.PNG", "a_images", None, "image"),
        ("a.webp", "images", None, "image"),
        ("a.gif", "gifs", "image/gif", "image"),
        ("a.mp4", "images", None, "video"),
        ("a.mp4", "gifs", "video/h264-mp4", "video"),
        ("a.webm", "gifs", "video/webm", "video"),
        ("a.flac", "audio", None, "audio"),
        ("a.opus", "audio", None, "audio"),
        ("a.GLB", "3d", None, "3d"),
        ("a.latent", "latents", None, "file"),
        ("a.xyz", "images", None, "file"),
        ("a.xyz", "gifs", "video/xyz", "video"),
        ("a", "images", None, "image"),
        ("a", "3d", None, "file"),
    ],
)
def test_the_media_type_comes_from_suffix_or_format(name: str, kind: str, format: str | None, media: str) -> None:
    assert OutputFile("1", name, "/view", kind=kind, format=format).media == media


async def test_the_image_of_a_run_is_never_a_video_or_a_text(scripted: Scripted, invoke: Invoke) -> None:
    answering(
        scripted,
        text("hello"),
        file("film.mp4"),
        file("clip.webm", "gifs", format="video/webm"),
        file("sound.flac", "audio"),
        file("look.png", type="temp"),
        file("saved.png"),
    )
    done = await invoke("run")
    assert done.image.filename == "saved.png" and done.image.data == b"saved.png"
    assert [image.filename for image in done.images] == ["look.png", "saved.png"]
    assert [video.filename for video in done.videos] == ["film.mp4", "clip.webm"]
    assert [sound.filename for sound in done.audio] == ["sound.flac"]
    assert len(done.files) == 5 and done.texts == ["hello"]
    assert (done.texts[0].node_title, done.texts[0].node_id, done.status, done.prompts) == ("Show", "4", "success", [])


async def test_a_run_of_a_video_and_a_text_has_no_image(scripted: Scripted, invoke: Invoke) -> None:
    answering(scripted, file("film.mp4"), text("hello"))
    done = await invoke("run")
    with pytest.raises(UiapiError) as none:
        _ = done.image
    assert none.value.code == "no_image"


# -- a batch --------------------------------------------------------------------------------------------------------


async def test_a_partial_batch_has_the_result_of_each_prompt(scripted: Scripted, invoke: Invoke) -> None:
    answering(scripted, **PARTIAL)
    done = await invoke("run", batch_count=2)
    assert (done.status, done.image.data, done.image.prompt_id) == ("partial", b"a.png", "p1")
    first, second = done.prompts
    assert (first.status, first.error) == ("success", None)
    assert (second.status, second.error.code, second.error.details) == ("error", "execution_failed", {"node": "3"})
    assert ([made.filename for made in second.files], second.texts) == (["half.png"], ["half"])
    failure = done.failure()
    assert (failure.code, "1 of 2" in str(failure), "no memory" in str(failure)) == ("partial", True, True)


async def test_the_command_line_saves_the_outputs_of_a_partial_batch_and_ends_with_eight(
    scripted: Scripted, talk: Uiapi, tmp_path: Path
) -> None:
    answering(scripted, **PARTIAL)
    ended = await talk("run", "--count", "2", "-o", f"{tmp_path}/kept/")
    assert (ended.code, ended.out) == (8, f"Saved {tmp_path}/kept/a.png\n")
    assert "1 of 2" in ended.err and "no memory" in ended.err
    assert (tmp_path / "kept" / "a.png").read_text() == "a.png"
    ended = await talk("run", "--count", "2", "--json")
    assert ended.code == 8 and json.loads(ended.out) == {**PARTIAL, "saved": []}
    assert json.loads(ended.err)["code"] == "partial"


# -- saving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["the same", None])
async def test_files_of_one_name_from_different_folders_are_both_saved(
    scripted: Scripted, invoke: Invoke, talk: Uiapi, tmp_path: Path, content: str | None
) -> None:
    answering(scripted, file("a/x.png", prompt_id="p1"), file("b/x.png", prompt_id="p2"))
    scripted.answers["view"] = lambda request: web.Response(text=content or request.query["filename"])
    names = ["x.png", "x_2.png"]
    (tmp_path / "one").mkdir()
    assert [path.name for path in (await invoke("run")).save(tmp_path / "one")] == names
    assert (await talk("run", "-o", f"{tmp_path}/two/")).code == 0
    for folder in ("one", "two"):
        kept = [(tmp_path / folder / name).read_text() for name in names]
        assert kept == [content or "a/x.png", content or "b/x.png"]


async def test_a_run_with_texts_only_is_saved_as_text_files(scripted: Scripted, talk: Uiapi, tmp_path: Path) -> None:
    answering(scripted, text("grüße"), text("second", title="A/B", node_id="5"))
    assert (await talk("run")).out == "Show: grüße\nA/B: second\nDone in 1.50 s.\n"
    await talk("run", "-o", f"{tmp_path}/folder/")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["A_B.txt", "Show.txt"]
    await talk("run", "-o", str(tmp_path / "notes.md"))
    assert [(tmp_path / name).read_text("utf-8") for name in ("notes.md", "notes_2.md")] == ["grüße", "second"]


def test_a_text_that_was_cut_says_how_long_it_is() -> None:
    [cut] = run_of({"prompt_id": "p1", "outputs": [text("begin", length=1000)]}).texts
    assert (cut, cut.length) == ("begin", 1000)


# -- warnings -------------------------------------------------------------------------------------------------------

ABOVE = "99999 is above the largest value, 16384, which was set instead; " + "and so it goes on " * 5
WRITTEN = {"Canvas.width": {"requested": 99999, "value": 16384, "warnings": [ABOVE.strip()]}}


async def test_every_warning_in_the_json_is_printed_in_full(scripted: Scripted, talk: Uiapi, tmp_path: Path) -> None:
    missing = {"message": "Required input is missing", "details": "images"}
    refused = {"7": {"class_type": "SaveImage", "errors": [missing]}}
    answering(scripted, file("a.png"), set=WRITTEN, node_errors=refused)
    (tmp_path / "edits.json").write_text("[]")
    results = [{"Canvas.width": WRITTEN["Canvas.width"]}, {}]
    scripted.answers |= {"set_fields": WRITTEN, "batch": {"changes": [], "results": results}}
    warning = f"Warning: Canvas.width: {ABOVE.strip()}"
    ended = await talk("run", "Canvas.width=99999")
    left_out = "Warning: #7 (SaveImage) was not run: Required input is missing: images"
    assert (ended.code, ended.err.splitlines()) == (0, [warning, left_out])
    for words in (["set", "Canvas.width=99999"], ["batch", str(tmp_path / "edits.json")]):
        assert (await talk(*words)).err == f"{warning}\n"
        assert (await talk(*words, "--json")).err == ""


def test_a_notebook_shows_the_picture_of_a_run() -> None:
    answer = {
        "prompt_id": "p",
        "outputs": [
            {"node_id": "1", "filename": "a.mp4", "url": "/a", "type": "output"},
            {"node_id": "1", "filename": "b.png", "url": "/b", "type": "output"},
        ],
    }
    done = run_of(answer)
    assert [*done._repr_mimebundle_()] == ["text/plain"]
    for file in done.files:
        file.data = b"content"
    assert done._repr_mimebundle_()["image/png"] == base64.b64encode(b"content").decode()
    assert done.files[0]._repr_mimebundle_() == {}
    assert [*run_of({"prompt_id": "p"})._repr_mimebundle_()] == ["text/plain"]
