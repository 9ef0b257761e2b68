"""The table in docs/remote.md, cell by cell, on running servers: each way to listen, with and without a token.

Each command is sent something that it refuses as invalid once the caller is let in, so that nothing is done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse, ClientSession, ClientTimeout, WSServerHandshakeError, web
from aiohttp.test_utils import TestServer
from comfyui_uiapi import server  # noqa: F401 - importing declares every command
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS, Risk
from comfyui_uiapi.tests.harness.browser.pages import WAYS, Attempts
from comfyui_uiapi.tests.harness.browser.person import answer_dialog
from comfyui_uiapi.tests.harness.browser.tab import REBOUND, Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import Page

TOKEN = "correct-horse"  # noqa: S105 - a test's own
# With this option ComfyUI admits pages from everywhere, and only this package's own check is left.
OPEN = ("--enable-cors-header", "*")
NETWORK = ("--listen", "0.0.0.0")  # noqa: S104 - what is tested
SERVERS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "loopback": ((), {}),
    "loopback with a token": (OPEN, {"UIAPI_TOKEN": TOKEN}),
    "network": ((*NETWORK, *OPEN), {}),
    "network with a token": (NETWORK, {"UIAPI_TOKEN": TOKEN}),
}
CALLERS: dict[str, dict[str, str]] = {
    "no token": {},
    "wrong token": {"Authorization": "Bearer incorrect-horse"},
    "right token": {"Authorization": f"Bearer {TOKEN}"},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
}
# (what everything else is answered, what writing to disk is answered) by server and caller.
TABLE: dict[tuple[str, str], tuple[str, str]] = {
    **{("loopback", caller): ("let in", "let in") for caller in CALLERS},
    **{("network", caller): ("let in", "forbidden") for caller in CALLERS},
    **{
        (f"{where} with a token", caller): (code, code)
        for where in ("loopback", "network")
        for caller, code in {
            "no token": "token_required",
            "wrong token": "wrong_token",
            "right token": "let in",
            "another scheme": "token_required",
        }.items()
    },
}
# What a page from elsewhere cannot help saying of itself, or a name that is not this server's.
ELSEWHERE: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another port": {"Sec-Fetch-Site": "same-site"},
    "a foreign Origin": {"Origin": "https://elsewhere.example"},
    "a sandboxed frame": {"Origin": "null"},
    "a rebound name": {"Host": "rebound.example"},
    "a rebound name and its own Origin": {"Host": "rebound.example:80", "Origin": "http://rebound.example:80"},
}
# What only ComfyUI's own page may use, so that the person is not asked about it. There ComfyUI itself refuses before
# us, with a 403 that says nothing: a page's Origin at a loopback Host, unless it was started to admit all pages.
OF_PAGES = {"page_key", "webui_ready", "webui_response", "webui_disconnect", "client_disconnect"}
SILENT = "ComfyUI's own"
COMFYUI_FIRST = {"loopback", "network with a token"}
REFUSALS = ("forbidden", "token_required", "wrong_token", "cross_origin", "foreign_host", "waiting_for_person")
ROUTES = [command for command in COMMANDS.values() if command.route]


def of_elsewhere(where: str, what: str, path: str) -> str:
    """How a request of ELSEWHERE with the token is refused. With no tab open nobody can be asked about an origin."""
    if "rebound" in what:
        return "foreign_host"
    if what != "a foreign Origin":
        return "cross_origin"
    if path in OF_PAGES:
        return SILENT if where in COMFYUI_FIRST else "cross_origin"
    # Over a network, a page from elsewhere needs a token.
    return "cross_origin" if where == "network" else "waiting_for_person"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, ComfyProcess]]:
    """One ComfyUI for each way to run it; they start side by side."""
    processes = {
        name: ComfyProcess(tmp_path_factory.mktemp("access"), args=args, env=env)
        for name, (args, env) in SERVERS.items()
    }
    with ExitStack() as ending:
        # Kept to the end: what a thread has started ends with it.
        pool = ending.enter_context(ThreadPoolExecutor(2))
        for process in processes.values():
            ending.callback(process.kill)
        list(pool.map(ComfyProcess.start, processes.values()))
        yield processes


@pytest.fixture(params=SERVERS)
def comfy(request: pytest.FixtureRequest, servers: Mapping[str, ComfyProcess]) -> tuple[str, ComfyProcess]:
    """The name and process of each of them."""
    return request.param, servers[request.param]


@pytest_asyncio.fixture(loop_scope="session")
async def session() -> AsyncIterator[ClientSession]:
    """For requests with any headers."""
    async with ClientSession(timeout=ClientTimeout(total=PATIENCE)) as session:
        yield session


async def verdict(session: ClientSession, comfy: ComfyProcess, command: Any, headers: Mapping[str, str]) -> str:
    """Return how a command answers a request with these headers: the code of the refusal, or that it was admitted."""
    url = f"{comfy.url}/uiapi/{command.path.partition('{')[0]}" + ("nothing" if "{" in command.path else "")
    sent: dict[str, Any] = {"params": {"nonsense": "1"}} if command.method == "GET" else {"json": {"nonsense": 1}}
    async with session.request(command.method, url, headers=headers, **sent) as response:
        return await read(response)


async def read(response: ClientResponse) -> str:
    """Return what a response means: the code of a refusal, ComfyUI's own refusal, or that it was admitted."""
    if response.status == 403 and await response.read() == b"":
        return SILENT
    code = str((await response.json()).get("code"))
    assert (response.status == 403) == (code in REFUSALS), (response.url, response.status, code)
    return code if code in REFUSALS else "let in"


