"""A whole agent session over `uiapi mcp` with the official MCP client, on a real ComfyUI with a real tab."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.tools.demo import WORKFLOW
from mcp import Client, StdioServerParameters
from PIL import Image


def decoded(result: Any) -> Any:
    """Return the decoded text of a result."""
    assert not result.is_error, result.content
    return json.loads(result.content[0].text)


async def test_an_agent_reads_edits_runs_and_sees(tab: Tab, tmp_path: Path) -> None:
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": WORKFLOW})
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "uiapi", "mcp"], env=installed_client.environment(tmp_path, tab.comfy.url)
    )
    async with Client(server) as agent:
        assert 10 < len((await agent.list_tools()).tools) < 20

        read = decoded(await agent.call_tool("query_fields", {"want": ["widgets"], "limit": 2}))
        assert len(read["nodes"]) == 2 and read["revision"]
        canvas = next(node for node in read["nodes"] if node["title"] == "Canvas")
        assert {widget["name"]: widget["value"] for widget in canvas["widgets"]}["width"] == 512

        edits = [
            {"command": "set_fields", "data": {"fields": [["Canvas.width", 48], ["Canvas.height", 32]]}},
            {"command": "set_node", "data": {"node": "Canvas", "title": "Paper"}},
        ]
        tried = decoded(await agent.call_tool("batch", {"commands": edits, "dry_run": True}))
        assert tried["applied"] is False and len(tried["changes"]) == 3
        assert decoded(await agent.call_tool("get_fields", {"fields": ["Canvas.width"]}))["Canvas.width"] == 512
        done = decoded(await agent.call_tool("batch", {"commands": edits, "if_revision": read["revision"]}))
        assert done["applied"] is True

        stale: Any = await agent.call_tool("batch", {"commands": edits, "if_revision": read["revision"]})
        assert stale.is_error and stale.content[0].text.startswith("revision_changed")

        run: Any = await agent.call_tool("run", {"fields": [["Paper.color", 0x00FF00]]})
        text, picture = run.content
        assert json.loads(text.text)["files"][0]["title"] == "Result" and picture.mime_type == "image/png"
        image = Image.open(io.BytesIO(base64.b64decode(picture.data)))
        assert image.size == (48, 32) and image.getpixel((0, 0)) == (255, 0, 255)

        wrong: Any = await agent.call_tool("get_fields", {"fields": ["Paper.widht"]})
        assert wrong.is_error and "Paper.width" in wrong.content[0].text
        right = json.loads(wrong.content[0].text.splitlines()[1].removeprefix("Try one of: "))[0]
        assert decoded(await agent.call_tool("get_fields", {"fields": [right]}))[right] == 48

        shown: Any = await agent.call_tool("screenshot", {"nodes": ["Paper"]})
        assert Image.open(io.BytesIO(base64.b64decode(shown.content[0].data))).width > 100
        found = decoded(await agent.call_tool("search_nodes", {"query": "invert", "input_type": "IMAGE"}))
        assert "ImageInvert" in {node["type"] for node in found["nodes"]}
        assert decoded(await agent.call_tool("validate", {}))["valid"] is True
        assert decoded(await agent.call_tool("plan_downloads", {}))["verdict"] == "ready"
