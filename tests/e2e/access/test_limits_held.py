"""On a real ComfyUI one bad file, host or program is bounded and does not affect the others."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from comfyui_uiapi.bridge.commands.connections import MAX_PATHS, MAX_SUBSCRIPTIONS
from comfyui_uiapi.bridge.policy.idempotency import MAX_KEYS
from comfyui_uiapi.bridge.tabs.registry import MAX_TABS
from comfyui_uiapi.downloads.common.throttle import MOST_TRIES
from comfyui_uiapi.downloads.storage.file_check import MAX_HEADER
from comfyui_uiapi.tests.bridge.conftest import FakeTab
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.fakes.scripted_tabs import ScriptedTabs
from comfyui_uiapi.tests.harness.models.model_host import Answer, Host, Seen, model_bytes, onnx_bytes
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program, Socket

SIZE = 100_000
READ = {"fields": ["a.b"]}
# What Chromium sends with a page's GET to a name of the local network over plain http: neither Origin nor Sec-Fetch-*.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0",
    "Accept": "image/avif,image/webp,image/apng,*/*;q=0.8",
    "Referer": "http://elsewhere.example/",
}
# Spellings of addresses that are not public, as operating systems read them.
NUMERIC = ("127.1", "10.1", "0177.0.0.1", "0x7f000001", "2130706433", "017700000001", "0x7f.1", "169.254.43518")
SECRET = "sesame-open"  # noqa: S105 - a test's own
CREDENTIALS = ("X-Amz-Signature", "X-Amz-Credential", "hf_token", "token", "api_key", "key", "sig", "Signature")


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program; after the test nothing is under way, and the log has neither a traceback nor a secret."""
    alone.listen()
    async with Program(alone.comfy) as asking:
        yield asking

        async def quiet() -> bool:
            status = (await asking.get("connection_status"))[1]
            return not (status["active_clients"] or status["pending_requests"] or status["active_downloads"])

        await until(quiet, "nothing under way", PATIENCE)
    alone.forget()
    assert [sign for sign in ("Traceback", SECRET) if sign in alone.logged()] == []


@pytest_asyncio.fixture(loop_scope="session")
async def new_tab(program: Program) -> AsyncIterator[ScriptedTabs]:
    """Connects scripted tabs."""
    tabs = ScriptedTabs(program)
    yield tabs
    await tabs.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(new_tab: ScriptedTabs) -> FakeTab:
    """A tab with a panel, which reads and undoes, and leaves writes unanswered."""
    tab = await new_tab(capabilities=["panel", "watch"])
    tab.on("get_fields", {"a.b": 1})
    tab.on("undo", {"done": 1})
    return tab


async def asked_by(tab: FakeTab, command: str, **data: Any) -> dict[str, Any]:
    """Send a request as the person at a tab and return the response."""
    await tab.ws.send_json({"type": "request", "id": command, "command": command, "data": data})
    return await tab.next("response")


async def connected(program: Program, **hello: Any) -> tuple[Any, dict[str, Any]]:
    """Open a websocket, say hello, and return it with the first frame; it answers pings only while it is read."""
    ws = await program.http.ws_connect(program.url("/uiapi/ws"))
    await ws.send_json({"type": "hello", "protocol": 1, **hello})
    return ws, await ws.receive_json(timeout=PATIENCE)


def table(name: str, url: str) -> dict[str, Any]:
    """Return the parameters that start the download of a model that a workflow needs."""
    node = {"id": 1, "type": "LoraLoaderModelOnly", "widgets_values": [name, 1]}
    model = {"url": url, "ckpt_type": "loras"}
    return {"download_table": {name: model}, "workflow": {"nodes": [node], "links": []}}


# -- bad files ------------------------------------------------------------------------------------------------------


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_files_with_a_header_of_maximum_length_leave_no_memory_taken(program: Program, alone: Alone) -> None:
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'.ljust(MAX_HEADER - 1) + b"}"
    bomb = MAX_HEADER.to_bytes(8, "little") + header + b"two"

    async def fetch(name: str, data: bytes) -> Any:
        alone.models.offer(f"/{name}", data)
        model = {"url": alone.models.url(f"/{name}"), "ckpt_type": "loras"}
        return (await program.post("download_model", {"model_name": name, "model_def": model}))[1]

    assert (await fetch("first.safetensors", model_bytes(SIZE)))["status"] == "success"
    before = resident(alone.comfy.pid)
    answers = await asyncio.gather(*(fetch(f"{number}.safetensors", bomb) for number in range(12)))
    assert [answer.get("code") for answer in answers] == ["size_mismatch"] * 12, answers

    async def returned() -> bool:
        return resident(alone.comfy.pid) - before < MAX_HEADER

    await until(returned, "the memory to be returned", PATIENCE)
    assert alone.lora_files() == ["first.safetensors"]


