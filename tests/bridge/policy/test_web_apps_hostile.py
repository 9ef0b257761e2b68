"""Tests of ways round the question about a web app: origins, headers, forms, websockets, preflights and tokens."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext, suppress

import aiohttp
import pytest
from aiohttp import web
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.bridge.policy.origins import canonical_origin, named_origins

from ...harness.programs.web_app import APP, READ, SCRIPT, allow, asked, code, decides, read
from ..conftest import Person, Server

TOKEN = {"Authorization": "Bearer secret"}
OLDEST = aiohttp.__version__.startswith("3.11.")


@pytest.fixture(autouse=True)
def own_check(request: pytest.FixtureRequest) -> None:
    """ComfyUI refuses every foreign Origin by itself, without a word."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server").comfy.refuses_origins = True


# -- what a browser calls an origin -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "http://127.0.0.1:8000",
        "http://localhost",
        "http://[::1]:8000",
        "https://xn--pple-43d.com",
    ],
)
def test_an_origin_is_what_browsers_send(origin: str) -> None:
    assert canonical_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "", "null", "*", "file://", "https://", "app.example", "https://app.example/", "https://app.example/path",
        "HTTPS://app.example", "https://APP.example", "https://app.example:443", "http://app.example:80",
        "https://app.example:", "https://app.example:0", "https://app.example:0443", "https://app.example:65536",
        "https://app.example.", "https://.example", "https://a..example", "https://me@app.example",
        "https://app.example https://other.example", "https://app.example\n", "https://\u0430pp.example",
        "https://%61pp.example", "https://app.example#", "https://app.example\\", "chrome-extension://abc",
        "tauri://localhost", "blob:https://app.example", "https://[::1", "https://" + "a" * 300,
    ],
)  # fmt: skip
def test_any_other_text_is_no_origin_and_is_not_corrected(origin: str) -> None:
    assert not canonical_origin(origin)


def test_the_operator_names_origins_and_neither_star_nor_null(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "uiapi"):
        named = named_origins(
            " https://App.example:443/, http://localhost:8000,*, null,, app.example, https://ä.example"
        )
    assert named == {"https://app.example", "http://localhost:8000"}
    ignored = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert ignored == ["*", "null", "app.example", "https://ä.example"]


# -- ways round -----------------------------------------------------------------------------------------------------


NEIGHBOURS = [
    "http://app.example", "https://app.example:8443", "https://www.app.example", "https://app.example.evil.example",
    "https://evil-app.example", "https://xn--pp-7ia.example",
]  # fmt: skip
NEVER = {
    "a sandboxed frame or a redirect": {"Origin": "null"},
    "upper case": {"Origin": "https://APP.example"},
    "the usual port": {"Origin": "https://app.example:443"},
    "another script": {"Origin": "https://\u0430pp.example".encode().decode("latin-1")},
    "a file": {"Origin": "file://"},
    "an extension": {"Origin": "chrome-extension://app.example"},
    "two origins": {"Origin": f"{APP} {APP}"},
    "no origin, from another site": {"Origin": "", "Sec-Fetch-Site": "cross-site"},
    "a form": {"Origin": APP, "Sec-Fetch-Mode": "navigate"},
    "a blind request": {"Origin": APP, "Sec-Fetch-Mode": "no-cors"},
    "its own page, by its word": {"Origin": APP, "Sec-Fetch-Site": "same-origin"},
    "a person's click": {"Origin": APP, "Sec-Fetch-Site": "none"},
}


async def test_permission_for_one_origin_does_not_cover_its_neighbours(server: Server, person: Person) -> None:
    await allow(server, person)
    decides(person, "refuse")
    for origin in NEIGHBOURS:
        assert await code(read(server, origin)) == "web_app_refused", origin
    assert asked(person) == [APP, *NEIGHBOURS]


