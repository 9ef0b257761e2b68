"""A whole agent session over `uiapi mcp` with the official MCP client, on a real ComfyUI with a real tab."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from comfyui_uiapi.tests.harness import children
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import free_port, is_taken
from comfyui_uiapi.tests.harness.comfy.workflows import gated
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.tools.demo import WORKFLOW
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from PIL import Image

SECRET = secrets.token_urlsafe()
# Seconds of the long run at least; more than an agent waits for a call where it is set.
SECONDS = float(os.environ.get("UIAPI_LONG_RUN", "1"))


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
        assert 10 < len((await agent.list_tools()).tools) <= 25

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
        assert decoded(await agent.call_tool("doctor", {}))["fixes"] == []


def started(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return children.start(command, output=output, env={**environment, "UIAPI_MCP_TOKEN": SECRET})


@contextlib.asynccontextmanager
async def over_http(environment: dict[str, str], log: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Serve `uiapi mcp --http`; yields the endpoint and the headers that it asks for."""
    port = free_port()
    command = [sys.executable, "-m", "uiapi", "mcp", "--http", f"127.0.0.1:{port}"]
    process = await asyncio.to_thread(started, command, log, environment)

    async def listens() -> bool:
        assert process.poll() is None, f"it ended; see {log}"
        return is_taken(port)

    try:
        await until(listens, "uiapi mcp --http listens", 120)
        yield f"http://127.0.0.1:{port}/mcp", {"Authorization": f"Bearer {SECRET}"}
    finally:
        children.stop(process)


async def follow_a_long_run(agent: Client, tab: Tab, gate: str) -> None:
    """Follow a run, held up by a gate longer than a call may take, to its picture, while twenty other calls go on."""
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": gated(gate)})
    end = time.monotonic() + SECONDS
    asked = await agent.call_tool("run", {"wait": 0.1})
    ticket = decoded(asked)["ticket"]
    together = (agent.call_tool("get_fields", {"fields": ["Gate.gate"]}) for _ in range(20))
    assert [decoded(answer)["Gate.gate"] for answer in await asyncio.gather(*together)] == [gate] * 20
    answer: Any = asked
    while len(answer.content) == 1 or answer.content[-1].type != "image" or "news" in answer.content[0].text:
        if time.monotonic() > end:
            await asyncio.to_thread(tab.comfy.open_gate, gate)
        answer = await agent.call_tool("run_status", {"ticket": ticket, "wait": min(SECONDS / 4, 50)})
        assert not answer.is_error, answer.content
    picture = Image.open(io.BytesIO(base64.b64decode(answer.content[1].data)))
    assert picture.size == (16, 16) and picture.getpixel((0, 0)) == (0, 0, 255)
    assert decoded(answer)["files"][0]["title"] == "Result"


async def test_a_long_run_is_followed_to_its_picture_by_agents_on_this_and_other_machines(
    tab: Tab, tmp_path: Path
) -> None:
    environment = installed_client.environment(tmp_path, tab.comfy.url)
    async with Client(
        StdioServerParameters(command=sys.executable, args=["-m", "uiapi", "mcp"], env=environment)
    ) as agent:
        await follow_a_long_run(agent, tab, "on-this-machine")
    async with over_http(environment, tmp_path / "http.log") as (url, headers):
        async with aiohttp.ClientSession() as session:
            for wrong, status in (
                ({}, 401),
                ({"Authorization": "Bearer other"}, 401),
                ({**headers, "Origin": url[:-4]}, 403),
            ):
                async with session.post(url, json={}, headers=wrong) as response:
                    assert response.status == status
        async with (
            create_mcp_http_client(headers=headers) as http_client,
            Client(streamable_http_client(url, http_client=http_client)) as agent,
        ):
            await follow_a_long_run(agent, tab, "on-another")
