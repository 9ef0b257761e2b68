"""What a run made: its files, by their urls or with their content, or in one sentence why it failed."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from comfyui_uiapi.bridge import outputs
from comfyui_uiapi.bridge.connection import MAX_FRAME
from comfyui_uiapi.bridge.outputs import failure_of, output_files

from .conftest import PROMPT, Executor

QUEUED = {"prompt_id": "p1", "number": 1, "node_errors": {}}


@pytest.mark.parametrize("message", ["\n", " \n ", "", None])
def test_a_node_that_fails_without_a_word_is_told_all_the_same(message: str | None) -> None:
    error = {"node_id": "9", "node_type": "SaveImage", "exception_message": message, "exception_type": "AssertionError"}
    status = {"status_str": "error", "messages": [("execution_error", error)]}
    failure = failure_of({"prompt": (1, "p1", PROMPT), "status": status}, "p1")
    assert failure is not None and failure.message == "Result (#9) failed: ComfyUI gave no reason."
    assert failure.details["exception_type"] == "AssertionError"


@pytest.mark.parametrize("node", [{"class_type": "SaveImage", "_meta": "x"}, "x", None])
def test_a_prompt_that_describes_its_nodes_oddly_still_answers_its_files(node: Any) -> None:
    entry = {"prompt": (1, "p1", {"9": node}), "outputs": {"9": {"images": [{"filename": "a.png"}]}}}
    [file] = output_files(entry)
    assert (file["filename"], file["title"]) == ("a.png", None)
    status = {"status_str": "error", "messages": [("execution_error", {"node_id": "9", "exception_message": "no"})]}
    failure = failure_of({**entry, "status": status}, "p1")
    assert failure is not None and failure.message == "A node (#9) failed: no."


async def test_files_come_as_base64_when_asked_and_never_from_outside(
    house: Any, executor: Executor, tmp_path: Any
) -> None:
    (await house.tab()).on("execute", lambda data: QUEUED)
    (tmp_path / "output" / "s").mkdir()
    (tmp_path / "output" / "s" / "a_1.png").write_bytes(b"picture")
    executor.put()
    asked = asyncio.create_task(house.post("run", {"outputs": "base64"}))
    executor.finish()
    status, body = await asked
    (file,) = body["response"]["outputs"]
    assert base64.b64decode(file["base64"]) == b"picture" and "url" not in file
    (tmp_path / "secret").write_bytes(b"secret")
    executor.put()
    outside = [{"filename": "secret", "subfolder": "..", "type": "output"}]
    house.comfy.prompt_queue.history.clear()
    asked = asyncio.create_task(house.post("run", {"outputs": "base64"}))
    executor.finish(images=outside)
    status, body = await asked
    assert (status, body["code"]) == (403, "forbidden")


async def test_files_that_would_not_fit_one_answer_are_too_large_for_base64(
    house: Any, executor: Executor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outputs.MAX_INLINE < MAX_FRAME
    (await house.tab()).on("execute", lambda data: QUEUED)
    (tmp_path / "output" / "s").mkdir()
    # Nine bytes are twelve characters.
    (tmp_path / "output" / "s" / "a_1.png").write_bytes(b"picture 1")
    for limit, expected in ((12, (200, None)), (11, (413, "too_large"))):
        monkeypatch.setattr(outputs, "MAX_INLINE", limit)
        house.comfy.prompt_queue.history.clear()
        executor.put()
        asked = asyncio.create_task(house.post("run", {"outputs": "base64"}))
        executor.finish()
        status, body = await asyncio.wait_for(asked, 5)
        assert (status, body.get("code")) == expected