async def test_every_command_is_answered_as_the_table_says(
    comfy: tuple[str, ComfyProcess], session: ClientSession
) -> None:
    where, process = comfy
    for caller, headers in CALLERS.items():
        usual, disk = TABLE[where, caller]
        answered = {command.name: await verdict(session, process, command, headers) for command in ROUTES}
        expected = {command.name: disk if command.risk is Risk.WRITE_DISK else usual for command in ROUTES}
        assert answered == expected, caller


async def test_pages_from_elsewhere_and_rebound_names_are_refused_everywhere_even_with_the_token(
    comfy: tuple[str, ComfyProcess], session: ClientSession
) -> None:
    where, process = comfy
    for what, headers in ELSEWHERE.items():
        # ComfyUI itself looks a Host up that comes with an Origin, which takes its time each time.
        for command in ROUTES[:2] if len(headers) > 1 else ROUTES:
            refused = await verdict(session, process, command, {**headers, **CALLERS["right token"]})
            assert refused == of_elsewhere(where, what, command.name), (what, command.name)
        for path in ("ws", "docs", "openapi.json", "nonsense"):
            sent = {**headers, **CALLERS["right token"]}
            async with session.get(f"{process.url}/uiapi/{path}", headers=sent) as response:
                assert await read(response) == of_elsewhere(where, what, path), (what, path)
        with pytest.raises(WSServerHandshakeError) as handshake:
            await session.ws_connect(f"{process.url}/uiapi/ws", headers=headers)
        assert handshake.value.status == 403


async def test_the_address_comfyui_gives_every_route_a_second_time_is_guarded_too(
    comfy: tuple[str, ComfyProcess], session: ClientSession
) -> None:
    where, process = comfy
    async with session.get(f"{process.url}/api/uiapi/webuis") as response:
        assert response.status == (403 if "token" in where else 200)
    for headers in ELSEWHERE.values():
        async with session.get(f"{process.url}/api/uiapi/webuis", headers=headers) as response:
            assert response.status == 403


@pytest.mark.parametrize("role", ["client", "webui"])
async def test_a_websocket_is_let_in_as_the_table_says(
    comfy: tuple[str, ComfyProcess], session: ClientSession, role: str
) -> None:
    where, process = comfy
    key = await page_key(session, process)
    for token, caller in ((None, "no token"), ("incorrect-horse", "wrong token"), (TOKEN, "right token")):
        usual, disk = TABLE[where, caller]
        async with session.ws_connect(f"{process.url}/uiapi/ws") as socket:
            hello = {"type": "hello", "role": role, "protocol": 1, "token": token, "page_key": key}
            await socket.send_json(hello)
            answer = await socket.receive_json(timeout=PATIENCE)
            if usual != "let in":
                assert (answer["type"], answer["code"]) == ("error", usual)
                assert (await socket.receive(timeout=PATIENCE)).data == 4403
                continue
            assert answer["type"] == "welcome"
            for number, command in enumerate(ROUTES):
                await socket.send_json(
                    {"type": "request", "id": number, "command": command.name, "data": {"nonsense": 1}}
                )
            codes: dict[str, str] = {}
            while len(codes) < len(ROUTES):
                frame = await socket.receive_json(timeout=PATIENCE)
                if frame["type"] == "response":
                    codes[ROUTES[frame["id"]].name] = frame["code"]
            for command in ROUTES:
                refused = command.risk is Risk.WRITE_DISK and disk != "let in"
                assert codes[command.name] == (disk if refused else "invalid")