async def test_a_file_of_the_server_is_no_onnx_model_for_a_right_byte_at_its_beginning(
    program: Program, alone: Alone, tmp_path: Path
) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(onnx_bytes(SIZE))
    for number, head in enumerate((b"\x08", b"\x08\x0a", b"\x08\x0a:", b"\x08\x0a\x3a\x01")):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(head + b"the server's secret, which is no model" * 100)
        body = {"model_name": "x.onnx", "model_def": {"local": str(file), "ckpt_type": "loras"}}
        status, envelope = await program.post("download_model", body)
        assert (status, envelope["code"]) == (502, "not_a_model"), (head, envelope)
        assert alone.lora_files() == []
    body = {"model_name": "x.onnx", "model_def": {"local": str(own), "ckpt_type": "loras"}}
    assert (await program.post("download_model", body))[1]["status"] == "success"


# -- bad hosts ------------------------------------------------------------------------------------------------------


async def test_silent_or_busy_hosts_do_not_delay_other_downloads(program: Program, alone: Alone) -> None:
    alone.models.offer("/first.safetensors", model_bytes(SIZE))
    assert (await program.post("download_model", alone.models.wanted("first.safetensors")))[1]["status"] == "success"
    # A silent one is given half a second instead of half a minute.
    async with alone.hasty(program, 0.5):
        for number, bad in enumerate((Answer(silent=True), Answer(refusals=[(429, {"Retry-After": "200"})] * 9))):
            waiting = []
            for host in (alone.mirror, alone.models):
                path = f"/bad{number}.safetensors"
                host.answers[path] = bad
                wanted = table(f"{host.port}.safetensors", host.url(path))
                waiting.append((await program.ok("download_models", wanted))["download_id"])

                async def asked(host: Host = host, path: str = path) -> bool:
                    return bool(host.asked(path))

                await until(asked, "both turns to be taken", PATIENCE)
            good = f"good{number}.safetensors"
            tried: list[int] = []

            def count(_: Seen, path: str = path, tried: list[int] = tried) -> None:
                tried.append(max(len(host.asked(path)) for host in (alone.mirror, alone.models)))

            alone.models.offer(f"/{good}", model_bytes(SIZE, number), on_request=count)
            fetched = await asyncio.wait_for(program.post("download_model", alone.models.wanted(good)), PATIENCE)
            assert fetched[1]["status"] == "success", fetched
            # It began before the others were given up.
            assert tried[0] < MOST_TRIES
            for download_id in waiting:
                await program.post("download_cancel", {"download_id": download_id})


async def test_no_numeric_spelling_of_a_private_address_can_be_allowed_or_asked_for(
    program: Program, alone: Alone, tab: FakeTab
) -> None:
    for host in (*NUMERIC, "::1", "[::1]", "[::ffff:10.0.0.1]", "localhost", "10.1."):
        assert (await asked_by(tab, "panel_allow_host", host=host)).get("code") == "host_refused", host
        url = f"https://{f'[{host}]' if host == '::1' else host}/x.safetensors"
        body = {"model_name": "x.safetensors", "model_def": {"url": url, "ckpt_type": "loras"}}
        _, envelope = await program.post("download_model", body)
        assert envelope.get("code") == "host_refused", (host, envelope)
        alone.models.redirect("/x.safetensors", url)
        body["model_def"] = {"url": alone.models.url("/x.safetensors"), "ckpt_type": "loras"}
        _, envelope = await program.post("download_model", body)
        assert envelope.get("code") == "host_refused", (host, envelope)


