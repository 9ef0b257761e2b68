"""Faults of scripted tabs on a real ComfyUI: late, double and wrong responses, responses from other peers, reconnects,
disconnects and invalid frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from comfyui_uiapi.bridge.protocol.codec import MAX_FRAME
from comfyui_uiapi.tests.bridge.conftest import FakeTab
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.alone import Alone, held
from comfyui_uiapi.tests.harness.fakes.scripted_tabs import ScriptedTabs, until_pending
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

READ = {"fields": ["a.b"]}
# The timeout of requests that are meant to time out.
SHORT = 0.1


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program; no test leaves a traceback or a pending request behind."""
    alone.listen()
    async with Program(alone.comfy) as asking:
        yield asking
        assert (await asking.get("connection_status"))[1]["pending_requests"] == 0
    assert "Traceback" not in alone.logged()


@pytest_asyncio.fixture(loop_scope="session")
async def new_tab(program: Program) -> AsyncIterator[ScriptedTabs]:
    """Connects scripted tabs."""
    tabs = ScriptedTabs(program)
    yield tabs
    await tabs.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(new_tab: ScriptedTabs) -> FakeTab:
    """A tab that answers nothing until the test sets an answer."""
    return await new_tab()


# -- answers that do not come, or come wrong ------------------------------------------------------------------------


async def test_a_silent_tab_is_a_timeout_after_which_nothing_is_pending(program: Program, tab: FakeTab) -> None:
    status, envelope = await program.post("get_fields", {**READ, "timeout": SHORT})
    assert (status, envelope["code"], envelope["details"]["delivered"]) == (504, "timeout", True)
    await until_pending(program, tab, 0)
    assert (await tab.next("cancel"))["id"] == (await only(tab))["id"]


async def test_an_answer_after_its_timeout_is_ignored_and_logged_once(program: Program, tab: FakeTab) -> None:
    await program.post("get_fields", {**READ, "timeout": SHORT})
    late = (await only(tab))["id"]
    assert late not in program.comfy.log_text()
    await tab.respond(late, {"a.b": "late"})
    tab.on("get_fields", {"a.b": "in time"})
    assert await program.ok("get_fields", READ) == {"a.b": "in time"}
    assert len([line for line in program.comfy.log_text().splitlines() if late in line]) == 1
    kept = await program.ok("late_result", {"request_id": late})
    assert kept["answer"]["response"] == {"a.b": "late"}


async def test_of_two_answers_the_first_one_counts(program: Program, tab: FakeTab) -> None:
    asked = program.spawn(program.ok("get_fields", READ))
    request = await tab.next()
    # In one message, so that the second is there before anybody has seen the first.
    answers = [{"type": "response", "id": request["id"], "status": "ok", "response": {"a.b": n}} for n in (1, 2)]
    await tab.ws.send_json(answers)
    assert await asked == {"a.b": 1}
    tab.on("get_fields", {"a.b": 3})
    assert await program.ok("get_fields", READ) == {"a.b": 3}


async def test_an_answer_from_another_tab_or_program_is_refused_and_the_request_stays_pending(
    program: Program, new_tab: ScriptedTabs, tab: FakeTab
) -> None:
    other, stranger = await new_tab(), await program.raw_socket()
    asked = program.spawn(program.ok("get_fields", READ))
    request = await tab.next()
    await other.respond(request["id"], {"a.b": "wrong"})
    frame = {"type": "response", "id": request["id"], "status": "ok", "response": {"a.b": "wrong"}}
    await stranger[0].send_json(frame)
    assert (await stranger[0].receive_json(timeout=PATIENCE))["code"] == "malformed"
    for client_id in (other.client_id, str(other.client_id), "nobody"):
        wrong = {"request_id": request["id"], "client_id": client_id, "response": {"a.b": "wrong"}}
        status, envelope = await program.post("webui_response", wrong)
        assert (status, envelope["code"]) == (403, "forbidden")
    # The other tab's frames have been read when it has answered something that came after them.
    other.on("get_fields", {"a.b": "other"})
    assert await program.ok("get_fields", {**READ, "webui": other.client_id}) == {"a.b": "other"}
    await until_pending(program, tab, 1)
    assert not asked.done()
    await tab.respond(request["id"], {"a.b": "right"})
    assert await asked == {"a.b": "right"}