# -- posing as a tab ------------------------------------------------------------------------------------------------


async def page_key(session: ClientSession, process: ComfyProcess) -> str:
    """The key that the pages of a ComfyUI join with, asked for as their scripts do."""
    headers = {**CALLERS["right token"], "Origin": process.url}
    async with session.post(f"{process.url}/uiapi/page_key", headers=headers) as response:
        assert response.status == 200
        return str((await response.json())["response"]["page_key"])


async def refusal(session: ClientSession, url: str, headers: Mapping[str, str], body: Any = None) -> str:
    """The code that a POST is refused with."""
    async with session.post(url, headers=headers, json=body or {}) as response:
        return SILENT if await response.read() == b"" else str((await response.json()).get("code"))


async def tabs(session: ClientSession, process: ComfyProcess) -> list[dict[str, Any]]:
    """The open tabs."""
    async with session.get(f"{process.url}/uiapi/webuis", headers=CALLERS["right token"]) as response:
        listed: list[dict[str, Any]] = (await response.json())["response"]
        return listed


async def test_a_program_that_says_hello_as_a_tab_is_refused(
    comfy: tuple[str, ComfyProcess], session: ClientSession
) -> None:
    where, process = comfy
    right = CALLERS["right token"]
    hosts = [process.url.removeprefix("http://")]
    if "network" in where:
        # As from another machine, by the address it would use.
        hosts.append(f"192.168.1.5:{process.port}")
    for host in hosts:
        headers = {**right, "Host": host}
        assert await refusal(session, f"{process.url}/uiapi/page_key", headers) == "wrong_page"
        for given in ({}, {"page_key": "guessed"}):
            async with session.ws_connect(f"{process.url}/uiapi/ws", headers={"Host": host}) as socket:
                hello = {"type": "hello", "role": "webui", "protocol": 1, "token": TOKEN, "capabilities": ["panel"]}
                await socket.send_json({**hello, **given})
                assert (await socket.receive_json(timeout=PATIENCE))["code"] == "wrong_page"
                assert (await socket.receive(timeout=PATIENCE)).data == 4403
            # On this machine another package's page is served without one.
            if given or host != hosts[0]:
                ready = f"{process.url}/uiapi/webui_ready"
                assert await refusal(session, ready, headers, {"client_id": -1, **given}) == "wrong_page"
    for what, headers in ELSEWHERE.items():
        expected = of_elsewhere(where, what, "page_key")
        assert await refusal(session, f"{process.url}/uiapi/page_key", {**right, **headers}) == expected, what
    assert await tabs(session, process) == []


