"""Serves the tools of tools.py over the Model Context Protocol on standard input and output (`uiapi mcp`).

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
from .tools import INSTRUCTIONS, TOOLS, Part, advice_on, carry_out


def server(client: AsyncClient) -> Server[Any]:
    """Returns an MCP server whose tools use the client."""

    async def list_tools(context: Any, request: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(name) for name in TOOLS])

    async def call_tool(context: Any, request: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            parts = await carry_out(client, request.name, request.arguments or {})
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


def _tool(name: str) -> types.Tool:
    tool = TOOLS[name]
    hints = types.ToolAnnotations(read_only_hint=tool.reads_only)
    return types.Tool(name=name, description=tool.description, input_schema=tool.schema, annotations=hints)


def _content(part: Part) -> types.TextContent | types.ImageContent:
    if isinstance(part, str):
        return types.TextContent(text=part)
    content, mime = part
    return types.ImageContent(data=base64.b64encode(content).decode(), mime_type=mime)


async def _serve(url: str | None, token: str | None, webui: int | None) -> None:
    async with AsyncClient(url, token, webui=webui, name="agent", reconnect=0) as client:
        bound = server(client)
        async with stdio_server() as (incoming, outgoing):
            await bound.run(incoming, outgoing, bound.create_initialization_options())


def serve(url: str | None, token: str | None, webui: int | None) -> None:
    """Serve until standard input is closed, or until Ctrl-C."""
    # The thread that reads standard input cannot be interrupted; without this Ctrl-C would wait for a line.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(url, token, webui))