@pytest.mark.parametrize(
    ("command", "body", "answer"),
    [
        ("get_fields", READ, [1]),
        ("get_fields", READ, {}),
        ("get_fields", READ, None),
        ("get_workflow", {}, {"workflow": {"workflow": {}}}),
        ("get_workflow_api", {}, {"output": []}),
        ("query_fields", {}, {"nodes": [{"id": 1}]}),
        ("execute", {}, {"number": 1}),
        ("set_fields", {"fields": [["a.b", 1]]}, "done"),
        ("load_workflow", {"workflow": {}}, None),
        ("get_model_url", {"ckpt_name": "x.safetensors"}, ["url"]),
        ("send_workflow", {"workflow": {}}, 7),
    ],
)
async def test_an_answer_of_the_wrong_shape_is_a_502_and_the_next_command_works(
    program: Program, tab: FakeTab, command: str, body: Any, answer: Any
) -> None:
    tab.on(command, answer)
    status, envelope = await program.post(command, body)
    assert (status, envelope["code"]) == (502, "tab_failed"), envelope
    tab.on("get_fields", {"a.b": 1})
    assert await program.ok("get_fields", READ) == {"a.b": 1}


# -- peers that come back and leave ---------------------------------------------------------------------------------


async def test_a_tab_that_is_back_before_its_old_socket_closes_keeps_the_new_one(
    program: Program, new_tab: ScriptedTabs, tab: FakeTab
) -> None:
    asked = program.spawn(program.post("get_fields", READ))
    await tab.next()
    new = await new_tab(client_id=tab.client_id, session=tab.welcome["session"])
    new.on("get_fields", {"a.b": "new"})
    assert new.client_id == tab.client_id
    # What only the old socket was asked is not left hanging.
    assert (await asyncio.wait_for(asked, PATIENCE))[1]["code"] == "client_disconnected"
    await tab.close()
    assert tab.ws.close_code == 4001
    for _ in range(3):
        assert await program.ok("get_fields", READ) == {"a.b": "new"}
    [listed] = (await program.get("webuis"))[1]["response"]
    assert (listed["id"], listed["is_main"]) == (new.client_id, True)


async def test_when_the_client_disconnects_the_tab_gets_a_cancel_and_nothing_is_pending(
    program: Program, tab: FakeTab
) -> None:
    async with Program(program.comfy) as leaving:
        socket = await leaving.socket()
        socket.start("get_fields", {**READ, "timeout": PATIENCE})
        leaving.spawn(leaving.post("get_fields", {**READ, "timeout": PATIENCE}))
        gone = {(await tab.next())["id"], (await tab.next())["id"]}
        await until_pending(program, tab, 2)
    assert {await cancelled(tab), await cancelled(tab)} == gone
    await until_pending(program, tab, 0)


async def test_two_programs_with_the_same_request_id_are_not_mixed_up(program: Program, tab: FakeTab) -> None:
    sockets = [await program.socket(), await program.socket()]
    answers = [
        socket.start("get_fields", {"fields": [path]}, "same") for socket, path in zip(sockets, "12", strict=True)
    ]
    requests = [await tab.next(), await tab.next()]
    # The later one first.
    for request in reversed(requests):
        [path] = request["data"]["fields"]
        await tab.respond(request["id"], {path: f"for {path}"})
    answered = [await asyncio.wait_for(answer, PATIENCE) for answer in answers]
    assert [envelope["response"] for envelope in answered] == [{"1": "for 1"}, {"2": "for 2"}]
    # Withdrawn by one, the other's of the same name goes on.
    answers = [socket.start("get_fields", READ, "again") for socket in sockets]
    requests = [await tab.next(), await tab.next()]
    await sockets[0].ws.send_json({"type": "cancel", "id": "again"})
    withdrawn = await cancelled(tab)
    [other] = [request["id"] for request in requests if request["id"] != withdrawn]
    await tab.respond(other, {"a.b": 1})
    assert (await asyncio.wait_for(answers[1], PATIENCE))["response"] == {"a.b": 1}
    assert not answers[0].done()


async def test_a_caller_that_leaves_in_the_middle_of_a_body_is_no_defect_in_the_log(program: Program) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", program.comfy.port)
    head = b"POST /uiapi/get_fields HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    writer.write(head + b'Content-Length: 100\r\n\r\n{"fields"')
    await writer.drain()
    # Both are taken in the order they come.
    await held(program)
    writer.transport.abort()
    await held(program)
    # The fixture looks for tracebacks.


# -- nonsense -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    ["no json", "[7]", "7", "null", "{}", '{"type": "nonsense"}', '{"type": "event", "event": "x", "data": {}}'],
)
async def test_invalid_frames_of_a_tab_are_refused_and_the_tab_stays_connected(
    program: Program, tab: FakeTab, frame: str
) -> None:
    asked = program.spawn(program.ok("get_fields", READ))
    request = await tab.next()
    await tab.ws.send_str(frame)
    refused = await tab.next("error")
    assert (refused["status"], refused["code"]) == ("error", "malformed")
    await tab.respond(request["id"], {"a.b": 1})
    assert await asked == {"a.b": 1}


