"""Random frames from programs and tabs to the served bridge are answered or refused, and it keeps serving."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer
from comfyui_uiapi import server as extension
from comfyui_uiapi.bridge.app.bridge import Bridge
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.tests.bridge.conftest import FakePromptServer, Server
from hypothesis import given, settings
from hypothesis import strategies as st

from .strategies import JSON

FOLDERS = ("input", "output", "temp", "user")
TYPES = st.sampled_from("hello request response event cancel ping pong part welcome error nothing".split())
COMMANDS = st.sampled_from(["connection_status", "subscribe", "get_fields", "batch", "panel_decide", "no_such", ""])
FRAMES = st.fixed_dictionaries(
    {"type": TYPES | JSON},
    optional={
        "id": st.integers() | st.text(max_size=5) | JSON,
        "command": COMMANDS | JSON,
        "data": st.fixed_dictionaries({}, optional={"timeout": JSON, "webui": JSON, "events": JSON}) | JSON,
        "role": st.sampled_from(["client", "webui"]) | JSON,
        "protocol": st.just(1) | JSON,
        "client_id": JSON,
        "session": JSON,
        "page_key": JSON,
        "status": JSON,
        "event": JSON,
        "name": JSON,
    },
)
MESSAGES = FRAMES.map(json.dumps) | st.lists(FRAMES | JSON, max_size=3).map(json.dumps) | st.text(max_size=40)
HELLOS = st.sampled_from([{"type": "hello", "protocol": 1, "role": role} for role in ("client", "webui")])


async def exchange(server: Server, hello: dict[str, Any], messages: list[str]) -> None:
    """Send a hello and these messages, then a valid request; a closed socket must have received an error."""
    ws = await server.socket(hello)
    assert (await ws.receive_json(timeout=60))["type"] == "welcome"
    for message in messages:
        try:
            await ws.send_str(message)
        except (ConnectionError, aiohttp.ClientError):
            break
    await ws.close()
    assert ws.close_code != aiohttp.WSCloseCode.INTERNAL_ERROR
    status, body = await server.get("connection_status")
    assert status == 200 and body["status"] == "ok"


def test_any_frames_are_answered_or_refused_and_the_bridge_keeps_serving(
    examples: settings, tmp_path: Any, caplog: Any
) -> None:
    loop = asyncio.new_event_loop()

    async def begin() -> Server:
        folders = SimpleNamespace(**{f"get_{name}_directory": lambda: str(tmp_path) for name in FOLDERS})
        prompt_server = FakePromptServer()
        bridge = Bridge(Comfy(prompt_server, folders), Guard(beyond_loopback=False))
        extension.add_routes(prompt_server.routes, bridge)
        prompt_server.app.add_routes(prompt_server.routes)
        http = TestServer(prompt_server.app)
        await http.start_server()
        await bridge.start()
        return Server(prompt_server, bridge, http, folders)

    server = loop.run_until_complete(begin())

    @examples
    @given(HELLOS, st.lists(MESSAGES, max_size=4))
    def holds(hello: dict[str, Any], messages: list[str]) -> None:
        loop.run_until_complete(exchange(server, hello, messages))

    async def end() -> None:
        await server.session.close()
        await server.bridge.close()
        await server.http.close()

    try:
        holds()
    finally:
        loop.run_until_complete(end())
        loop.close()
    assert [record for record in caplog.records if record.exc_info] == []
