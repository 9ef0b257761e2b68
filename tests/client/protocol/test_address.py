"""The token and requests go only to the configured ComfyUI, and the token appears in no message."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, Unreachable
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.tests.client.conftest import Blocking, Invoke
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

SECRET: dict[str, Any] = {"token": "s3cr3t"}
RUN = {"prompt_id": "p1", "outputs": [{"node_id": "3", "filename": "a.png", "url": "/view?filename=a.png"}]}


async def listen(url: str) -> None:
    async with AsyncClient(url, **SECRET, reconnect=0) as client:
        await client.on("*", lambda event: None)


# -- proxies and .netrc -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
async def test_requests_to_this_machine_use_no_proxy(
    scripted: Scripted, elsewhere: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, elsewhere.url)
    scripted.answers["get_fields"] = {"a": 1}
    assert await invoke("get", "a", of=SECRET) == 1
    await listen(scripted.url)
    assert elsewhere.seen == [] and scripted.authorizations() == ["Bearer s3cr3t"] * 2


async def test_a_proxy_that_does_not_support_http_does_not_affect_this_machine(
    scripted: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    scripted.answers["get_fields"] = {"a": 1}
    assert await invoke("get", "a") == 1


async def test_requests_to_another_machine_use_the_environments_proxy(
    elsewhere: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", elsewhere.url)
    elsewhere.answers["get_fields"] = {"a": 1}
    assert await invoke("get", "a", of={"url": "http://studio.example"}) == 1
    monkeypatch.setenv("no_proxy", "studio.example")
    assert Address.of("http://studio.example", None).proxy is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_requests_to_another_machine_over_tls_use_a_tunnel_through_the_proxy(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    received: list[bytes] = []
    hung_up = asyncio.Event()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        received.append(await reader.read(4096))
        writer.close()
        hung_up.set()

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        with pytest.raises(Unreachable):
            await invoke("set", {"a": 1}, of={"url": "https://studio.example", **SECRET})
        await asyncio.wait_for(hung_up.wait(), 60)
    asked, inside = received[:2]
    assert asked.startswith(b"CONNECT studio.example:443 HTTP/1.")
    # A TLS handshake.
    assert inside[:1] == b"\x16" and b"s3cr3t" not in asked + inside
    monkeypatch.setenv("no_proxy", "studio.example")
    assert Address.of("https://studio.example", None).proxy is None


@pytest.mark.parametrize("host", ["localhost:8188", "127.0.0.2", "[::1]:8188", "a.localhost", "0.0.0.0:8188"])
def test_all_names_of_this_machine_are_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example")
    assert Address.of(host, None).proxy is None


@pytest.mark.parametrize("of", [SECRET, {}])
async def test_a_netrc_file_neither_replaces_nor_adds_a_token(
    scripted: Scripted, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, of: dict[str, str]
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login bob password other\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await invoke("status", of=of)
    assert scripted.authorizations() == ["Bearer s3cr3t" if of else None]


# -- other hosts ------------------------------------------------------------------------------------------------


async def test_no_redirect_is_followed(scripted: Scripted, elsewhere: Scripted, invoke: Invoke) -> None:
    scripted.answers["set_fields"] = web.Response(status=307, headers={"Location": f"{elsewhere.url}/uiapi/set_fields"})
    with pytest.raises(Unreachable, match="307"):
        await invoke("set", {"a": "private"}, of=SECRET)
    assert elsewhere.seen == []


async def test_no_websocket_is_opened_elsewhere(elsewhere: Scripted, blocking: Blocking) -> None:
    async def lead_away(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{elsewhere.url}/uiapi/ws")

    app = web.Application()
    app.router.add_get("/uiapi/ws", lead_away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        with Client(url, **SECRET) as client, pytest.raises(Unreachable, match="302"):
            await blocking(client.run, {"Photo.image": b"private"}, on_event=print)
        with pytest.raises(Unreachable, match="302"):
            await listen(url)
    finally:
        await runner.cleanup()
    assert elsewhere.heads == elsewhere.seen == []


@pytest.mark.parametrize(
    "url", ["{0}/view", "//{1}/view", "@{1}/view", ".{1}/view", "view", "/view x", "/view\r\nA: b"]
)
async def test_a_file_is_fetched_from_comfyui_and_nowhere_else(
    scripted: Scripted, elsewhere: Scripted, invoke: Invoke, url: str
) -> None:
    named = url.format(elsewhere.url, elsewhere.url.removeprefix("http://"))
    scripted.answers["run"] = {"prompt_id": "p1", "outputs": [{"node_id": "3", "filename": "a", "url": named}]}
    with pytest.raises(UiapiError, match="not a URL of its own") as refused:
        await invoke("run", of=SECRET)
    assert refused.value.code == "invalid" and elsewhere.seen == [] and len(scripted.seen) == 1


async def test_a_file_is_fetched_below_the_path_of_comfyuis_url(scripted: Scripted, invoke: Invoke) -> None:
    scripted.answers |= {"run": RUN, "view": web.Response(body=b"PNG")}
    assert bytes((await invoke("run", of={"url": f"{scripted.url}/comfy/"})).files[0]) == b"PNG"
    assert [request.path for request in scripted.seen] == ["/comfy/uiapi/run", "/comfy/view"]


# -- messages ---------------------------------------------------------------------------------------------------


def test_a_token_is_shown_by_no_repr() -> None:
    assert "s3cr3t" not in repr(Address.of("http://h", "s3cr3t"))


def test_spaces_and_newlines_around_a_token_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UIAPI_TOKEN", "s3cr3t\r\n")
    assert (Client().token, Client(token=" mine ").token) == ("s3cr3t", "mine")  # noqa: S106


@pytest.mark.parametrize("token", ["s3cr3t\r\nX: y", "s3cr3t…", "s3cr3t\udcff", "s3cr3t\x00"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(UiapiError, match="UIAPI_TOKEN") as refused:
        Client(token=token)
    assert refused.value.code == "invalid" and "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://me:hunter2@host", "me:hunter2@host", "http://me:hunter2@[::1"])
def test_a_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UiapiError, match="without a user name or password") as refused:
        Client(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://h:99999", "http://h:abc", "::1", "http://h/?a=b", "http://h#x", "http://a b", "a\x00"],
)
def test_an_invalid_url_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UiapiError, match="not a valid URL") as refused:
        Client(url)
    assert refused.value.code == "invalid"


def test_the_case_of_a_scheme_does_not_matter() -> None:
    assert Address.of("HTTP://Studio:1/", None).websocket == "ws://Studio:1/uiapi/ws"


async def test_an_invalid_host_name_is_unreachable(invoke: Invoke) -> None:
    with pytest.raises(Unreachable) as failed:
        await asyncio.wait_for(invoke("status", of={"url": "http://a..b"}), 60)
    assert failed.value.code == "unreachable"
