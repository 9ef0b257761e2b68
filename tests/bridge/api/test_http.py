"""Tests of HTTP bodies, types, methods and sizes: each error has an envelope, is no 500, and reaches no tab."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from typing import Any

import pytest
from comfyui_uiapi.bridge.api import http
from comfyui_uiapi.bridge.policy import request_limits
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.bridge.protocol.problems import MAX_PROBLEMS
from comfyui_uiapi.common.errors import STATUS
from yarl import URL

NO_OBJECTS = [b"no json", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b'{"a": NaN}', b'{"fields": [']


@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_anything_but_a_json_object_is_malformed(server: Any, body: bytes) -> None:
    tab = await server.tab()
    headers = {"Content-Type": "application/json"}
    async with server.session.post(server.url("/uiapi/get_fields"), data=body, headers=headers) as response:
        envelope = await response.json()
    assert (response.status, envelope["code"]) == (400, "malformed")
    assert tab.requests == []


async def test_deeply_nested_json_is_refused_like_any_other(server: Any) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"fields":' + b"[" * 100_000
    async with server.session.post(server.url("/uiapi/get_fields"), data=body, headers=headers) as response:
        assert response.status == 400


async def test_a_form_is_refused_with_a_hint_to_send_json(server: Any) -> None:
    async with server.session.post(server.url("/uiapi/get_fields"), data={"fields": "a"}) as response:
        envelope = await response.json()
    assert (response.status, envelope["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize("kind", [b"a/\xff", b"\xff", b"application/json; charset=\xff"])
async def test_a_type_that_is_no_text_is_a_refusal_or_ignored_and_never_a_defect(server: Any, kind: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
    head = b"POST /uiapi/get_fields HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n"
    writer.write(head + b"Content-Type: " + kind + b"\r\n\r\n{}")
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert b'"unsupported_type"' in answer or b'"invalid"' in answer


async def test_a_string_posted_by_a_page_is_read_as_json(server: Any) -> None:
    (await server.tab()).on("get_fields", {"a": 1})
    headers = {"Content-Type": "text/plain;charset=UTF-8"}
    async with server.session.post(
        server.url("/uiapi/get_fields"), data=json.dumps({"fields": ["a"]}), headers=headers
    ) as response:
        assert (await response.json())["response"] == {"a": 1}


async def test_a_body_of_100_mb_is_too_large_however_it_comes(server: Any) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b" " * 2**20

    headers = {"Content-Type": "application/json"}
    for data in (io.BytesIO(b" " * (100 * 2**20)), chunks()):
        async with server.session.post(server.url("/uiapi/get_fields"), data=data, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (413, "too_large")


async def test_json_of_nothing_but_values_is_refused_before_it_is_read(server: Any) -> None:
    body = b'{"fields": [' + b"{}," * 1_000_000 + b"{}]}"
    async with server.session.post(server.url("/uiapi/get_fields"), data=io.BytesIO(body)) as response:
        assert (response.status, (await response.json())["code"]) == (413, "too_large")
    program = await server.program()
    await program.send_str(body.decode())
    answer = await program.receive_json(timeout=60)
    assert (answer["type"], answer["code"]) == ("error", "too_large")
    await program.send_json({"type": "request", "id": 1, "command": "webuis"})
    assert (await program.receive_json(timeout=60))["status"] == "ok"


@pytest.mark.parametrize("nested", [False, True])
async def test_a_flood_of_unknown_keys_is_refused_without_reading_or_listing_them(server: Any, nested: bool) -> None:
    flood = {f"key {number}": 1 for number in range(101)}
    command, body = ("batch", {"commands": [flood]}) if nested else ("get_fields", flood)
    status, envelope = await server.post(command, body)
    assert (status, envelope["code"]) == (422, "invalid")
    [problem] = envelope["details"]["problems"]
    assert "100 keys" in problem["message"] and "100 keys" in envelope["error"]


async def test_reported_problems_and_their_field_names_are_limited(server: Any) -> None:
    status, envelope = await server.post("get_fields", {"fields": [1] * 1000})
    details = envelope["details"]
    assert (status, len(details["problems"]), details["problems_total"]) == (422, MAX_PROBLEMS, 1000)
    status, envelope = await server.post("get_fields", {"fields": [], "x" * 100_000: 1})
    assert status == 422 and len(json.dumps(envelope)) < 2000


async def test_an_unknown_command_is_a_404_in_the_envelope(server: Any) -> None:
    for method in ("get", "post", "put", "delete"):
        async with server.session.request(method, server.url("/uiapi/nonsense")) as response:
            assert (response.status, (await response.json())["code"]) == (404, "unknown_command")


@pytest.mark.parametrize("name", ["no%0Acommand", "%0A", "%C2%85%0D%0A/further"])
async def test_a_path_of_several_lines_is_answered_in_the_envelope_too(server: Any, name: str) -> None:
    async with server.session.get(URL(server.url("/uiapi/") + name, encoded=True)) as response:
        assert (response.status, (await response.json())["code"]) == (404, "unknown_command")


async def test_the_wrong_method_is_a_405_that_names_the_right_one(server: Any) -> None:
    status, body = await server.get("get_fields")
    assert (status, body["code"]) == (405, "wrong_method") and "POST /uiapi/get_fields" in body["error"]
    status, body = await server.post("webuis")
    assert (status, body["code"]) == (405, "wrong_method") and "GET /uiapi/webuis" in body["error"]


async def test_keys_that_older_clients_send_are_accepted_and_stay_here(server: Any) -> None:
    tab = await server.tab()
    tab.on("query_fields", {"nodes": []})
    status, body = await server.post("query_fields", {"client_id": "a-uuid", "verbose": False})
    assert (status, body["response"]) == (200, {"nodes": []})
    assert tab.requests[0]["data"] == {}


async def test_a_body_may_be_empty_where_nothing_is_needed(server: Any) -> None:
    (await server.tab()).on("get_workflow_api", {"output": {}})
    async with server.session.post(server.url("/uiapi/get_workflow_api")) as response:
        assert (response.status, (await response.json())["response"]) == (200, {"output": {}})


async def test_an_internal_error_has_an_envelope_with_a_reference_and_no_details_of_it(
    server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("a secret path")

    monkeypatch.setattr(server.bridge.webuis, "connected", broken)
    status, body = await server.get("webuis")
    assert (status, body["code"]) == (500, "internal")
    assert "secret" not in json.dumps(body) and body["details"]["reference"] in caplog.text
    monkeypatch.undo()
    assert (await server.get("webuis"))[0] == 200


async def test_flat_answers_are_on_the_level_of_the_status_and_others_under_response(server: Any) -> None:
    tab = await server.tab()
    tab.on("load_workflow", {"loaded": True, "message": "done"})
    _status, body = await server.post("load_workflow", {"workflow": {"nodes": []}})
    assert body == {"status": "ok", "loaded": True, "message": "done"}
    _status, body = await server.get("connection_status")
    assert body["status"] == "ok" and body["active_clients"] == 1 and body["main_webui_id"] == tab.client_id


def test_no_error_code_has_the_status_that_clients_repeat_by_themselves() -> None:
    assert 408 not in STATUS.values()


def test_every_command_is_described_in_a_sentence() -> None:
    for command in COMMANDS.values():
        assert command.doc.endswith(".") and command.doc[0].isupper(), command.name


# -- callers at the limits, and callers that stall ----------------------------------------------------------------


async def unfinished(server: Any, sent: bytes = b'{"fields"') -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request whose body stalls."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
    head = "POST /uiapi/get_fields HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(sent) + 1000}\r\n\r\n".encode() + sent)
    await writer.drain()
    return reader, writer


async def test_a_body_that_does_not_go_on_is_given_up(
    server: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_PAUSE", 0.05)
    reader, writer = await unfinished(server)
    status = await asyncio.wait_for(reader.readline(), 60)
    assert b" 400 " in status
    await asyncio.wait_for(reader.readuntil(b'"malformed"'), 60)
    writer.close()
    await eventually(lambda: not server.bridge.loads.requests)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
async def test_a_body_that_cannot_be_unpacked_is_malformed(
    server: Any, caplog: pytest.LogCaptureFixture, coding: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
    head = b"POST /uiapi/get_fields HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Encoding: " + coding + b"\r\nContent-Length: 10\r\n\r\n\xff123456789")
    answer = await asyncio.wait_for(reader.readuntil(b'"malformed"'), 60)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not [record for record in caplog.records if record.name == "uiapi"]


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "get_fields", b"413"), ("GET", "webuis", b"200")])
async def test_a_compressed_body_that_was_not_read_to_its_end_is_not_unpacked_either(
    server: Any, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: bytes
) -> None:
    monkeypatch.setattr(http, "MAX_FRAME", 2**20)
    bomb = gzip.compress(bytes(128 * 2**20), 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
    head = f"{method} /uiapi/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb[:10_000])
    assert status in await asyncio.wait_for(reader.readline(), 60)
    [request] = server.comfy.seen_by_middleware
    unpacked = request.content.total_bytes
    writer.write(bomb[10_000:])
    await writer.drain()
    writer.write_eof()
    # Without a reset, which could take the response away before the client has read it.
    assert b'"status"' in await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await writer.wait_closed()
    assert request.content.total_bytes == unpacked < 16 * 2**20
    assert (await server.get("webuis"))[0] == 200


async def test_a_compressed_body_within_the_limit_is_read_and_its_connection_kept(server: Any) -> None:
    (await server.tab()).on("get_fields", {"a": 1})
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for _ in range(2):
        body = gzip.compress(b'{"fields": ["a"]}')
        async with server.session.post(server.url("/uiapi/get_fields"), data=body, headers=headers) as response:
            assert (await response.json())["response"] == {"a": 1}
            assert response.headers.get("Connection") != "close"


async def test_a_caller_that_disconnects_within_a_body_is_no_internal_error(
    server: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await unfinished(server)
    await eventually(lambda: server.bridge.loads.bytes)
    writer.transport.abort()
    await eventually(lambda: not server.bridge.loads.requests)
    assert not caplog.records


async def test_an_address_has_no_more_requests_under_way_than_it_may(
    server: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_REQUESTS", 2)
    waiting = [await unfinished(server) for _ in range(2)]
    await eventually(lambda: sum(server.bridge.loads.requests.values()) == 2)
    status, envelope = await server.get("webuis")
    assert (status, envelope["code"]) == (429, "too_many")
    for _, writer in waiting:
        writer.close()
    await eventually(lambda: not server.bridge.loads.requests)
    assert (await server.get("webuis"))[0] == 200


async def test_the_bodies_of_an_address_take_no_more_memory_than_they_may(
    server: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_BYTES", 1000)
    _, writer = await unfinished(server, b" " * 990)
    await eventually(lambda: sum(server.bridge.loads.bytes.values()) == 990)
    status, envelope = await server.post("get_fields", {"fields": ["a.b"]})
    assert (status, envelope["code"]) == (429, "too_many")
    writer.close()
    await eventually(lambda: not server.bridge.loads.bytes and not server.bridge.loads.requests)
    assert (await server.post("get_fields", {"fields": ["a.b"]}))[0] == 503
