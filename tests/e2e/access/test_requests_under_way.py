"""Limits of concurrent requests of one client on a real ComfyUI: more are refused while others are served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest_asyncio
from comfyui_uiapi.bridge.api.websocket import MAX_IN_PROGRESS
from comfyui_uiapi.bridge.policy.request_limits import MAX_BYTES, MAX_REQUESTS
from comfyui_uiapi.bridge.protocol.codec import MAX_FRAME
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

# Requests beyond the limit.
SURPLUS = 5
HEAD = "POST /uiapi/get_workflow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
WAIT = {"wait_for_webui": True, "timeout": 10 * PATIENCE}
WAITING = json.dumps(WAIT)


@pytest_asyncio.fixture(loop_scope="session")
async def program(alone: Alone) -> AsyncIterator[Program]:
    """A program; no request is in progress before and after."""
    alone.listen()
    async with Program(alone.comfy) as asking:
        await idle(asking)
        yield asking
        await idle(asking)
    assert "Traceback" not in alone.logged()


async def idle(program: Program) -> None:
    """Wait until nothing waits for a tab."""

    async def nothing() -> bool:
        return await waiting(program) == 0

    await until(nothing, "no request under way", PATIENCE)


async def waiting(program: Program) -> int:
    """How many requests wait for a tab."""
    # At the limit this request is refused as well.
    return int((await program.get("connection_status"))[1].get("pending_requests", -1))


async def test_a_socket_may_have_4096_concurrent_requests_and_others_are_served(program: Program) -> None:
    greedy, other = await program.socket(), await program.socket()

    def ask(number: int) -> asyncio.Future[dict[str, Any]]:
        return greedy.start("get_workflow", WAIT, str(number))

    asked = [ask(number) for number in range(MAX_IN_PROGRESS + SURPLUS)]
    for answer in asked[MAX_IN_PROGRESS:]:
        refused = await asyncio.wait_for(answer, PATIENCE)
        assert refused["code"] == "too_many"
        assert f"{MAX_IN_PROGRESS} of your requests" in refused["error"]

    async def all_wait() -> bool:
        return await waiting(program) == MAX_IN_PROGRESS

    await until(all_wait, "as many as may be under way", PATIENCE)
    assert not [answer for answer in asked[:MAX_IN_PROGRESS] if answer.done()]
    assert (await other.request("webuis"))["status"] == "ok"
    # One of them withdrawn makes room for one.
    await greedy.ws.send_json({"type": "cancel", "id": "0"})

    async def one_less() -> bool:
        return await waiting(program) == MAX_IN_PROGRESS - 1

    await until(one_less, "one less", PATIENCE)
    again, surplus = ask(0), ask(MAX_IN_PROGRESS)
    assert (await asyncio.wait_for(surplus, PATIENCE))["code"] == "too_many"
    assert not again.done()
    await greedy.close()


async def test_an_address_may_have_4096_concurrent_http_requests_and_others_are_served(program: Program) -> None:
    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(request: str, own: str = "127.0.0.1") -> asyncio.StreamReader:
        """Send a request from an address of this machine."""
        connection = await asyncio.open_connection("127.0.0.1", program.comfy.port, local_addr=(own, 0))
        connections.append(connection)
        connection[1].write(request.encode())
        return connection[0]

    async def under_way() -> bool:
        # Seen from another address, since this one has no request left.
        look = "GET /uiapi/connection_status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        head, _, body = (await (await ask(look, "127.0.0.2")).read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return bool(json.loads(body)["pending_requests"] == MAX_REQUESTS)

    waits = f"{HEAD}Content-Length: {len(WAITING)}\r\n\r\n{WAITING}"
    try:
        readers = [await ask(waits) for _ in range(MAX_REQUESTS)]
        await until(under_way, "as many requests as may be under way", PATIENCE)
        for _ in range(SURPLUS):
            assert (await (await ask(waits)).readline()).startswith(b"HTTP/1.1 429 ")
        status, envelope = await program.get("webuis")
        assert (status, envelope["code"]) == (429, "too_many")
        assert f"{MAX_REQUESTS} of your requests" in envelope["error"]
        assert await under_way() and not [reader for reader in readers if reader.at_eof()]
    finally:
        for _, writer in connections:
            writer.transport.abort()


async def test_an_address_may_send_512_megabytes_of_bodies_at_once(program: Program) -> None:
    assert MAX_BYTES == 8 * MAX_FRAME
    # Eight bodies stay below it, and the beginning of another goes beyond.
    sent, more, length = 63 * 2**20, 16 * 2**20, MAX_FRAME - 1
    assert 8 * sent < MAX_BYTES < 8 * sent + more
    writers: list[asyncio.StreamWriter] = []

    async def begin() -> asyncio.Task[bytes]:
        """Begin a request and return the task that reads the response."""
        reader, writer = await asyncio.open_connection("127.0.0.1", program.comfy.port)
        writers.append(writer)
        writer.write(f"{HEAD}Content-Length: {length}\r\n\r\n".encode())
        return program.spawn(reader.readline())

    async def send(to: list[asyncio.StreamWriter], amount: int) -> None:
        """Send the next `amount` bytes of these bodies, in turns, since one that stalls is refused."""
        for _ in range(amount // 2**20):
            for writer in to:
                # Who is refused need not be listened to.
                with suppress(ConnectionError):
                    writer.write(bytes(2**20))
                    await writer.drain()

    try:
        amounts = [sent] * 8 + [more]
        answers = [await begin() for _ in range(8)]
        await send(writers, sent)
        answers.append(await begin())
        await send(writers[8:], more)
        # Whose bytes come last is the one too many; what it had is free for the others.
        done, waiting = await asyncio.wait(answers, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result()[:13] for task in done] == [b"HTTP/1.1 429 "]
        assert (await program.get("webuis"))[0] == 200 and len(waiting) == 8
        # Those that were let in are read to their end: they are no JSON.
        for answer, writer, amount in zip(answers, writers, amounts, strict=True):
            if answer in waiting:
                writer.write(bytes(length - amount))
        for answer in answers:
            if answer in waiting:
                assert (await asyncio.wait_for(answer, PATIENCE)).startswith(b"HTTP/1.1 400 ")
    finally:
        for writer in writers:
            writer.transport.abort()
