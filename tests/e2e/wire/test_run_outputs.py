"""A queued run does not depend on its tab, a batch keeps finished results, and every kind of output is returned."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.client import AsyncClient
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import BLUE, GREEN, all_kinds, failing, film, gated, is_all, texts
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program


@pytest_asyncio.fixture(loop_scope="session")
async def client(comfy: ComfyProcess) -> AsyncIterator[AsyncClient]:
    """The Python client."""
    async with AsyncClient(comfy.url) as client:
        yield client


async def test_a_run_goes_on_while_its_tab_is_reloaded(program: Program, tab: Tab) -> None:
    await program.ok("load_workflow", {"workflow": gated("reloaded")})
    socket = await program.socket()
    run = socket.start("run")
    await socket.event(lambda event: event["event"] == "executing" and event["data"]["node"] == "2")
    await tab.load()
    assert not run.done()
    await asyncio.to_thread(tab.comfy.open_gate, "reloaded")
    answer = (await asyncio.wait_for(run, PATIENCE))["response"]
    assert answer["status"] == "success"
    assert is_all(await program.file(answer["outputs"][0]["url"]), BLUE)
    assert socket.events[-1]["event"] == "execution_success"


async def test_a_batch_keeps_the_files_of_the_prompts_that_succeed(program: Program, client: AsyncClient) -> None:
    await program.ok("load_workflow", {"workflow": failing(0)})
    await program.ok("set_fields", {"fields": [["Fail.control_after_generate", "increment"]]})
    done = await client.run(batch_count=3)
    assert done.status == "partial"
    assert [prompt.status for prompt in done.prompts] == ["success", "error", "success"]
    assert done.prompts[1].error is not None and "seed 1 is odd" in str(done.prompts[1].error)
    kept = [done.prompts[number].prompt_id for number in (0, 2)]
    assert [image.prompt_id for image in done.images] == kept and is_all(done.images[1].data, BLUE)
    status, envelope = await program.post("run", {"fields": [["Fail.seed", 1]]})
    assert (status, envelope["code"]) == (422, "execution_failed")


@pytest.mark.parametrize("way", ["urls", "base64"])
async def test_texts_that_nodes_show_come_back(program: Program, way: str) -> None:
    said = 'hello "quoted" 你好 🎉'
    answer = await program.ok("run", {"workflow": texts(said), "outputs": way})
    look = {"node_id": "2", "title": "Look", "node_type": "PreviewAny", "kind": "text", "text": said}
    show = {"node_id": "3", "title": "Show", "node_type": "LabShowText", "kind": "text", "text": said}
    assert sorted(answer["outputs"], key=lambda output: output["node_id"]) == [look, show]


async def test_a_video_is_no_picture_and_previews_are_pictures(program: Program, client: AsyncClient) -> None:
    await program.ok("load_workflow", {"workflow": film()})
    done = await client.run()
    [video] = done.videos
    assert (video.filename[-4:], video.subfolder, video.data[4:8]) == (".mp4", "video", b"ftyp")
    assert [image.type for image in done.images] == ["temp"] * 4
    assert is_all(done.image.data, GREEN) and len(done.files) == 5


async def test_files_under_any_key_come_back(program: Program, client: AsyncClient) -> None:
    await program.ok("load_workflow", {"workflow": all_kinds()})
    done = await client.run()
    made = {file.title: (file.kind, file.filename, file.subfolder, file.media) for file in done.files}
    assert made == {
        "Gif": ("gifs", "animation_00001_.gif", "clips", "image"),
        "Model": ("3d", "model.glb", "", "3d"),
        "Odd": ("odd_things", "thing.bin", "", "file"),
        "Latents": ("latents", "all_00001_.latent", "latents", "file"),
    }
    assert next(file.data for file in done.files if file.title == "Model") == b"solid"
    answer: dict[str, Any] = await program.ok("run", {"fields": [["Odd.content", "other"]], "outputs": "base64"})
    contents = {output["title"]: base64.b64decode(output["base64"]) for output in answer["outputs"]}
    assert contents["Odd"] == b"other"
