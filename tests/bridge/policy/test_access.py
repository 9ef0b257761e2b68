"""Tests of access by listen address, token, Origin, Sec-Fetch-Site and Host."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.common.errors import UiapiError

LOOPBACK = Guard(beyond_loopback=False)
TOKEN = "secret"  # noqa: S105 - a test's own
NETWORK = Guard(beyond_loopback=True, server_names=frozenset({"comfy.example.org"}))


def verdict(guard: Guard, **headers: str) -> str:
    try:
        guard.check_origin({name.replace("_", "-"): value for name, value in headers.items()})
    except UiapiError as error:
        return error.code
    return "passes"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "passes"),
        ({"Host": "127.0.0.1:8188"}, "passes"),
        ({"Host": "localhost:8188"}, "passes"),
        ({"Host": "LOCALHOST"}, "passes"),
        ({"Host": "[::1]:8188"}, "passes"),
        ({"Host": "127.8.8.8"}, "passes"),
        ({"Host": "comfy.localhost:8188"}, "passes"),
        ({"Host": "evil.example"}, "foreign_host"),
        ({"Host": "localhost.evil.example"}, "foreign_host"),
        ({"Host": "192.168.1.5:8188"}, "foreign_host"),
        ({"Host": "["}, "foreign_host"),
        ({"Host": "evil.example@127.0.0.1"}, "passes"),
        ({"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188"}, "passes"),
        ({"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:9999"}, "cross_origin"),
        ({"Host": "127.0.0.1:8188", "Origin": "http://localhost:8188"}, "cross_origin"),
        ({"Host": "127.0.0.1:8188", "Origin": "http://evil.example"}, "cross_origin"),
        ({"Host": "127.0.0.1:8188", "Origin": "null"}, "cross_origin"),
        ({"Host": "127.0.0.1:8188", "Origin": "file://"}, "cross_origin"),
        ({"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:x"}, "cross_origin"),
        ({"Host": "localhost", "Origin": "http://localhost"}, "passes"),
        ({"Host": "localhost", "Origin": "http://localhost:80"}, "passes"),
        ({"Host": "localhost", "Origin": "https://localhost:443"}, "passes"),
        ({"Host": "127.0.0.1", "Sec_Fetch_Site": "cross-site"}, "cross_origin"),
        ({"Host": "127.0.0.1", "Sec_Fetch_Site": "same-site"}, "cross_origin"),
        ({"Host": "127.0.0.1", "Sec_Fetch_Site": "same-origin"}, "passes"),
        ({"Host": "127.0.0.1", "Sec_Fetch_Site": "none"}, "passes"),
    ],
)
def test_on_loopback_pages_from_elsewhere_and_foreign_hosts_are_refused(headers: dict[str, str], expected: str) -> None:
    assert verdict(LOOPBACK, **headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "192.168.1.5:8188"}, "passes"),
        ({"Host": "[fe80::1]:8188"}, "passes"),
        ({"Host": "workstation:8188"}, "passes"),
        ({"Host": "workstation.local"}, "passes"),
        ({"Host": "comfy.example.org"}, "passes"),
        ({"Host": "evil.example"}, "foreign_host"),
        ({"Host": "192.168.1.5.evil.example"}, "foreign_host"),
        ({"Host": "192.168.1.5:8188", "Origin": "http://192.168.1.5:8188"}, "passes"),
        ({"Host": "192.168.1.5:8188", "Origin": "http://192.168.1.6:8188"}, "cross_origin"),
    ],
)
def test_beyond_loopback_addresses_and_local_names_pass_and_public_names_must_be_named(
    headers: dict[str, str], expected: str
) -> None:
    assert verdict(NETWORK, **headers) == expected


def test_the_operator_names_the_server_in_the_environment() -> None:
    guard = Guard.from_environment(True, {"UIAPI_SERVER_NAMES": "Comfy.Example.org, other.example"})
    assert verdict(guard, Host="comfy.example.org") == "passes"
    assert verdict(guard, Host="third.example") == "foreign_host"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [(None, False), ("127.0.0.1", False), ("::1,localhost", False), ("192.168.1.5", True), ("", True), ("::1,", True)],
)
def test_comfyui_is_beyond_loopback_wherever_it_does_not_listen_on_loopback_alone(
    monkeypatch: pytest.MonkeyPatch, listen: str | None, expected: bool
) -> None:
    monkeypatch.setitem(sys.modules, "comfy.cli_args", SimpleNamespace(args=SimpleNamespace(listen=listen)))
    assert Comfy(None, SimpleNamespace()).beyond_loopback is expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, "token_required"),
        ("", "token_required"),
        ("Basic c2VjcmV0", "token_required"),
        ("Bearer", "token_required"),
        ("Bearer wrong", "wrong_token"),
        ("Bearer sécret", "wrong_token"),
        ("Bearer \udcff", "wrong_token"),
        ("Bearer secret", "passes"),
        ("bearer secret", "passes"),
    ],
)
def test_a_token_is_demanded_of_every_program(authorization: str | None, expected: str) -> None:
    guard = Guard(beyond_loopback=True, token=TOKEN)
    try:
        guard.check_token(authorization)
        code = "passes"
    except UiapiError as error:
        code = error.code
    assert code == expected


async def raw_get(server: Any, header: bytes, path: bytes = b"/uiapi/webuis") -> tuple[int, dict[str, Any]]:
    """Send a header as raw bytes, which aiohttp's client would refuse."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port)
    writer.write(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n\r\n" % (path, header))
    head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


class TestServed:
    """The same checks on the served bridge."""

    @pytest.mark.parametrize("path", [b"/uiapi/webuis", b"/uiapi/nonsense", b"/uiapi/openapi.json", b"/uiapi/ws"])
    @pytest.mark.parametrize("header", [b"Origin: http://\xff", b"Sec-Fetch-Site: \xff"])
    async def test_bytes_that_are_no_text_are_a_page_from_elsewhere_too(
        self, server: Any, path: bytes, header: bytes
    ) -> None:
        status, body = await raw_get(server, header, path)
        assert (status, body["code"]) == (403, "cross_origin")

    async def test_a_program_may_name_itself_in_bytes_that_are_no_text(self, server: Any) -> None:
        assert (await raw_get(server, b"User-Agent: \xff\xfe", b"/uiapi/queue"))[0] == 200
        [program] = server.bridge.activity.programs
        assert program == "unnamed program"

    @pytest.mark.parametrize("path", ["/uiapi/webuis", "/uiapi/connection_status", "/uiapi/nonsense", "/uiapi/ws"])
    async def test_a_page_from_elsewhere_gets_403_on_every_path(self, server: Any, path: str) -> None:
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            async with server.session.get(server.url(path), headers=headers) as response:
                assert response.status == 403
                assert (await response.json())["code"] in ("cross_origin", "foreign_host", "waiting_for_person")

    async def test_a_websocket_from_a_foreign_origin_is_refused_before_the_upgrade(self, server: Any) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await server.socket(headers={"Origin": "http://evil.example"})
        assert caught.value.status == 403


class TestServedWithAToken:
    """Listening beyond loopback, with UIAPI_TOKEN set."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, token=TOKEN)

    async def test_programs_need_the_token(self, server: Any) -> None:
        status, body = await server.get("webuis")
        assert (status, body["code"]) == (403, "token_required") and "Authorization: Bearer" in body["error"]
        assert (await server.get("webuis", headers={"Authorization": "Bearer wrong"}))[1]["code"] == "wrong_token"
        assert (await server.get("webuis", headers={"Authorization": "Bearer secret"}))[0] == 200

    async def test_a_tab_gives_the_token_in_its_hello(self, server: Any) -> None:
        ws = await server.socket({"role": "webui"})
        answer = await ws.receive_json(timeout=60)
        assert (answer["type"], answer["code"]) == ("error", "token_required")
        await ws.receive(timeout=60)
        assert ws.close_code == 4403
        assert server.bridge.webuis.managers == {}
        assert (await server.tab(token=TOKEN)).client_id == 1

    async def test_a_program_may_give_it_in_the_upgrade_or_the_hello(self, server: Any) -> None:
        ws = await server.socket({"role": "client"}, headers={"Authorization": "Bearer secret"})
        assert (await ws.receive_json(timeout=60))["type"] == "welcome"
        ws = await server.socket({"role": "client", "token": "wrong"}, headers={"Authorization": "Bearer secret"})
        assert (await ws.receive_json(timeout=60))["code"] == "wrong_token"


class TestServedWithATokenBeyondAscii:
    """The operator's token may be any text, sent in any form."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, token="sécret")  # noqa: S106

    async def test_only_the_token_passes_and_nothing_else_is_a_defect(self, server: Any) -> None:
        assert (await raw_get(server, "Authorization: Bearer sécret".encode()))[0] == 200
        for wrong in (b"\xff", "sécret".encode("latin-1")):
            status, body = await raw_get(server, b"Authorization: Bearer " + wrong)
            assert (status, body["code"]) == (403, "wrong_token")


class TestServedWithoutAToken:
    """Listening beyond loopback, without a token."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True)

    async def test_graph_commands_are_as_open_as_comfyui_itself(self, server: Any) -> None:
        (await server.tab()).on("get_fields", {"a": 1})
        assert (await server.post("get_fields", {"fields": ["a"]}))[0] == 200


@pytest.mark.parametrize("hello", [{"role": "nobody"}, {"role": "webui", "protocol": 2}, {"role": "webui", "info": 3}])
async def test_a_hello_that_does_not_fit_is_answered_and_closed(server: Any, hello: dict[str, Any]) -> None:
    ws = await server.socket(hello)
    assert (await ws.receive_json(timeout=60))["code"] == "malformed"
    await ws.receive(timeout=60)
    assert ws.close_code == 4000
    assert server.bridge.webuis.managers == {}


async def test_a_websocket_without_a_hello_is_closed(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfyui_uiapi.bridge.api.websocket.HELLO_TIMEOUT", 0.05)
    ws = await server.socket()
    assert (await ws.receive_json(timeout=60))["code"] == "malformed"
    await ws.receive(timeout=60)
    assert ws.close_code == 4000


async def test_the_name_a_program_gives_itself_cannot_begin_a_line_of_the_log(server: Any) -> None:
    await server.program(name="x\r\n[forged] line\x85\u2028\x1b[31m")
    [connection] = server.bridge.connections
    assert connection.name.startswith("program x") and connection.name.isprintable()