async def test_unknown_and_ill_typed_parameters_are_a_422_and_nothing_is_sent(program: Program, tab: FakeTab) -> None:
    socket = await program.socket()
    for command, body in (
        ("get_fields", {}),
        ("get_fields", {"fields": "a.b"}),
        ("get_fields", {**READ, "feilds": 1}),
        ("get_fields", {**READ, "timeout": "soon"}),
        ("set_fields", {"fields": [["a"]]}),
        ("set_connection", {"field": ["a"]}),
        ("execute", {"batch_count": 0}),
        ("run", {"outputs": "files"}),
        ("load_workflow", {"workflow": []}),
        ("send_workflow", {"workflow": {}, "titel": "x"}),
        ("open_tab", {"path": ""}),
        ("batch", {"steps": 7}),
    ):
        status, envelope = await program.post(command, body)
        assert (status, envelope["code"]) == (422, "invalid"), (command, body, envelope)
        assert envelope["details"]["problems"]
        assert (await socket.request(command, body))["code"] == "invalid"
    tab.on("get_fields", {"a.b": 1})
    await program.ok("get_fields", READ)
    assert [request["command"] for request in tab.requests] == ["get_fields"]


async def test_a_frame_over_the_limit_closes_only_its_own_socket_with_code_1009(program: Program) -> None:
    other = await program.socket()
    reader, writer = await asyncio.open_connection("127.0.0.1", program.comfy.port)
    writer.write(
        b"GET /uiapi/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    hello = b'{"type": "hello", "role": "client", "protocol": 1}'
    # RFC 6455, 5.2: the last fragment, a text; masked, with a key that leaves it as it is.
    writer.write(bytes([0x81, 0x80 | len(hello)]) + bytes(4) + hello)
    assert b'"welcome"' in await frame_of(reader)
    writer.write(bytes([0x81, 0x80 | 127]) + (MAX_FRAME + 1).to_bytes(8, "big") + bytes(4))
    # The server need not wait for all of it, and what it says is read while the rest is on its way.
    closed = program.spawn(frame_of(reader))
    for _ in range(MAX_FRAME // 2**20 + 1):
        if closed.done():
            break
        writer.write(b" " * 2**20)
        await asyncio.wait({closed, program.spawn(writer.drain())}, return_when=asyncio.FIRST_COMPLETED)
    closing = await asyncio.wait_for(closed, PATIENCE)
    assert int.from_bytes(closing[:2], "big") == 1009
    writer.close()
    assert (await other.request("webuis"))["status"] == "ok"


async def frame_of(reader: asyncio.StreamReader) -> bytes:
    """Return the payload of the server's next frame."""
    _, length = await reader.readexactly(2)
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return await reader.readexactly(length)


# -- nothing is left behind -----------------------------------------------------------------------------------------


async def test_a_hundred_and_a_thousand_reconnects_leave_no_descriptor_and_no_task_behind(program: Program) -> None:
    key = await program.page_key()

    async def reconnect(times: int) -> None:
        # As tabs and as programs, closed properly and cut off, with a request under way and without.
        for number in range(times):
            ws = await program.http.ws_connect(program.url("/uiapi/ws"))
            role = "webui" if number % 2 else "client"
            await ws.send_json({"type": "hello", "role": role, "protocol": 1, "page_key": key})
            assert (await ws.receive_json(timeout=PATIENCE))["type"] == "welcome"
            if number % 3 == 0:
                await ws.send_json({"type": "request", "id": 1, "command": "subscribe", "data": {}})
                wait = {"wait_for_webui": True, "timeout": PATIENCE}
                await ws.send_json({"type": "request", "id": 2, "command": "get_workflow", "data": wait})
            if number % 5 == 0:
                cut(ws)
            await ws.close()

    async def settled() -> dict[str, Any] | None:
        now = await held(program)
        return now if now["tabs"] == now["connections"] == now["subscribers"] == now["pending"] == 0 else None

    await reconnect(20)
    before = await until(settled, "no connection", PATIENCE)
    for times in (100, 1000):
        await reconnect(times)

        async def as_before() -> bool:
            now = await held(program)
            return all(now[what] <= before[what] for what in before)

        await until(as_before, f"no more than before {times} reconnects: {before}", PATIENCE)


def cut(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Drop the connection of a websocket without a close frame."""
    connection = ws._conn
    assert connection is not None and connection.transport is not None
    connection.transport.abort()


async def only(tab: FakeTab) -> dict[str, Any]:
    """The one request this tab has had."""
    [request] = tab.requests
    return request


async def cancelled(tab: FakeTab) -> str:
    """The id of the next request that was withdrawn."""
    return str((await asyncio.wait_for(tab.next("cancel"), PATIENCE))["id"])
