"""Tests of the outputs of a run: files by URL or content, texts, and failures."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui import outputs
from comfyui_uiapi.bridge.comfyui.outputs import failure_of, outputs_of
from comfyui_uiapi.bridge.protocol.codec import MAX_FRAME, encode

from ..conftest import PROMPT, Executor

QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}


@pytest.mark.parametrize("message", ["\n", " \n ", "", None])
def test_a_failure_without_a_message_is_reported(message: str | None) -> None:
    error = {"node_id": "9", "node_type": "SaveImage", "exception_message": message, "exception_type": "AssertionError"}
    status = {"status_str": "error", "messages": [("execution_error", error)]}
    failure = failure_of({"prompt": (1, "p1", PROMPT), "status": status}, "p1")
    assert failure is not None and failure.message == "Result (#9) failed: ComfyUI gave no reason."
    assert failure.details["exception_type"] == "AssertionError"


@pytest.mark.parametrize("node", [{"class_type": "SaveImage", "_meta": "x"}, "x", None])
def test_a_prompt_that_describes_its_nodes_oddly_still_answers_its_files(node: Any) -> None:
    entry = {"prompt": (1, "p1", {"9": node}), "outputs": {"9": {"images": [{"filename": "a.png"}]}}}
    [file] = outputs_of(entry)
    assert (file["filename"], file["title"]) == ("a.png", None)
    status = {"status_str": "error", "messages": [("execution_error", {"node_id": "9", "exception_message": "no"})]}
    failure = failure_of({**entry, "status": status}, "p1")
    assert failure is not None and failure.message == "A node (#9) failed: no."


def outputs_under(**ui: Any) -> list[dict[str, Any]]:
    """Return the outputs of a node that shows these texts, without the keys that are always the same."""
    prompt = {"9": {"class_type": "Any", "inputs": {}}}
    about = {"node_id": "9", "title": None, "node_type": "Any"}
    made = outputs_of({"prompt": (1, "p1", prompt), "outputs": {"9": ui}})
    assert all(output.items() >= about.items() for output in made)
    return [{key: value for key, value in output.items() if key not in about} for output in made]


@pytest.mark.parametrize(
    ("shown", "texts"),
    [
        (["hello", "you"], ["hello", "you"]),
        (("a tuple",), ["a tuple"]),
        # ComfyUI splits a bare string into characters.
        ([*"hello"], ["hello"]),
        (["x"], ["x"]),
        ([1, 2.5, None, True], ["1", "2.5", "true"]),
        ([["a", "你好"], {"c": 1}], ['["a", "你好"]', '{"c": 1}']),
        ([""], [""]),
        ([], []),
        ("not a list", []),
    ],
)
def test_the_texts_that_a_node_shows_come_back(shown: Any, texts: list[str]) -> None:
    assert outputs_under(text=shown) == [{"kind": "text", "text": text} for text in texts]


def test_files_come_back_whatever_key_they_are_under() -> None:
    gif = {"filename": "a.mp4", "subfolder": "", "type": "temp", "format": "video/h264-mp4", "frame_rate": 8.0}
    made = outputs_under(
        gifs=[gif],
        text=[{"filename": "notes.txt"}],
        odd=["a word", 1, None, {"other": 1}, {"filename": 3}],
        animated=(True,),
        result=["mesh\\x.GLB", {"camera": 1}, "temp/background.png"],
    )
    assert [(one["kind"], one["filename"], one["subfolder"], one["type"], one.get("format")) for one in made] == [
        ("gifs", "a.mp4", "", "temp", "video/h264-mp4"),
        ("text", "notes.txt", "", "output", None),
        ("result", "x.GLB", "mesh", "output", None),
    ]
    assert made[2]["url"] == "/view?filename=x.GLB&subfolder=mesh&type=output"


@pytest.mark.parametrize("text", ["x" * 2**20, "\0" * 2**20, "你🎉" * 2**19])
def test_texts_are_limited_together_and_omitted_ones_are_counted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_TEXTS", 100_000)
    room = outputs.TextRoom()
    made = [{"text": "first"}, {"text": text}, {"filename": "a.png"}, *({"text": "one more"} for _ in range(1000))]
    fitted = room.fit(made)
    assert fitted[0] == {"text": "first"} and fitted[2] == {"filename": "a.png"}
    assert fitted[1]["length"] == len(text) and text.startswith(fitted[1]["text"])
    assert len(fitted[1]["text"]) > 10_000
    assert [one for one in fitted if "text" in one][-1]["omitted"] == len(made) - len(fitted) > 0
    assert len(encode(fitted)) < 100_000 and room.taken <= 100_000
    assert "length" in outputs.TextRoom().fit([{"text": text}])[0]


async def test_a_text_that_is_larger_than_any_answer_does_not_cost_the_run_its_answer(
    server: Any, executor: Executor, tmp_path: Any
) -> None:
    tab, program = await server.tab(), await server.program()
    (tmp_path / "output" / "s").mkdir()
    (tmp_path / "output" / "s" / "a_1.png").write_bytes(b"picture")
    shown = {"text": ["x" * (100 * 2**20)]}
    for way in ("urls", "base64"):
        executor.queue.history.clear()
        await program.send_json({"type": "request", "id": way, "command": "run", "data": {"outputs": way}})
        request = await tab.next()
        executor.put()
        executor.say("executed", {"prompt_id": "p1", "node": "9", "output": shown})
        executor.finish()
        executor.queue.history["p1"]["outputs"]["9"] |= shown
        await tab.respond(request["id"], QUEUED)
        event, frame = await program.receive_json(timeout=60), await program.receive_json(timeout=60)
        assert event["event"] == "output" and 10_000 < len(event["data"]["output"]["text"][0]) < MAX_FRAME // 8
        text, picture = sorted(frame["response"]["outputs"], key=lambda output: output["kind"] == "images")
        assert text["length"] == 100 * 2**20 and 10_000 < len(text["text"]) < MAX_FRAME // 8
        assert picture["filename"] == "a_1.png"


async def test_files_come_as_base64_when_asked_and_never_from_outside(
    server: Any, executor: Executor, tmp_path: Any
) -> None:
    (await server.tab()).on("execute", lambda data: QUEUED)
    (tmp_path / "output" / "s").mkdir()
    (tmp_path / "output" / "s" / "a_1.png").write_bytes(b"picture")
    executor.put()
    asked = asyncio.create_task(server.post("run", {"outputs": "base64"}))
    executor.finish()
    status, body = await asked
    (file,) = body["response"]["outputs"]
    assert base64.b64decode(file["base64"]) == b"picture" and "url" not in file
    (tmp_path / "secret").write_bytes(b"secret")
    executor.put()
    outside = [{"filename": "secret", "subfolder": "..", "type": "output"}]
    server.comfy.prompt_queue.history.clear()
    asked = asyncio.create_task(server.post("run", {"outputs": "base64"}))
    executor.finish(images=outside)
    status, body = await asked
    assert (status, body["code"]) == (403, "forbidden")


async def test_a_file_that_is_gone_is_named_when_it_is_asked_for_as_base64(
    server: Any, executor: Executor, tmp_path: Any
) -> None:
    (await server.tab()).on("execute", lambda data: QUEUED)
    executor.put()
    asked = asyncio.create_task(server.post("run", {"outputs": "base64"}))
    executor.finish(images=[{"filename": "gone.png", "subfolder": "", "type": "output"}])
    status, body = await asyncio.wait_for(asked, 60)
    assert (status, body["code"]) == (507, "storage_failed") and "gone.png" in body["error"]


async def test_files_that_would_not_fit_one_answer_are_too_large_for_base64(
    server: Any, executor: Executor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outputs.MAX_INLINE < MAX_FRAME
    (await server.tab()).on("execute", lambda data: QUEUED)
    (tmp_path / "output" / "s").mkdir()
    # Nine bytes are twelve characters.
    (tmp_path / "output" / "s" / "a_1.png").write_bytes(b"picture 1")
    for limit, expected in ((12, (200, None)), (11, (413, "too_large"))):
        monkeypatch.setattr(outputs, "MAX_INLINE", limit)
        server.comfy.prompt_queue.history.clear()
        executor.put()
        asked = asyncio.create_task(server.post("run", {"outputs": "base64"}))
        executor.finish()
        status, body = await asyncio.wait_for(asked, 60)
        assert (status, body.get("code")) == expected
