"""Tests of forms: files are sent as they are, with the rest of the request as JSON."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from comfyui_uiapi.bridge.api.multipart import MAX_PARTS, decode_form
from comfyui_uiapi.client.protocol.encoding import png
from comfyui_uiapi.common.errors import UiapiError

WORKFLOW = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}


def picture_of(workflow: dict[str, Any]) -> bytes:
    """A PNG with a workflow in API format, as ComfyUI saves it."""
    import zlib

    whole = png(b"\1\2\3", 1, 1)
    data = b"tEXt" + b"prompt\0" + json.dumps(workflow).encode()
    chunk = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return whole[:33] + chunk + whole[33:]


def form(*parts: tuple[str, Any, str | None]) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value, filename in parts:
        made.add_field(name, value, filename=filename)
    return made


async def post(server: Any, command: str, body: aiohttp.FormData) -> tuple[int, dict[str, Any]]:
    async with server.session.post(server.url(f"/uiapi/{command}"), data=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("content", [picture_of(WORKFLOW), json.dumps(WORKFLOW).encode()], ids=["picture", "json"])
async def test_a_file_is_taken_wherever_a_workflow_is(server: Any, content: bytes) -> None:
    tab = await server.tab()
    tab.on("load_workflow", {"loaded": True, "message": "Loaded."})
    body = form(("data", json.dumps({"name": "from a form"}), None), ("workflow", content, "a.png"))
    status, answer = await post(server, "load_workflow", body)
    assert (status, answer["message"]) == (200, "Loaded.")
    assert tab.requests[0]["data"] == {"workflow": WORKFLOW, "name": "from a form"}


async def test_a_file_without_a_workflow_has_the_same_error_as_in_base64(server: Any) -> None:
    await server.tab()
    status, answer = await post(server, "load_workflow", form(("workflow", png(b"\1\2\3", 1, 1), "a.png")))
    assert (status, answer["code"]) == (422, "no_workflow")
    status, answer = await post(server, "load_workflow", form(("workflow", b"nothing", "a.txt")))
    assert (status, answer["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize(
    ("command", "parts", "code", "words"),
    [
        ("load_workflow", [("workflo", b"{}", "a.json")], "invalid", "workflo"),
        ("load_workflow", [("name", "a", None)], "invalid", "'data'"),
        ("load_workflow", [("data", "[]", None)], "malformed", "JSON object"),
        ("load_workflow", [("data", '{"nmae": 1}', None), ("workflow", b"{}", "a")], "invalid", "nmae"),
        ("load_workflow", [("data", '{"workflow": {}}', None), ("workflow", b"{}", "a")], "invalid", "once"),
        ("load_workflow", [(f"p{at}", "x", None) for at in range(MAX_PARTS + 1)], "too_large", "100 parts"),
        ("get_fields", [("data", '{"fields": []}', None)], "invalid", ""),
        ("query_fields", [("data", "{}", None)], "unsupported_type", "JSON"),
    ],
)
async def test_a_wrong_form_is_refused_in_one_sentence(
    server: Any, command: str, parts: list[tuple[str, Any, str | None]], code: str, words: str
) -> None:
    await server.tab()
    if command == "get_fields":
        # The paths to read are no files.
        parts = [*parts, ("A.image", b"x", "a.png")]
    _, answer = await post(server, command, form(*parts))
    assert (answer["status"], answer["code"]) == ("error", code)
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{}'),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n{}\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"h" * 20_000 + b"\r\n\r\n{}\r\n--x--\r\n"),
    ],
    ids=["no boundary", "empty", "cut off", "no name", "long headers"],
)
def test_a_broken_form_is_malformed(header: str, body: bytes) -> None:
    with pytest.raises(UiapiError) as refused:
        decode_form(header, body, {"workflow"})
    assert refused.value.code == "malformed"


@pytest.mark.parametrize(
    ("written", "path", "filename"),
    [
        ("name=\"Load.image\"; filename*=utf-8''%C3%B6.flac", "Load.image", "ö.flac"),
        ("name*=utf-8''Gr%C3%B6%C3%9Fe.image; filename=\"a.png\"", "Größe.image", "a.png"),
        ('name="%22a.b%22.image"; filename="a.png"', '"a.b".image', "a.png"),
        ('name="\\"a.b\\".image"; filename="a.png"', '"a.b".image', "a.png"),
    ],
)
def test_names_are_read_as_browsers_curl_and_libraries_write_them(written: str, path: str, filename: str) -> None:
    head = f"--x\r\nContent-Disposition: form-data; {written}\r\n\r\n".encode()
    [[found, value]] = decode_form("multipart/form-data; boundary=x", head + b"a\r\n--x--\r\n", {"fields"})["fields"]
    assert (found, value["filename"]) == (path, filename)


def test_bytes_of_a_file_stay_as_they_are() -> None:
    content = bytes(range(256)) + b"\r\n--y\r\n\r\n"
    head = b'--x\r\nContent-Disposition: form-data; name="F\xc3\xb6to.image"; filename="a b.png"\r\n\r\n'
    body = head + content + b"\r\n--x--\r\n"
    request = decode_form('multipart/form-data; boundary="x"', body, {"fields"})
    [[path, value]] = request["fields"]
    assert (path, value["filename"]) == ("Föto.image", "a b.png")
    import base64

    assert base64.b64decode(value["data"]) == content
