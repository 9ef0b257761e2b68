"""Tests of the page key: only pages of this server can join as a tab that decides for the person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.bridge.policy.access import FORWARDED, Guard, is_local
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.bridge.tabs import comfyui_transport
from comfyui_uiapi.bridge.tabs import tab as tab_module
from comfyui_uiapi.common.errors import UiapiError

from ..conftest import Person, Server

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
LAN = {"Host": "192.168.1.5:8188"}
# The public name of a TLS proxy that forwards the Host header unchanged.
PROXY = {"Host": "comfy.example.org", "Origin": "https://comfy.example.org"}


async def ask_for_key(server: Server, **headers: str) -> tuple[int, dict[str, Any]]:
    return await server.post("page_key", headers=headers)


def own(server: Server) -> str:
    """The Origin of a page of this server."""
    return str(server.http.make_url("/").origin())


@pytest.mark.parametrize("given", [{"page_key": None}, {"page_key": ""}, {"page_key": "guessed"}, {"page_key": "clé"}])
@pytest.mark.parametrize("hello", [{}, {"unserved": "no graph"}, {"client_id": 7, "session": "s"}])
async def test_a_program_that_calls_itself_a_tab_is_refused_and_is_none(
    server: Server, given: dict[str, Any], hello: dict[str, Any]
) -> None:
    ws = await server.socket({"role": "webui", **hello, **given})
    answer = await ws.receive_json(timeout=60)
    assert (answer["type"], answer["code"]) == ("error", "wrong_page") and answer["error"].count(".") == 1
    await ws.receive(timeout=60)
    assert ws.close_code == 4403
    assert server.bridge.webuis.managers == {}
    assert "details" not in (await server.post("get_fields", {"fields": ["a"]}))[1]


async def test_a_script_of_the_servers_own_page_gets_the_key_and_joins_with_it(server: Server) -> None:
    status, body = await ask_for_key(server, Origin=own(server))
    assert (status, body["status"]) == (200, "ok")
    assert (await server.tab(page_key=body["response"]["page_key"])).client_id == 1


async def test_the_key_is_kept_in_no_cache(server: Server) -> None:
    async with server.session.post(server.url("/uiapi/page_key"), headers={"Origin": own(server)}) as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")


async def test_no_other_page_or_program_gets_the_key(server: Server) -> None:
    refused = {
        "a program": ({}, "wrong_page"),
        "a page from elsewhere": ({"Origin": "https://elsewhere.example"}, "cross_origin"),
        "a page from another port": ({"Origin": "http://127.0.0.1:1"}, "cross_origin"),
        "a sandboxed frame": ({"Origin": "null"}, "cross_origin"),
        "a page under a rebound name": ({"Host": "evil.example", "Origin": "http://evil.example"}, "foreign_host"),
    }
    for what, (headers, code) in refused.items():
        status, body = await ask_for_key(server, **headers)
        assert (status, body["code"]) == (403, code), what
    # Requests that a page can make without an Origin.
    status, body = await server.get("page_key", headers={"Origin": own(server)})
    assert (status, server.bridge.guard.page_key in str(body)) == (404, False)


def test_a_key_that_is_no_text_is_a_wrong_one() -> None:
    with pytest.raises(UiapiError, match="own page"):
        Guard(beyond_loopback=False).check_page_key("\udcff")


def test_every_start_has_a_key_of_its_own() -> None:
    keys = {Guard(beyond_loopback=False).page_key for _ in range(3)}
    assert len(keys) == 3 and min(map(len, keys)) >= 32
    assert not any(key in repr(Guard(beyond_loopback=False, page_key=key)) for key in keys)


class TestBeyondLoopback:
    """A guard of a ComfyUI that other machines can reach."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, server_names=frozenset({"comfy.example.org"}))

    @pytest.mark.parametrize("headers", [{**LAN, "Origin": "http://192.168.1.5:8188"}, PROXY])
    async def test_pages_opened_over_the_network_or_a_proxy_get_the_key(
        self, server: Server, headers: dict[str, str]
    ) -> None:
        assert await ask_for_key(server, **headers) == (
            200,
            {"status": "ok", "response": {"page_key": server.bridge.guard.page_key}},
        )

    @pytest.mark.parametrize(
        "headers",
        [LAN, {"Host": PROXY["Host"]}, *({header: "198.51.100.7"} for header in FORWARDED)],
    )
    async def test_a_page_on_the_second_transport_needs_the_key_unless_it_is_on_this_machine(
        self, server: Server, headers: dict[str, str]
    ) -> None:
        for given in ({}, {"page_key": "guessed"}):
            status, body = await server.post("webui_ready", given, headers=headers)
            assert (status, body["code"]) == (403, "wrong_page")
        assert server.bridge.webuis.managers == {}
        key = server.bridge.guard.page_key
        assert (await server.post("webui_ready", {"page_key": key}, headers=headers))[0] == 200
        assert server.bridge.webuis.find().has_key


