"""A prompt that ComfyUI refuses is reported with the node and the reason, wherever it was queued from."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.common.errors import UiapiError

MISSING = {"class_type": "SaveImage", "errors": [{"message": "Required input is missing", "details": "images"}]}
SAID = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"error": SAID, "node_errors": {"3": MISSING}},
            "ComfyUI refused node #3 (SaveImage): Required input is missing: images.",
        ),
        (
            {"error": SAID, "node_errors": {"3": MISSING, "4": MISSING}},
            "ComfyUI refused node #3 (SaveImage): Required input is missing: images (and 1 more).",
        ),
        ({"error": {"message": "Prompt has no outputs"}}, "ComfyUI refused the workflow: Prompt has no outputs."),
        ({"error": "no prompt", "node_errors": []}, "ComfyUI refused the workflow: no prompt."),
        ({}, "ComfyUI refused the workflow: it gave no reason."),
        ({"error": SAID, "node_errors": {"3": {}}}, "ComfyUI refused node #3 (None): it gave no reason."),
    ],
)
async def test_the_sentence_names_the_node_and_the_reason(server: Any, answer: dict[str, Any], said: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response(answer, status=400)

    app = web.Application()
    app.router.add_post("/prompt", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.comfy.address, server.comfy.port = runner.addresses[0][:2]
    server.comfy.client_session = server.session
    try:
        with pytest.raises(UiapiError) as refused:
            await server.bridge.comfy.queue_body(b"{}")
    finally:
        await runner.cleanup()
    assert (refused.value.code, refused.value.message) == ("execution_failed", said)
