"""Sounds, videos, masks and 3D models as values of the fields that take them, in the real page and a real run."""

from __future__ import annotations

import asyncio
import io
import wave
from pathlib import Path
from typing import Any

import av
import pytest
from comfyui_uiapi.client import AsyncClient, UiapiError
from comfyui_uiapi.client.protocol.encoding import png
from comfyui_uiapi.tests.harness.browser.graphs import node, ui
from comfyui_uiapi.tests.harness.browser.tab import Tab

GLB = b"glTF" + (2).to_bytes(4, "little") + (20).to_bytes(4, "little") + bytes(8)
WORKFLOW = ui(
    [
        node(1, "LoadAudio", "Song", outputs=[{"name": "AUDIO", "type": "AUDIO", "links": [1]}]),
        node(2, "SaveAudio", "Saved", inputs=[{"name": "audio", "type": "AUDIO", "link": 1}], values=["uiapi"]),
        node(3, "LoadVideo", "Clip", outputs=[{"name": "VIDEO", "type": "VIDEO", "links": [2]}]),
        node(
            4,
            "SaveVideo",
            "Movie",
            inputs=[{"name": "video", "type": "VIDEO", "link": 2}],
            values=["uiapi", "auto", "auto"],
        ),
        node(5, "LoadImageMask", "Mask", outputs=[{"name": "MASK", "type": "MASK", "links": [3]}]),
        node(6, "MaskPreview", "Shown", inputs=[{"name": "mask", "type": "MASK", "link": 3}]),
    ],
    [[1, 1, 0, 2, 0, "AUDIO"], [2, 3, 0, 4, 0, "VIDEO"], [3, 5, 0, 6, 0, "MASK"]],
)


def sound() -> bytes:
    """A WAV file of a tenth of a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(1600))
    return file.getvalue()


def video() -> bytes:
    """An MP4 file of two frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


def write_files(folder: Path) -> dict[str, Any]:
    """Values for the fields of WORKFLOW, as a program has them."""
    (folder / "clip.mp4").write_bytes(video())
    return {"Song.audio": sound(), "Clip.file": folder / "clip.mp4", "Mask.image": png(bytes(64 * 64), 64, 64)}


async def test_a_run_uses_sounds_videos_and_masks_of_a_program(tab: Tab, tmp_path: Path) -> None:
    values = await asyncio.to_thread(write_files, tmp_path)
    async with AsyncClient(tab.comfy.url) as client:
        await client.load(WORKFLOW)
        written = await client.set(values)
        assert [Path(written[path]["value"]).suffix for path in values] == [".wav", ".mp4", ".png"]
        assert all(one["warnings"] == [] for one in written.values())
        done = await client.run()
        assert {file.title: file.media for file in done.files} == {"Saved": "audio", "Movie": "video", "Shown": "image"}
        with pytest.raises(UiapiError, match="takes a sound or a video, not a picture") as refused:
            await client.set("Song.audio", values["Mask.image"])
        assert refused.value.code == "invalid"


async def test_a_3d_model_is_stored_where_its_node_lists_it(tab: Tab) -> None:
    async with AsyncClient(tab.comfy.url) as client:
        await client.load(ui([node(1, "Load3D", "Cat")]))
        value = (await client.set("Cat.model_file", GLB))["value"]
        assert value.startswith("3d/INPUT_Cat_")
        listed = await asyncio.to_thread(tab.comfy.get, "/object_info/Load3D")
        assert value in listed["Load3D"]["input"]["required"]["model_file"][0]
        await asyncio.to_thread((tab.comfy.base / "input" / value).unlink)