class TestWithAToken:
    """A guard with the operator's token."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, token="secret")  # noqa: S106

    async def test_the_key_requires_the_token_if_one_is_set(self, server: Server) -> None:
        origin = own(server)
        assert (await ask_for_key(server, Origin=origin))[1]["code"] == "token_required"
        assert (await ask_for_key(server, Origin=origin, Authorization="Bearer wrong"))[1]["code"] == "wrong_token"
        assert (await ask_for_key(server, Origin=origin, Authorization="Bearer secret"))[0] == 200

    async def test_the_key_does_not_stand_in_for_the_token_nor_the_token_for_the_key(self, server: Server) -> None:
        ws = await server.socket({"role": "webui"})
        assert (await ws.receive_json(timeout=60))["code"] == "token_required"
        ws = await server.socket({"role": "webui", "token": "secret", "page_key": None})
        assert (await ws.receive_json(timeout=60))["code"] == "wrong_page"


@pytest.mark.parametrize(
    ("remote", "headers", "expected"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:8188"}, True),
        ("127.0.0.1", {"Host": "localhost:8188"}, True),
        ("127.0.0.1", {"Host": "comfy.localhost"}, True),
        ("::1", {"Host": "[::1]:8188"}, True),
        ("127.0.0.1", {}, True),
        ("192.168.1.9", {"Host": "127.0.0.1:8188"}, False),
        (None, {"Host": "127.0.0.1:8188"}, False),
        ("127.0.0.1", {"Host": "192.168.1.5:8188"}, False),
        ("127.0.0.1", {"Host": "127.0.0.1:8188", "X-Forwarded-For": "192.168.1.9"}, False),
    ],
)
def test_a_caller_counts_as_local_only_if_all_signs_agree(
    remote: str | None, headers: dict[str, str], expected: bool
) -> None:
    assert is_local(remote, headers) is expected


# -- a page of another package on this machine: it is served, but does not decide -----------------------------------


@pytest.fixture(autouse=True)
def slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may open its socket, and come back, at any time."""
    monkeypatch.setattr(comfyui_transport, "ARRIVAL", 3600.0)
    monkeypatch.setattr(tab_module, "CLEANUP_DELAY", 3600.0)


async def ready(server: Server, **info: Any) -> int:
    """Connect a page that has no key."""
    status, body = await server.post("webui_ready", info)
    assert status == 200
    return int(body["client_id"])


async def test_a_tab_without_the_key_decides_nothing(server: Server, person: Person) -> None:
    await person.send("panel_decide", paused=True, rules={"change": "refuse"})
    tab = await ready(server)
    for command in (name for name, command in COMMANDS.items() if command.panel):
        body = {"paused": False, "rules": {"change": "allow"}, "main": tab, "client_id": tab, "webui": tab}
        assert (await server.post(command, body))[0] == 404, command
    assert server.bridge.approvals.paused and server.bridge.approvals.state()["rules"]["change"] == "refuse"
    assert server.bridge.webuis.main_id == person.client_id


async def test_a_tab_without_the_key_is_never_the_main_one_while_another_has_it(
    server: Server, eventually: Eventually
) -> None:
    before = await ready(server)
    assert server.bridge.webuis.main_id == before
    first = await server.tab()
    assert (server.bridge.webuis.main_id, first.welcome["is_main"]) == (first.client_id, True)
    between = await ready(server)
    second = await server.tab()
    assert not second.welcome["is_main"]
    await first.close()
    await eventually(lambda: server.bridge.webuis.main_id == second.client_id)
    await second.close()
    await eventually(lambda: server.bridge.webuis.main_id in (before, between))


async def test_a_question_to_the_person_goes_to_no_tab_without_the_key(server: Server, person: Person) -> None:
    await person.send("panel_decide", rules={"change": "always"})
    await ready(server)
    await person.close()
    status, body = await server.post("set_fields", {"fields": [["Canvas.width", 640]]})
    assert (status, body["code"]) == (503, "no_webui")


async def test_a_tab_without_the_key_does_not_come_back_as_one_that_had_it(
    server: Server, person: Person, eventually: Eventually
) -> None:
    lost = server.bridge.webuis.find()
    await person.close()
    await eventually(lambda: not lost.connected)
    # Kept for a moment, in case its page reconnects.
    assert lost.client_id in server.bridge.webuis.managers
    posing = await ready(server, client_id=person.client_id)
    assert posing != person.client_id
    other = server.bridge.webuis.managers[posing]
    assert (other.has_key, other.capabilities) == (False, frozenset())
