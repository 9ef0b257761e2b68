"""The promises of promises.json, kept by the Python clients and by the JavaScript client alike."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.tools.lint.checks import node

HERE = Path(__file__).parent
PROMISES = json.loads((HERE / "promises.json").read_text())
# Requests that the JavaScript client sends by itself: with the server's clock it notices a restart.
GREETING = "connection_status"

Keep = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def script(server: Scripted, elsewhere: Scripted, case: dict[str, Any]) -> None:
    """Let the server answer as the case says."""
    server.answers |= case.get("answers", {})
    server.answers["view"] = lambda _: web.Response(body=base64.b64decode(case["view"]))
    fails = case.get("fails")
    if isinstance(fails, str):
        server.answers["get_fields"] = lambda _: web.Response(text=fails, content_type="text/html")
    elif fails:
        envelope = {**fails, "status": "error"}
        server.answers["get_fields"] = lambda _: web.json_response(envelope, status=fails["status"])
    if case.get("redirects"):
        away = {"Location": f"{elsewhere.url}/uiapi/get_fields"}
        server.answers["get_fields"] = lambda _: web.Response(status=307, headers=away)


def decoded(value: Any) -> Any:
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) and "bytes" in value else value


def outcome(result: Any, client: Client | AsyncClient) -> dict[str, Any]:
    files = [[file.filename, base64.b64encode(file.data).decode()] for file in getattr(result, "files", ())]
    return {
        "returns": result,
        "files": files,
        "images": len(getattr(result, "images", ())),
        "revision": client.revision,
    }


def failure(error: UiapiError) -> dict[str, Any]:
    return {"raises": {"code": error.code, "says": error.message, "candidates": list(error.candidates)}}


async def by_client(case: dict[str, Any]) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        with Client(case["url"], case.get("token"), reconnect=0) as client:
            method, *given = case["call"]
            try:
                return outcome(getattr(client, method)(*map(decoded, given)), client)
            except UiapiError as error:
                return failure(error)

    return await asyncio.to_thread(work)


async def by_async_client(case: dict[str, Any]) -> dict[str, Any]:
    async with AsyncClient(case["url"], case.get("token"), reconnect=0) as client:
        method, *given = case["call"]
        try:
            return outcome(await getattr(client, method)(*map(decoded, given)), client)
        except UiapiError as error:
            return failure(error)


async def by_javascript(case: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        node(), HERE / "keep.mjs", json.dumps(case), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("keep", [by_client, by_async_client, by_javascript])
@pytest.mark.parametrize("case", PROMISES, ids=[case["promise"].replace(" ", "-") for case in PROMISES])
async def test_each_client_keeps_each_promise(
    scripted: Scripted, elsewhere: Scripted, keep: Keep, case: dict[str, Any]
) -> None:
    script(scripted, elsewhere, case)
    found = await keep({"url": scripted.url, **case})
    raised = found.get("raises")
    if "raises" in case:
        assert raised and case["raises"] in (raised["code"], "*"), found
        assert case.get("says", "") in raised["says"]
        assert raised["candidates"] == case.get("candidates", raised["candidates"])
    else:
        assert raised is None, raised
    for key in {"returns", "files", "images", "revision"} & case.keys():
        assert found[key] == case[key]
    assert case.get("contains", {}).items() <= (found["returns"] if "contains" in case else {}).items()
    sent = [
        [request.raw_path.rpartition("/")[2].partition("?")[0], _own(body)]
        for request, body in zip(scripted.seen, scripted.bodies, strict=True)
        if not request.path.endswith(GREETING)
    ]
    if "sends" in case:
        assert sent == case["sends"]
    if "authorization" in case:
        assert set(scripted.authorizations()) == {case["authorization"]}
    assert elsewhere.seen == []


def _own(body: Any) -> Any:
    """Leave out what a client adds by itself."""
    if body is None:
        return None
    return {key: value for key, value in body.items() if key not in ("idempotency_key", "outputs", "timeout")}
