"""An MCP server with the tools of tools.py, on standard input and output (`uiapi mcp`) or over HTTP.

Protocol: https://modelcontextprotocol.io, implemented by the package `mcp`.
"""

from __future__ import annotations

import asyncio
import base64
import signal
from typing import Any

from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from ..async_client import AsyncClient
from ..common.errors import UiapiError
from .calls import Calls, Report
from .parts import Part
from .tools import INSTRUCTIONS, TOOLS
from .work import Work, advice_on


def server(work: Work) -> Server[Any]:
    """Returns an MCP server for these tools."""

    async def list_tools(context: Any, request: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(name) for name in TOOLS])

    async def call_tool(context: Any, request: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            parts = await work.carry_out(request.name, request.arguments or {}, _reporting(context))
        except UiapiError as error:
            return types.CallToolResult(content=[types.TextContent(text=advice_on(error))], is_error=True)
        return types.CallToolResult(content=[_content(part) for part in parts])

    return Server(
        "uiapi",
        title="The workflow open in ComfyUI",
        instructions=" ".join(INSTRUCTIONS.split()),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _reporting(context: Any) -> Report:
    """Returns the function that sends progress to the agent, which ignores it unless it has asked for it."""
    # The protocol wants a number that grows; the steps of one node begin again with each node.
    sent = 0

    async def report(done: float, total: float | None, news: str) -> None:
        nonlocal sent
        sent += 1
        await context.session.report_progress(sent, None, news)

    return report


def _tool(name: str) -> types.Tool:
    tool = TOOLS[name]
    hints = types.ToolAnnotations(read_only_hint=tool.reads_only)
    return types.Tool(name=name, description=tool.description, input_schema=tool.schema, annotations=hints)


def _content(part: Part) -> types.TextContent | types.ImageContent:
    if isinstance(part, str):
        return types.TextContent(text=part)
    content, mime = part
    return types.ImageContent(data=base64.b64encode(content).decode(), mime_type=mime)


def connection(url: str | None, token: str | None, webui: int | None) -> AsyncClient:
    """Returns the client that all tools share; the arguments are those of AsyncClient."""
    return AsyncClient(url, token, webui=webui, name="agent", reconnect=0)


async def _serve(url: str | None, token: str | None, webui: int | None) -> None:
    async with connection(url, token, webui) as client:
        calls = Calls(client)
        bound = server(Work(calls, local=True))
        try:
            async with stdio_server() as (incoming, outgoing):
                await bound.run(incoming, outgoing, bound.create_initialization_options())
        finally:
            await calls.close()


def serve(url: str | None, token: str | None, webui: int | None) -> None:
    """Serve until standard input is closed, or until Ctrl-C."""
    # The thread that reads standard input cannot be interrupted; without this Ctrl-C would wait for a line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(url, token, webui))
