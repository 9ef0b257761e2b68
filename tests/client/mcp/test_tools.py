"""The tools for agents, called by the official MCP client: number, descriptions, results and errors."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.bridge.commands.editing import BATCHABLE
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.client import AsyncClient, UiapiError
from comfyui_uiapi.client.mcp.calls import Calls
from comfyui_uiapi.client.mcp.parts import MAX_SIDE, MAX_TEXT, small
from comfyui_uiapi.client.mcp.server import server as mcp_server
from comfyui_uiapi.client.mcp.tools import PAGE, TOOLS, Tool
from comfyui_uiapi.client.mcp.work import MAX_PICTURES, Work
from comfyui_uiapi.tests.client.conftest import PNG
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from jsonschema_rs import meta
from mcp import Client as Agent
from PIL import Image


@pytest.fixture
async def work(async_client: AsyncClient) -> AsyncIterator[Work]:
    """The tools of an agent on this machine."""
    calls = Calls(async_client)
    yield Work(calls, local=True)
    await calls.close()


@pytest.fixture
async def agent(work: Work) -> AsyncIterator[Agent]:
    """A connected agent, in its own task, since a session must end in the task that started it."""
    connected: asyncio.Future[Agent] = asyncio.get_running_loop().create_future()
    enough = asyncio.Event()

    async def hold() -> None:
        async with Agent(mcp_server(work)) as agent:
            connected.set_result(agent)
            await enough.wait()

    holding = asyncio.create_task(hold())
    yield await connected
    enough.set()
    await holding


def text(result: Any) -> str:
    """Returns the text of a result."""
    return "\n".join(part.text for part in result.content if part.type == "text")


async def test_the_tools_are_few_and_each_says_what_it_is_for(agent: Agent) -> None:
    tools = (await agent.list_tools()).tools
    assert len(tools) <= 25
    for tool in tools:
        assert tool.description
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **tool.input_schema})
        if not isinstance(TOOLS[tool.name], Tool):
            continue
        assert tool.description.startswith(COMMANDS[tool.name].doc)
        assert set(tool.input_schema["properties"]) <= set(COMMANDS[tool.name].request.model_fields)
    # An agent reads all of it at the start.
    assert len(json.dumps([tool.model_dump(mode="json") for tool in tools])) < 25_000


async def test_the_batch_tool_names_every_edit_with_its_parameters(agent: Agent) -> None:
    [batch] = [tool for tool in (await agent.list_tools()).tools if tool.name == "batch"]
    for name in BATCHABLE:
        assert f"- {name} {{" in (batch.description or "")


async def test_a_tool_that_only_reads_says_so(agent: Agent) -> None:
    tools = (await agent.list_tools()).tools
    hints = {tool.name: tool.annotations.read_only_hint for tool in tools if tool.annotations}
    assert hints["query_fields"] and hints["validate"] and not hints["batch"] and not hints["run"]


async def test_query_fields_returns_a_page_with_the_revision(server: Any, agent: Agent) -> None:
    tab = await server.tab(capabilities=["revisions"])
    asking = asyncio.ensure_future(agent.call_tool("query_fields", {}))
    frame = await tab.next()
    await tab.respond(frame["id"], {"nodes": []}, revision="r1")
    assert frame["data"] == {"limit": PAGE}
    assert json.loads(text(await asking)) == {"nodes": [], "revision": "r1"}


async def test_a_dry_run_is_passed_on_and_answered(server: Any, agent: Agent) -> None:
    tab = await server.tab()
    tab.on("batch", lambda data: {"results": [], "applied": not data["dry_run"], "changes": [{"kind": "node_added"}]})
    commands = [{"command": "add_node", "data": {"type": "EmptyImage"}}]
    answer = json.loads(text(await agent.call_tool("batch", {"commands": commands, "dry_run": True})))
    assert answer["applied"] is False and answer["changes"] == [{"kind": "node_added"}]


async def test_a_screenshot_is_answered_as_a_picture(server: Any, agent: Agent) -> None:
    tab = await server.tab()
    tab.on("screenshot", {"png": base64.b64encode(PNG).decode(), "width": 1, "height": 1})
    [picture] = (await agent.call_tool("screenshot", {})).content
    assert picture.type == "image" and picture.mime_type == "image/png" and base64.b64decode(picture.data) == PNG


async def test_an_error_names_what_would_work(server: Any, agent: Agent) -> None:
    tab = await server.tab()
    asking = asyncio.ensure_future(agent.call_tool("get_fields", {"fields": ["A.x"]}))
    frame = await tab.next()
    details = {"nearest": ["A.b"], "path": "A.x"}
    await tab.respond(frame["id"], status="error", code="unknown_path", error="No field A.x.", details=details)
    result = await asking
    assert result.is_error
    assert text(result).splitlines() == ["unknown_path: No field A.x.", 'Try one of: ["A.b"]', '{"path":"A.x"}']


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("get_fields", {"fields": "A.b"}, "invalid: get_fields: fields"),
        ("get_fields", {"fields": [], "nonsense": 1}, "nonsense"),
        ("get_fields", {"fields": [], "timeout": "soon"}, "number of seconds"),
        ("download_status", {}, "parameter download_id is required"),
        ("get_fields", {"fields": ["a"]}, "no_webui"),
        ("nonsense", {}, "the tools are connection_status"),
    ],
)
async def test_a_wrong_call_is_an_error_and_the_session_continues(
    server: Any, agent: Agent, name: str, arguments: dict[str, Any], says: str
) -> None:
    result = await agent.call_tool(name, arguments)
    assert result.is_error and says in text(result)
    assert not (await agent.call_tool("connection_status", {})).is_error


async def test_without_comfyui_the_tools_say_what_to_do() -> None:
    async with AsyncClient("http://127.0.0.1:1") as client, Agent(mcp_server(Work(Calls(client), local=True))) as agent:
        result = await agent.call_tool("connection_status", {})
    assert result.is_error and "COMFYUI_URL" in text(result)


async def test_an_answer_that_is_too_long_is_cut_and_says_how_to_ask_for_less(server: Any, agent: Agent) -> None:
    tab = await server.tab()
    tab.on("get_fields", {"a": "x" * 2 * MAX_TEXT})
    answer = text(await agent.call_tool("get_fields", {"fields": ["a"]}))
    assert len(answer) < 1.1 * MAX_TEXT and "ask for less" in answer


async def test_a_text_is_answered_as_it_is_written(server: Any, agent: Agent) -> None:
    (await server.tab()).on("get_fields", {"a": "你好"})
    assert "你好" in text(await agent.call_tool("get_fields", {"fields": ["a"]}))


@pytest.fixture
def seen(scripted: Scripted) -> Callable[..., Awaitable[list[Any]]]:
    """Returns what an agent gets for a run with files of these names, each with this content."""

    async def run(content: bytes, *names: str) -> list[Any]:
        files = [{"node_id": "3", "filename": name, "url": f"/view?filename={name}"} for name in names]
        scripted.streams["run"] = lambda _: [{"status": "ok", "response": {"prompt_id": "p1", "outputs": files}}]
        scripted.answers["view"] = lambda _: web.Response(body=content)
        async with AsyncClient(scripted.url, reconnect=0) as client:
            return [*await Work(Calls(client), local=True).carry_out("run", {})]

    return run


async def test_a_video_is_named_and_not_sent_as_a_picture(scripted: Scripted, seen: Any) -> None:
    [answer] = await seen(b"\0\0\0\x18ftypmp42", "v.mp4")
    assert json.loads(answer)["files"][0]["filename"] == "v.mp4"
    assert scripted.commands() == ["run"] and scripted.seen == []


@pytest.mark.parametrize(
    ("content", "mime"),
    [(PNG, "image/png"), (b"RIFF\0\0\0\0WAVEfmt ", None), (b"\x89PNG\r\n\x1a\nbroken", None), (b"<html>", None)],
)
async def test_only_valid_pictures_are_sent_as_pictures(seen: Any, content: bytes, mime: str | None) -> None:
    _, part = await seen(content, "a.png")
    assert part == (content, mime) if mime else "cannot be shown" in part


async def test_pictures_beyond_the_first_are_counted(seen: Any) -> None:
    parts = await seen(PNG, *(f"{number}.png" for number in range(6)), "v.mp4")
    assert parts[1:] == [(PNG, "image/png")] * 4 + ["2 more pictures are not shown; view_output shows each."]


async def test_an_agent_whose_picture_cannot_be_fetched_is_advised_not_to_run_again(seen: Any) -> None:
    with pytest.raises(UiapiError, match="p1 has finished, so do not repeat it"):
        await seen(PNG, "a\n.png")


def test_a_large_picture_is_made_smaller() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4 * MAX_SIDE, MAX_SIDE)).save(buffer, format="PNG")
    picture, mime = small(buffer.getvalue(), "image/png")
    assert Image.open(io.BytesIO(picture)).size == (MAX_SIDE, MAX_SIDE // 4) and mime == "image/png"
    assert small(PNG, "image/png") == (PNG, "image/png")


def test_common_parameters_are_left_out_of_the_schemas() -> None:
    for tool in TOOLS.values():
        assert not {"webui", "client_id", "wait_for_webui", "idempotency_key"} & set(tool.schema["properties"])


def test_a_picture_of_many_bytes_is_made_smaller_until_four_fit_one_event() -> None:
    noise = Image.effect_noise((900, 900), 200)
    buffer = io.BytesIO()
    noise.save(buffer, format="PNG")
    picture, mime = small(buffer.getvalue(), "image/png")
    assert len(base64.b64encode(picture)) * MAX_PICTURES < 1 << 20 and mime == "image/jpeg"
    assert Image.open(io.BytesIO(picture)).width > 100
