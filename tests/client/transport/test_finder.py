"""A client without a URL finds the ComfyUI of this machine in a bounded time, and says which it is."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, Unreachable
from comfyui_uiapi.client.transport import finder
from comfyui_uiapi.tests.client.conftest import Blocking, Ended
from comfyui_uiapi.tests.harness.comfy.process import free_port
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted, silence

Get = Callable[..., Awaitable[tuple[Any, str]]]


def offers(server: Scripted, tabs: int) -> None:
    server.answers |= {"connection_status": {"active_clients": tabs}, "get_fields": {"a": tabs}}


def usual(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Makes these the usual ports, the first of them the default."""
    monkeypatch.setattr(finder, "PORTS", ports)
    # Starting threads may take long under load.
    monkeypatch.setattr(finder, "LISTEN_TIMEOUT", 10.0)
    monkeypatch.setattr(finder, "ANSWER_TIMEOUT", 30.0)


def port(server: Scripted) -> int:
    return int(server.url.rpartition(":")[2])


def says(text: str, request: web.Request) -> web.Response:
    return web.Response(text=text)


@pytest.fixture(params=["sync", "async"])
async def get(request: pytest.FixtureRequest, blocking: Blocking) -> AsyncIterator[Get]:
    """Reads the field `a` without a URL; returns its value and the URL of the ComfyUI."""

    async def call(**settings: Any) -> tuple[Any, str]:
        if request.param == "sync":
            with Client(reconnect=0, **settings) as client:
                return await blocking(client.get, "a"), client.url
        async with AsyncClient(reconnect=0, **settings) as async_client:
            return await async_client.get("a"), async_client.url

    yield call


async def test_the_only_comfyui_is_found_at_any_usual_port(
    scripted: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 0)
    usual(monkeypatch, free_port(), port(scripted))
    assert await get() == (0, scripted.url)


async def test_the_one_with_a_connected_tab_is_used(
    scripted: Scripted, elsewhere: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 0)
    offers(elsewhere, 1)
    usual(monkeypatch, port(scripted), port(elsewhere))
    assert await get() == (1, elsewhere.url)


@pytest.mark.parametrize("tabs", [0, 1])
async def test_a_choice_between_several_is_an_error_that_names_them(
    scripted: Scripted, elsewhere: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch, tabs: int
) -> None:
    offers(scripted, tabs)
    offers(elsewhere, tabs)
    usual(monkeypatch, port(scripted), port(elsewhere))
    with pytest.raises(Unreachable, match="COMFYUI_URL") as failed:
        await get()
    assert failed.value.details["found"] == [scripted.url, elsewhere.url]
    assert scripted.url in str(failed.value) and elsewhere.url in str(failed.value)


async def test_an_error_names_the_ports_that_were_tried(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = free_port(), free_port()
    usual(monkeypatch, *tried)
    with pytest.raises(Unreachable) as failed:
        await get()
    assert failed.value.code == "unreachable" and all(str(one) in str(failed.value) for one in tried)


async def test_another_server_is_not_used_and_gets_no_token(
    scripted: Scripted, elsewhere: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(elsewhere, 1)
    for body in ("<html>", "[]", json.dumps({"status": "ok"}), '{"status": "error"}'):
        scripted.answers["connection_status"] = functools.partial(says, body)
        usual(monkeypatch, port(scripted), port(elsewhere))
        assert await get(token="s3cr3t") == (1, elsewhere.url)  # noqa: S106
        usual(monkeypatch, port(scripted))
        with pytest.raises(Unreachable, match="not a ComfyUI with the uiapi extension") as failed:
            await get(token="s3cr3t")  # noqa: S106
        assert failed.value.code == "no_extension"
    assert {*scripted.authorizations()} == {None}
    assert {request.path for request in scripted.seen} == {"/uiapi/connection_status"}


async def test_a_server_with_a_token_is_recognized_by_its_refusal(
    scripted: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 1)
    refusal = {"status": "error", "code": "token_required", "error": "Set UIAPI_TOKEN."}
    scripted.answers["connection_status"] = lambda _: web.json_response(refusal, status=401)
    usual(monkeypatch, port(scripted))
    assert await get() == (1, scripted.url)


async def test_a_server_whose_answer_never_ends_does_not_hold_up_the_search(
    scripted: Scripted, elsewhere: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(elsewhere, 1)

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    scripted.answers["connection_status"] = drip
    usual(monkeypatch, port(scripted), port(elsewhere))
    # The other server has this long to answer.
    monkeypatch.setattr(finder, "ANSWER_TIMEOUT", 5.0)
    assert await get() == (1, elsewhere.url)


async def test_a_busy_comfyui_at_the_default_port_is_waited_for(
    scripted: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 3)
    scripted.answers["connection_status"] = silence
    usual(monkeypatch, port(scripted), free_port())
    monkeypatch.setattr(finder, "ANSWER_TIMEOUT", 0.1)
    assert await get() == (3, scripted.url)


async def test_a_given_url_is_never_searched_for(scripted: Scripted, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    offers(scripted, 1)
    usual(monkeypatch)
    assert await get(url=scripted.url) == (1, scripted.url)
    monkeypatch.setenv("COMFYUI_URL", scripted.url)
    assert await get() == (1, scripted.url)


async def test_a_comfyui_that_starts_later_is_found_then(
    scripted: Scripted, blocking: Blocking, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 1)
    await scripted.stop()
    usual(monkeypatch, port(scripted))
    with Client() as client:
        with pytest.raises(Unreachable):
            await blocking(client.get, "a")
        await scripted.start()
        assert await blocking(client.get, "a") == 1


async def test_the_command_line_says_which_comfyui_it_found(
    scripted: Scripted, uiapi: Callable[..., Awaitable[Ended]], monkeypatch: pytest.MonkeyPatch
) -> None:
    offers(scripted, 1)
    usual(monkeypatch, free_port(), port(scripted))
    monkeypatch.delenv("COMFYUI_URL")
    ended = await uiapi("get", "a")
    assert (ended.out, ended.err) == ("1\n", f"Using the ComfyUI at {scripted.url}.\n")
    assert (await uiapi("get", "a", "--json")).err == ""
    usual(monkeypatch, free_port())
    assert (await uiapi("get", "a")).code == 3