# -- real pages -----------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def elsewhere() -> AsyncIterator[str]:
    """The address of a page on another port of this machine."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app) as other:
        yield str(other.make_url("/"))


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Chromium) -> AsyncIterator[Page]:
    """An empty page."""
    page = await browser.new_page()
    yield page
    await page.context.close()


async def test_a_real_page_from_another_port_gets_nowhere(
    comfy: tuple[str, ComfyProcess], elsewhere: str, page: Page
) -> None:
    where, process = comfy
    await page.goto(elsewhere)
    tried = await Attempts().of(page, process.url, TOKEN)
    # What asks the server first whether it may is sent where the person can be asked about this page, and all there is
    # to read is that nobody has allowed it, or that it needs the token.
    refused = "waiting_for_person"
    first = {"json": "token_required" if "token" in where else refused, "token": refused}
    asks_first: dict[str, Any] = {} if where == "network" else dict.fromkeys(first, 403)
    expected = {"text": 403, "blind": 403, "form": 403, "socket": 403, **asks_first}
    assert await tried.reported(expected) == expected
    readable = (
        {"text": "nothing", **dict.fromkeys(first, "nothing")}
        if where == "network"
        else {"text": "cross_origin", **first}
    )
    if where != "network" and "token" in where:
        readable["text"] = "token_required"
    assert tried.seen == {**readable, "blind": "opaque", "socket": "nothing"}


async def test_a_real_page_under_a_rebound_name_gets_nowhere(comfy: tuple[str, ComfyProcess], page: Page) -> None:
    _, process = comfy
    own = f"http://{REBOUND}:{process.port}"
    # ComfyUI gives its pages to every name; to the browser what comes from there is all of one place.
    await page.goto(f"{own}/system_stats")
    assert await page.evaluate("origin") == own
    tried = await Attempts().of(page, own, TOKEN)
    expected = dict.fromkeys((*WAYS, "form", "socket"), 403)
    assert await tried.reported(expected) == expected
    assert tried.seen == {**dict.fromkeys(WAYS, "foreign_host"), "socket": "nothing"}


async def test_comfyuis_own_page_is_let_in_as_the_table_says(
    comfy: tuple[str, ComfyProcess], session: ClientSession, page: Page
) -> None:
    where, process = comfy
    has_token, disk = "token" in where, TABLE[where, "right token"][1]
    program = CALLERS["right token"] if has_token else CALLERS["no token"]
    tab = Tab(page, process)
    await tab.load(clear=False, connected=False)

    async def listed() -> list[dict[str, Any]]:
        return await tabs(session, process)

    if has_token:
        assert await listed() == []
        for given in ("incorrect-horse", TOKEN):
            await answer_dialog(page, "token", given)
    assert len(await until(listed, "the page's own tab", PATIENCE)) == 1
    async with session.post(f"{process.url}/uiapi/get_workflow", json={}, headers=program) as response:
        assert response.status == 200
    tried = await Attempts().of(page, process.url, TOKEN if has_token else "")
    # The page's own requests; 422 means that the request was admitted.
    usual = 403 if has_token else 422
    expected = {**dict.fromkeys((*WAYS, "form"), usual), "token": 422, "socket": 101}
    assert await tried.reported(expected) == expected
    assert tried.seen["token"] == "invalid"  # noqa: S105 - what became of it
    written = "invalid" if disk == "let in" else disk
    assert tried.seen["socket"] == {"type": "welcome", "drive": "invalid", "disk": written}
    await page.close()

    async def gone() -> bool:
        return await listed() == []

    await until(gone, "the tab to be gone", PATIENCE)


# -- what is not logged -----------------------------------------------------------------------------------


async def test_the_log_has_no_secrets_and_no_forged_lines(
    servers: Mapping[str, ComfyProcess], session: ClientSession
) -> None:
    process = servers["network with a token"]
    forged = "x\n[forged] line\r\n[forged] another"
    secret = "sesame-open"  # noqa: S105
    url = f"https://huggingface.co/a/b/resolve/main/x.safetensors?token={secret}\n[forged]"
    bodies: dict[str, dict[str, Any]] = {
        "download_model": {"model_name": forged, "model_def": {"url": url, "ckpt_type": forged}},
        "get_fields": {"fields": [forged], "client_id": forged},
        "load_workflow": {"workflow": {forged: secret}, "idempotency_key": "k\n[forged]"},
        "webui_response": {"request_id": forged, "client_id": forged, "response": {}},
    }
    right = CALLERS["right token"]
    for command, body in bodies.items():
        async with session.post(f"{process.url}/uiapi/{command}", json=body, headers=right) as response:
            assert response.status != 500
    await session.get(f"{process.url}/uiapi/webuis", headers={"Authorization": f"Bearer {secret}"})
    async with session.ws_connect(f"{process.url}/uiapi/ws") as socket:
        await socket.send_json({"type": "hello", "role": "client", "protocol": 1, "name": forged, "token": TOKEN})
        await socket.receive_json(timeout=PATIENCE)
        await socket.send_json({"type": "request", "id": forged, "command": forged, "data": {}})
        await socket.receive_json(timeout=PATIENCE)
    log = process.log_text()
    assert TOKEN not in log and secret not in log and "incorrect-horse" not in log
    assert [line for line in log.splitlines() if line.startswith("[forged]")] == []
    assert "Traceback" not in log
