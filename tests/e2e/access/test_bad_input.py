"""Bad input on the real stack gets a 4xx in the error envelope, never a 500, and reaches no tab."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.common.errors import STATUS
from comfyui_uiapi.tests.harness.browser.person import FrameWatch
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

# The page does not matter where nothing reaches it.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[0]], indirect=True, scope="session")

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LARGE = 100 * 2**20
DEEP = 100_000

# Bodies of POST get_fields and the codes they are refused with.
BODIES: dict[str, tuple[bytes, str]] = {
    "half of an object": (b'{"fields": ["a.b"]', "malformed"),
    "no JSON": (b"fields=a.b", "malformed"),
    "not UTF-8": (b'{"fields": ["\xff"]}', "malformed"),
    "a number that JSON has not": (b'{"fields": [NaN]}', "malformed"),
    "an array": (b'["a.b"]', "malformed"),
    "a string": (b'"a.b"', "malformed"),
    "null": (b"null", "malformed"),
    "deeper than anything": (b'{"fields":' + b"[" * DEEP + b"]" * DEEP + b"}", "malformed"),
    "nothing": (b"", "invalid"),
    "no fields": (b"{}", "invalid"),
    "fields that are no list": (b'{"fields": "a.b"}', "invalid"),
    "fields in an object": (b'{"fields": {"a.b": 1}}', "invalid"),
    "fields that are null": (b'{"fields": null}', "invalid"),
    "paths that are no text": (b'{"fields": [1, null, ["a.b"]]}', "invalid"),
    "an empty path": (b'{"fields": [""]}', "invalid"),
    "an endless path": (json.dumps({"fields": ["a" * 10_000]}).encode(), "invalid"),
    "too many fields": (json.dumps({"fields": ["a.b"] * 20_000}).encode(), "invalid"),
    "a key that nobody knows": (b'{"fields": ["a.b"], "field": "a.b", "fieldz": 1}', "invalid"),
    "a tab that is no number": (b'{"fields": ["a.b"], "webui": "first"}', "invalid"),
    "an unknown tab": (b'{"fields": ["a.b"], "webui": 4711}', "unknown_webui"),
    "a timeout that is none": (b'{"fields": ["a.b"], "timeout": -1}', "invalid"),
    "a timeout without an end": (b'{"fields": ["a.b"], "timeout": 1e300}', "invalid"),
}

NO_PICTURE = b'{"fields": [["a.image", {"type": "image_base64", "data": "????"}]]}'
UP_THE_TREE = (
    b'{"model_name": "../../x.safetensors", "model_def": "https://huggingface.co/a/b/resolve/main/x.safetensors"}'
)

# Requests of another form: method, path, headers, body, and what they are answered.
REQUESTS: dict[str, tuple[str, str, dict[str, str], bytes, str]] = {
    "an unknown command": ("POST", "get_feilds", JSON, b"{}", "unknown_command"),
    "a command of the tab's own": ("POST", "page_types", JSON, b"{}", "unknown_command"),
    "a strange name": ("POST", "..%2f..%2fprompt", JSON, b"{}", "unknown_command"),
    "the wrong method": ("GET", "get_fields", {}, b"", "wrong_method"),
    "another wrong method": ("DELETE", "get_fields", JSON, b"{}", "wrong_method"),
    "a form": ("POST", "get_fields", FORM, b"fields=a", "unsupported_type"),
    "a picture": ("POST", "set_fields", {"Content-Type": "image/png"}, b"\x89PNG", "unsupported_type"),
    "a fetch from elsewhere": ("POST", "get_workflow", {**JSON, "Sec-Fetch-Site": "cross-site"}, b"{}", "cross_origin"),
    "a fetch from another port": (
        "POST",
        "get_workflow",
        {**JSON, "Sec-Fetch-Site": "same-site"},
        b"{}",
        "cross_origin",
    ),
    "a rebound name": ("POST", "get_workflow", {**JSON, "Host": "rebound.example"}, b"{}", "foreign_host"),
    "an unknown query": ("GET", "connection_status?webui=first", {}, b"", "invalid"),
    "a picture that is none": ("POST", "set_fields", JSON, NO_PICTURE, "invalid"),
    "a workflow that is a list": ("POST", "load_workflow", JSON, b'{"workflow": []}', "invalid"),
    "runs beyond number": ("POST", "execute", JSON, b'{"batch_count": 1000000}', "invalid"),
    "no run at all": ("POST", "run", JSON, b'{"batch_count": 0}', "invalid"),
    "an unknown download": ("GET", "download_status/none", {}, b"", "unknown_download"),
    "a model up the tree": ("POST", "download_model", JSON, UP_THE_TREE, "bad_path"),
}

# Frames of a program's websocket and what they are answered; the socket goes on.
FRAMES: dict[str, tuple[str, str]] = {
    "no JSON": ("hello?", "malformed"),
    "no object": ("[1]", "malformed"),
    "no type": ("{}", "malformed"),
    "an unknown type": ('{"type": "question", "id": 1}', "malformed"),
    "no id": ('{"type": "request", "command": "webuis"}', "malformed"),
    "an id that is a list": ('{"type": "request", "id": [], "command": "webuis"}', "malformed"),
    "an answer to nothing": ('{"type": "response", "id": "none", "status": "ok", "response": {}}', "malformed"),
    "an unknown command": ('{"type": "request", "id": 1, "command": "webuiz"}', "unknown_command"),
    "no command": ('{"type": "request", "id": 2}', "unknown_command"),
    "data that is no object": ('{"type": "request", "id": 3, "command": "get_fields", "data": [1]}', "invalid"),
    "a second hello": ('{"type": "hello", "role": "client", "protocol": 1}', "malformed"),
}


@pytest_asyncio.fixture(loop_scope="session")
async def program(tab: Tab) -> AsyncIterator[Program]:
    """A program that finds `tab` open; what it asks of the tab is only the request at the end."""
    watch = await FrameWatch().on(tab.page)
    async with Program(tab.comfy) as asking:
        yield asking
        await asking.ok("query_fields")

        async def seen() -> list[str]:
            return watch.requests

        assert await until(seen, "the valid request", PATIENCE) == ["query_fields"]


async def refused(program: Program, method: str, path: str, **request: Any) -> str:
    """Send a request that must be refused with the matching status, and return the code."""
    async with program.http.request(method, program.url(f"/uiapi/{path}"), **request) as response:
        envelope = await response.json()
    assert 400 <= response.status < 500, envelope
    assert envelope["status"] == "error" and envelope["error"], envelope
    assert response.status == STATUS[envelope["code"]]
    return str(envelope["code"])


async def test_bad_bodies_are_refused_and_reach_no_tab(program: Program) -> None:
    answered = {
        what: await refused(program, "POST", "get_fields", data=body, headers=JSON)
        for what, (body, _) in BODIES.items()
    }
    assert answered == {what: code for what, (_, code) in BODIES.items()}


async def test_bad_requests_are_refused_and_reach_no_tab(program: Program) -> None:
    answered = {
        what: await refused(program, method, path, data=body, headers=headers)
        for what, (method, path, headers, body, _) in REQUESTS.items()
    }
    assert answered == {what: code for what, (*_, code) in REQUESTS.items()}


async def test_a_page_that_nobody_can_allow_is_refused_and_reaches_no_tab(program: Program) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    for headers in (
        {**JSON, "Origin": "null"},
        {**elsewhere, "Content-Type": "text/plain"},
        {**JSON, **elsewhere, "Sec-Fetch-Mode": "no-cors"},
        {**JSON, **elsewhere, "Sec-Fetch-Mode": "navigate"},
    ):
        assert await refused(program, "POST", "get_workflow", data=b"{}", headers=headers) == "cross_origin"


@pytest.mark.parametrize("sized", [True, False], ids=["with Content-Length", "in chunks"])
async def test_a_body_of_100_megabytes_is_refused_and_reaches_no_tab(program: Program, sized: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LARGE // 2**20):
            yield b" " * 2**20

    body = io.BytesIO(b" " * LARGE) if sized else chunks()
    assert await refused(program, "POST", "set_fields", data=body, headers=JSON) == "too_large"


async def test_bad_frames_are_refused_and_the_socket_goes_on(program: Program) -> None:
    socket, _ = await program.raw_socket()
    answered = {}
    for what, (frame, _) in FRAMES.items():
        await socket.send_str(frame)
        answer = await socket.receive_json(timeout=PATIENCE)
        assert answer["status"] == "error" and answer["error"], answer
        answered[what] = answer["code"]
    assert answered == {what: code for what, (_, code) in FRAMES.items()}