async def test_credentials_are_sent_to_their_host_and_neither_stored_nor_returned(
    program: Program, alone: Alone, new_tab: ScriptedTabs
) -> None:
    query = "&".join(["download=true", *(f"{key}={SECRET}-{key}" for key in CREDENTIALS)])
    house = f"https://huggingface.co/a/b/resolve/main/x.safetensors?{query}"
    names = [f"{number}.safetensors" for number in range(4)]
    saved = {"model_name": names[0], "url": house, "model_type": "loras"}
    answers: list[Any] = [await program.ok("add_model_url", saved)]
    # What the person gives, and what is fetched.
    person = await new_tab()
    person.on("get_model_url", {"url": house, "model_type": "loras"})
    # Whoever asked for it is handed it as it is.
    assert (await program.post("get_model_url", {"ckpt_name": names[1]}))[1]["url"] == house
    alone.models.offer(f"/{names[2]}", model_bytes(SIZE))
    alone.models.offer(f"/{names[3]}", b"<html>", content_type="text/html")
    for name in names[2:]:
        wanted = table(name, f"{alone.models.url(f'/{name}')}?{query}")
        begun = await program.ok("download_models", wanted)

        async def over(download_id: str = begun["download_id"]) -> Any:
            state = (await program.get(f"download_status/{download_id}"))[1]
            return state if state["completed"] else None

        answers.append(await until(over, "the end of the download", PATIENCE))
        answers.append(await program.post("plan_downloads", wanted))
    # A token goes as a header, to the host it belongs to; what signs an address stays in it.
    assert {f"{key}={SECRET}-{key}" in alone.models.seen[0].path for key in ("X-Amz-Signature", "sig")} == {True}
    kept = (await program.get("model_urls"))[1]["response"]["urls"]
    assert {name for name in names if name in kept} >= {*names[:2]}, kept
    assert all("download=true" in str(kept[name]) for name in names[:2])
    answers += [kept, (await program.get("downloads"))[1]]
    assert [answer for answer in answers if SECRET in str(answer)] == []
    state = alone.comfy.base / "user" / "__uiapi"
    assert [path for path in state.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
    for name in names:
        await program.post("remove_model_url", {"model_name": name})


# -- bad programs ---------------------------------------------------------------------------------------------------


def asked_of(tab: FakeTab) -> list[str]:
    """The commands a tab was sent."""
    return [request["command"] for request in tab.requests]


async def test_a_get_as_a_browser_sends_it_raises_no_question(program: Program, tab: FakeTab) -> None:
    tab.on("approve", {"allowed": True})
    assert (await asked_by(tab, "panel_decide", rules={"read": "once"}))["status"] == "ok"
    try:
        for path in ("queue", "model_urls"):
            async with program.http.get(program.url(f"/uiapi/{path}"), headers=BROWSER) as response:
                assert (response.status, (await response.json())["code"]) == (403, "refused_by_person")
        assert asked_of(tab) == []
        # By the way that no page can take unseen, the person is asked.
        async with program.http.post(program.url("/uiapi/get_fields"), json=READ, headers=BROWSER) as response:
            assert response.status == 200
        assert asked_of(tab) == ["approve", "get_fields"]
    finally:
        assert (await asked_by(tab, "panel_decide", rules={"read": "allow"}))["status"] == "ok"


async def test_a_program_that_sends_endless_idempotency_keys_does_not_block_other_programs(
    program: Program, tab: FakeTab
) -> None:
    slider, other = [Socket(*await connected(program, role="client", name=name)) for name in ("slider", "other")]

    def write(key: str, at: int) -> asyncio.Future[dict[str, Any]]:
        data = {"fields": [["a.b", at]], "idempotency_key": key, "timeout": 10 * PATIENCE}
        return slider.start("set_fields", data)

    async def keyed(key: str) -> dict[str, Any]:
        """Send a request that the tab answers at once."""
        return await other.request("undo", {"idempotency_key": key})

    async def succeed(answers: list[asyncio.Future[dict[str, Any]]]) -> None:
        for answer in answers:
            assert (await asyncio.wait_for(answer, PATIENCE))["status"] == "ok"

    assert (await keyed("mine"))["status"] == "ok"
    # As many as one program may have under way, which the tab leaves unanswered.
    *waiting, surplus = [write(str(at), at) for at in range(MAX_KEYS + 1)]
    assert (await asyncio.wait_for(surplus, PATIENCE))["code"] == "too_many"
    assert not [answer for answer in waiting if answer.done()]
    assert (await keyed("another"))["status"] == "ok"
    # And any number that have ended, of which the oldest make room.
    tab.on("set_fields", lambda data: {"a.b": {"requested": 1, "value": 1, "warnings": []}})
    for request in [*tab.requests]:
        if request["command"] == "set_fields":
            await tab.respond(request["id"], {"a.b": {"requested": 1, "value": 1, "warnings": []}})
    await succeed(waiting)
    await succeed([write(f"more {at}", at) for at in range(MAX_KEYS)])
    for key in ("mine", "another"):
        assert (await keyed(key))["repeated"] is True
    for socket in (slider, other):
        await socket.close()


async def test_a_change_reaches_the_sockets_that_subscribed_to_as_much_as_they_may(
    program: Program, tab: FakeTab
) -> None:
    each = MAX_PATHS // MAX_SUBSCRIPTIONS
    subscribers = [(await connected(program, role="client", name=f"subscriber {number}"))[0] for number in range(20)]

    async def subscribe(ws: Any, number: int, paths: list[str]) -> None:
        data = {"events": ["widget_changed"], "paths": paths}
        await ws.send_json({"type": "request", "id": number, "command": "subscribe", "data": data})

    async def fill(ws: Any) -> None:
        for number in range(MAX_SUBSCRIPTIONS):
            await subscribe(ws, number, [f"Node {number}.w{at}" for at in range(each)])
        await subscribe(ws, MAX_SUBSCRIPTIONS, ["one more"])
        codes = [(await ws.receive_json(timeout=PATIENCE)).get("code") for _ in range(MAX_SUBSCRIPTIONS + 1)]
        assert codes == [None] * MAX_SUBSCRIPTIONS + ["too_many"]
        await ws.send_json({"type": "request", "id": "x", "command": "unsubscribe", "data": {"subscription": 0}})
        await subscribe(ws, 0, [f"Node 0.w{at}" for at in range(each + 1)])
        answers = [await ws.receive_json(timeout=PATIENCE) for _ in range(2)]
        assert [answer.get("code") for answer in answers] == [None, "too_many"]

    await asyncio.gather(*(fill(ws) for ws in subscribers))
    for path in ("Node 7.other", "Node 7.w3", "Node 100.w3", "Node 99.w0"):
        await tab.ws.send_json({"type": "event", "event": "widget_changed", "data": {"path": path, "new": 1}})
    for ws in subscribers:
        received = [await ws.receive_json(timeout=PATIENCE) for _ in range(2)]
        assert [frame["data"]["path"] for frame in received] == ["Node 7.w3", "Node 99.w0"]
        await ws.close()


async def test_a_thousand_connections_as_tabs_are_bounded_over_both_transports_and_others_are_served(
    program: Program, tab: FakeTab
) -> None:
    opened: list[Socket] = []
    key = await program.page_key()

    async def pose(**more: Any) -> str:
        ws, first = await connected(program, role="webui", capabilities=["panel", "watch"], **more)
        if first["type"] == "welcome":
            opened.append(Socket(ws, first))
        else:
            await ws.close()
        return str(first.get("code", first["type"]))

    async def ready() -> tuple[int, Any]:
        status, envelope = await program.post("webui_ready", {"client_id": -1, "browserInfo": {"browser": "x"}})
        return status, envelope.get("code", envelope.get("client_id"))

    answers: Counter[str] = Counter()
    assert await asyncio.gather(*(pose() for _ in range(50))) == ["wrong_page"] * 50
    for _ in range(20):
        answers.update(await asyncio.gather(*(pose(page_key=key) for _ in range(50))))
        assert await program.ok("get_fields", READ) == {"a.b": 1}
    assert answers == {"welcome": MAX_TABS - 1, "too_many": 1000 - MAX_TABS + 1}
    assert await ready() == (429, "too_many")
    assert len((await program.get("webuis"))[1]["response"]) == MAX_TABS
    await asyncio.gather(*(socket.close() for socket in opened))
    opened.clear()

    async def alone() -> bool:
        return len((await program.get("webuis"))[1]["response"]) == 1

    await until(alone, "the one tab", PATIENCE)
    pages = [await ready() for _ in range(MAX_TABS + 4)]
    assert [status for status, _ in pages] == [200] * (MAX_TABS - 1) + [429] * 5
    assert await pose(page_key=key) == "too_many"
    assert await program.ok("get_fields", {**READ, "webui": tab.client_id}) == {"a.b": 1}
    for _, client_id in pages[: MAX_TABS - 1]:
        await program.post("webui_disconnect", {"client_id": client_id})
    await until(alone, "the one tab", PATIENCE)