@pytest.mark.parametrize("what", NEVER)
async def test_an_origin_that_names_no_page_raises_no_question(server: Server, person: Person, what: str) -> None:
    await allow(server, person)
    headers = {**SCRIPT, **NEVER[what]}
    for path in ("get_fields", "nonsense"):
        async with server.session.post(server.url(f"/uiapi/{path}"), json=READ, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (403, "cross_origin")
            assert "Access-Control-Allow-Origin" not in response.headers
    async with server.session.options(server.url("/uiapi/get_fields"), headers=headers) as response:
        assert response.status == 403 and "Access-Control-Allow-Origin" not in response.headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.socket(headers=headers)
    assert refused.value.status == 403
    assert asked(person) == [APP]


async def test_a_second_origin_header_is_not_overlooked(server: Server, person: Person) -> None:
    await allow(server, person)
    own = str(server.http.make_url("/").origin())
    for first, second in ((own, APP), (APP, own), (APP, "https://evil.example")):
        headers = [("Origin", first), ("Origin", second)]
        assert await code(server.post("get_fields", READ, headers=headers)) == "cross_origin"


async def test_a_rebound_name_stays_refused_even_for_a_page_that_is_allowed(server: Server, person: Person) -> None:
    await allow(server, person)
    assert await code(read(server, Host="app.example")) == "foreign_host"
    assert await code(read(server, "http://evil.example", Host="evil.example")) == "foreign_host"


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream", None])
async def test_what_a_form_can_send_raises_no_question_and_does_nothing(
    server: Server, person: Person, sent: str | None
) -> None:
    # As over plain HTTP on a network, where browsers do not say how a request was made.
    headers = {"Origin": APP} if sent is None else {"Origin": APP, "Content-Type": sent}
    for expected in ("cross_origin", "unsupported_type"):
        async with server.session.post(
            server.url("/uiapi/get_fields"), data=json.dumps(READ).encode(), headers=headers
        ) as response:
            assert (await response.json())["code"] == expected
        assert person.requests == []
        await allow(server, person)
        person.requests.clear()


async def test_a_websocket_waits_for_the_person_as_well(server: Server, person: Person) -> None:
    decides(person, "refuse")
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await server.socket({"role": "client"}, headers={"Origin": "https://other.example"})
    decides(person, "allow")
    ws = await server.program_of(APP)
    await ws.send_json({"type": "request", "id": 1, "command": "get_fields", "data": READ})
    assert (await ws.receive_json(timeout=60))["response"] == {"Canvas.width": 64}
    await ws.close()
    assert asked(person) == ["https://other.example", APP]


async def test_a_post_that_calls_itself_a_websocket_needs_json_like_any_other(server: Server, person: Person) -> None:
    headers = {"Origin": APP, "Upgrade": "websocket", "Connection": "Upgrade", "Content-Type": "text/plain"}
    # The oldest aiohttp takes the body for another request, and ends the connection without an answer.
    with suppress(aiohttp.ServerDisconnectedError) if OLDEST else nullcontext():
        assert await code(server.post("get_fields", READ, headers=headers)) == "cross_origin"
    assert asked(person) == []


async def test_a_request_without_an_origin_is_checked_as_before(server: Server, person: Person) -> None:
    # A program, with or without a cookie that some page has set for this host.
    assert await code(server.post("get_fields", READ, headers={"Cookie": "comfy=1"})) == "let in"
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Cookie": "comfy=1"}
        assert await code(server.post("get_fields", READ, headers=headers)) == "cross_origin"
    assert asked(person) == []


async def test_a_refused_page_gets_the_same_answer_to_every_request(server: Server, person: Person) -> None:
    decides(person, "refuse")
    await read(server)
    answers = set()
    for method, path in (("POST", "get_fields"), ("POST", "nonsense"), ("GET", "webuis"), ("GET", "openapi.json")):
        body = {"nonsense": 1} if method == "POST" else None
        async with server.session.request(
            method, server.url(f"/uiapi/{path}"), headers={"Origin": APP, **SCRIPT}, json=body
        ) as response:
            answers.add((response.status, await response.text()))
    assert len(answers) == 1


# -- preflights -----------------------------------------------------------------------------------------------------


async def test_a_preflight_is_answered_without_asking_anybody(server: Server, person: Person) -> None:
    asks = {"Origin": APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for private in (False, True):
        headers = {**asks, **({"Access-Control-Request-Private-Network": "true"} if private else {})}
        async with server.session.options(server.url("/uiapi/get_fields"), headers=headers) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == APP
            assert response.headers["Access-Control-Allow-Methods"] == "GET, POST"
            assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
            assert response.headers.get("Access-Control-Allow-Private-Network") == ("true" if private else None)
            assert response.headers["Vary"].startswith("Origin")
    assert asked(person) == []


async def test_answers_to_others_vary_by_origin_too(server: Server, person: Person) -> None:
    async with server.session.get(server.url("/uiapi/webuis")) as response:
        assert response.headers["Vary"] == "Origin" and "Access-Control-Allow-Origin" not in response.headers


# -- tokens, and ComfyUI beyond loopback ------------------------------------------------------------------------------


class TestWithAToken:
    """A token is set: a page without it raises no question, and needs it after consent as well."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, token="secret")  # noqa: S106 - a test's own

    @pytest.fixture
    async def person(self, server: Server) -> Person:
        tab = await server.tab(capabilities=["panel", "watch"], token="secret")  # noqa: S106
        tab.__class__ = Person
        assert isinstance(tab, Person)
        tab.on("get_fields", {"Canvas.width": 64})
        return tab

    async def test_consent_and_token_are_both_needed(self, server: Server, person: Person) -> None:
        decides(person, "allow")
        assert await code(read(server)) == "token_required"
        assert await code(read(server, Authorization="Bearer wrong")) == "wrong_token"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await server.socket({"role": "client", "token": "secret"}, headers={"Origin": APP})
        assert asked(person) == []
        assert await code(read(server, **TOKEN)) == "let in"
        assert await code(read(server)) == "token_required"
        for token, kind in ((None, "error"), ("wrong", "error"), ("secret", "welcome")):
            ws = await server.socket({"role": "client", "token": token}, headers={"Origin": APP})
            assert (await ws.receive_json(timeout=60))["type"] == kind
        async with server.session.get(server.url("/uiapi/openapi.json"), headers={"Origin": APP}) as response:
            assert response.status == 403

    async def test_a_refused_page_cannot_try_tokens(self, server: Server, person: Person) -> None:
        decides(person, "refuse")
        for headers in (TOKEN, TOKEN, {}, {"Authorization": "Bearer wrong"}):
            assert await code(read(server, **headers)) == "web_app_refused"


class TestBeyondLoopbackWithoutAToken:
    """ComfyUI listens beyond loopback and has no token."""

    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True, named_origins=frozenset({APP}))

    async def test_no_page_from_elsewhere_is_let_in_even_if_named(self, server: Server, person: Person) -> None:
        decides(person, "allow")
        status, body = await read(server)
        assert (status, body["code"]) == (403, "cross_origin") and "UIAPI_TOKEN" in body["error"]
        async with server.session.options(server.url("/uiapi/get_fields"), headers={"Origin": APP}) as response:
            assert response.status == 403 and "Access-Control-Allow-Origin" not in response.headers
        assert asked(person) == []


# -- ComfyUI's own middlewares ----------------------------------------------------------------------------------------


async def test_other_middlewares_are_called_and_see_no_foreign_origin(server: Server, person: Person) -> None:
    # The middlewares of the test's application were added to the served one, after ours, before it started.
    await allow(server, person)
    seen = server.comfy.seen_by_middleware[-1]
    assert (seen.path, seen.headers.get("Origin"), seen.headers.get("Sec-Fetch-Site")) == (
        "/uiapi/get_fields",
        None,
        None,
    )
    assert isinstance(seen, web.Request)
    async with server.session.get(server.url("/elsewhere"), headers={"Origin": APP, **SCRIPT}) as response:
        assert response.status == 403 and "Access-Control-Allow-Origin" not in response.headers
