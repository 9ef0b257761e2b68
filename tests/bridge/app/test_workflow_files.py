"""A workflow may be sent as a file that ComfyUI saved, to every command that takes one."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

GRAPH: dict[str, Any] = {"nodes": [], "links": []}
PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}


def file(**texts: Any) -> dict[str, str]:
    about = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        about.add_text(key, json.dumps(value))
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=about)
    return {"type": "file_base64", "data": base64.b64encode(buffer.getvalue()).decode()}


@pytest.mark.parametrize("kind", ["file_base64", "image_base64"])
async def test_the_tab_opens_the_graph_of_a_picture(server: Any, kind: str) -> None:
    tab = await server.tab()
    tab.on("load_workflow", {"loaded": True, "message": "Loaded."})
    picture = {**file(workflow=GRAPH, prompt=PROMPT), "type": kind}
    assert (await server.post("load_workflow", {"workflow": picture, "name": "n"}))[0] == 200
    assert tab.requests[-1]["data"] == {"workflow": GRAPH, "name": "n"}


async def test_a_run_without_a_tab_uses_the_prompt_of_a_picture(server: Any) -> None:
    queued: list[Any] = []

    async def queue_prompt(prompt: Any, targets: object = None) -> dict[str, Any]:
        queued.append(prompt)
        return {"prompt_id": "p1", "number": 1, "node_errors": {}}

    server.bridge.comfy.queue_prompt = queue_prompt
    server.bridge.comfy.node_classes["EmptyImage"] = type("EmptyImage", (), {})
    status, body = await server.post("run", {"workflow": file(workflow=GRAPH, prompt=PROMPT), "wait": False})
    assert (status, queued) == (200, [PROMPT]), body


@pytest.mark.parametrize(
    ("workflow", "status", "code"),
    [
        (file(parameters="a lake"), 422, "no_workflow"),
        ({"type": "file_base64", "data": "not base64!"}, 422, "invalid"),
        ({"type": "file_base64", "data": 7}, 422, "invalid"),
        ({"type": "file_base64", "data": base64.b64encode(b"GIF89a").decode()}, 415, "unsupported_type"),
    ],
)
async def test_a_file_without_a_workflow_is_refused_and_the_tab_is_not_asked(
    server: Any, workflow: dict[str, Any], status: int, code: str
) -> None:
    tab = await server.tab()
    refused, body = await server.post("load_workflow", {"workflow": workflow})
    assert (refused, body["code"], tab.requests) == (status, code, [])
