"""The JavaScript client over time: events, lost connections, restarts, cancelling and sweeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.tools.lint.checks import node

SCENARIOS = Path(__file__).with_name("scenarios.mjs")
STARTED = {"server_time": 1000.0, "server_uptime": 10.0}
RESTARTED = {"server_time": 1005.0, "server_uptime": 1.0}
EVENT = {"name": "output", "data": {"node": "3"}}


class Program:
    """A running scenario, whose lines are JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> Any:
        """The next line; None at the end."""
        assert self._process.stdout is not None
        text = await asyncio.wait_for(self._process.stdout.readline(), 60)
        return json.loads(text) if text else None


@asynccontextmanager
async def scenario(name: str, server: Scripted) -> AsyncIterator[Program]:
    server.answers.setdefault("connection_status", STARTED)
    process = await asyncio.create_subprocess_exec(node(), SCENARIOS, name, server.url, stdout=asyncio.subprocess.PIPE)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def frame(server: Scripted, command: str, number: int = 0) -> dict[str, Any]:
    """Wait for a frame with this command, the first or another, and return it."""

    async def found() -> dict[str, Any]:
        while True:
            fitting = [frame for frame in server.frames if frame.get("command") == command]
            if len(fitting) > number:
                return fitting[number]
            await asyncio.sleep(0.01)

    return await asyncio.wait_for(found(), 60)


async def test_events_arrive_again_after_a_lost_connection(scripted: Scripted) -> None:
    async with scenario("listen", scripted) as program:
        assert await program.line() == "listening"
        first = await frame(scripted, "subscribe")
        await scripted.say({"type": "event", "request": first["id"], "event": "output", "data": {"node": "3"}})
        assert await program.line() == EVENT
        scripted.drop()
        again = await frame(scripted, "subscribe", 1)
        await scripted.say({"type": "event", "request": again["id"], "event": "output", "data": {"node": "3"}})
        assert await program.line() == EVENT
        assert await program.line() is None


async def test_a_run_whose_connection_is_lost_gets_its_result_and_is_not_run_twice(scripted: Scripted) -> None:
    scripted.streams["run"] = lambda _: []
    scripted.answers["run"] = {"prompt_id": "p1", "outputs": []}
    async with scenario("run", scripted) as program:
        sent = await frame(scripted, "run")
        await scripted.say({"type": "event", "request": sent["id"], "event": "progress", "data": {"value": 1}})
        assert await program.line() == {"name": "progress", "data": {"value": 1}}
        scripted.drop()
        assert await program.line() == {"prompt_id": "p1"}
    # The same request with the same key, which the server carries out once.
    [repeated] = [body for body in scripted.bodies if body and "idempotency_key" in body]
    assert repeated == sent["data"]


async def test_a_run_is_not_repeated_on_a_server_that_was_restarted(scripted: Scripted) -> None:
    scripted.streams["run"] = lambda _: []
    async with scenario("run", scripted) as program:
        await frame(scripted, "run")
        scripted.answers["connection_status"] = RESTARTED
        scripted.drop()
        assert await program.line() == {"code": "connection_lost"}
    assert not any(request.path.endswith("/run") for request in scripted.seen)


async def test_a_write_arrives_once_the_server_is_back(scripted: Scripted) -> None:
    keys: list[str] = []

    def answer(request: web.Request) -> Any:
        keys.append(scripted.bodies[-1]["idempotency_key"])
        if len(keys) > 1:
            return {"A.b": {"value": 1}}
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    scripted.answers["set_fields"] = answer
    async with scenario("read", scripted) as program:
        assert await program.line() == "connected"
        assert await program.line() == {"value": 1}
    assert len(keys) == 2 and keys[0] == keys[1]


async def test_a_run_that_is_given_up_is_cancelled_on_the_server(scripted: Scripted) -> None:
    scripted.streams["run"] = lambda _: []
    async with scenario("abort", scripted) as program:
        sent = await frame(scripted, "run")
        await scripted.say({"type": "event", "request": sent["id"], "event": "progress", "data": {}})
        assert await program.line() == "enough"
        assert await program.line() is None
    assert {"type": "cancel", "id": sent["id"]} in scripted.frames


def sweeping() -> Callable[[web.Request], Any]:
    """Answers sweep_status with one more result each time."""
    asked = 0

    def answer(request: web.Request) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        ended = min(asked, 3)
        results = [
            {
                **{"index": at, "status": "success", "files": [], "warnings": ["The seed changes."]},
                "fields": [{"path": "A.b", "value": at + 1, "warnings": ["It holds another value."]}],
            }
            for at in range(ended)
        ]
        status = "finished" if ended == 3 else "running"
        return {"status": status, "results": results, "next": None if ended == 3 else ended, "warnings": []}

    return answer


async def test_a_sweep_is_iterated_over_and_cancelled_where_the_loop_is_left(scripted: Scripted) -> None:
    status = sweeping()

    def page(request: web.Request) -> dict[str, Any]:
        first, answer = scripted.bodies[-1]["first"], status(request)
        return {"status": "ok", "response": {**answer, "results": answer["results"][first:]}}

    scripted.answers["sweep"] = lambda _: web.json_response({"status": "ok", "response": {"sweep_id": "s1"}})
    scripted.answers["sweep_status"] = lambda request: web.json_response(page(request))
    async with scenario("sweep", scripted) as program:
        warnings = ["A.b: It holds another value.", "The seed changes."]
        assert [await program.line() for _ in range(3)] == [[at, {"A.b": at + 1}, 0, warnings] for at in range(3)]
        assert await program.line() is None
    [sweep, _] = [body for body in scripted.bodies if body and "grid" in body]
    assert sweep["grid"] == {"A.b": [1, 2, 3]} and sweep["wait"] is False
    cancelled = [request for request in scripted.seen if request.path.endswith("sweep_cancel")]
    assert len(cancelled) == 1


async def test_a_sweep_over_files_sends_their_contents(scripted: Scripted) -> None:
    ended: dict[str, Any] = {"status": "finished", "results": [], "next": None, "warnings": []}
    scripted.answers["sweep"] = lambda _: web.json_response({"status": "ok", "response": {"sweep_id": "s1"}})
    scripted.answers["sweep_status"] = lambda _: web.json_response({"status": "ok", "response": ended})
    async with scenario("pictures", scripted) as program:
        assert await program.line() is None
    [sweep] = [body for body in scripted.bodies if body and "grid" in body]
    picture, text = {"type": "image_base64", "data": "/9j/"}, {"type": "file_base64", "data": "MQowMDowMA=="}
    assert sweep["grid"] == {"A.b": [1, picture, {**text, "filename": "a.srt"}]}


async def test_a_client_that_is_closed_while_it_connects_ends(scripted: Scripted) -> None:
    async with scenario("hasty", scripted) as program:
        assert [await program.line() for _ in range(2)] == ["connection_lost", "connection_lost"]
        assert await program.line() is None


async def test_a_sweep_that_is_given_up_before_its_first_answer_is_cancelled(scripted: Scripted) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def begin(request: web.Request) -> web.Response:
        asked.set()
        await over.wait()
        return web.Response()

    scripted.answers["sweep"] = begin
    async with scenario("abandon", scripted) as program:
        await asyncio.wait_for(asked.wait(), 60)
        listening = await frame(scripted, "subscribe")
        await scripted.say({"type": "event", "request": listening["id"], "event": "output", "data": {}})
        assert await program.line() == "enough"
        assert await program.line() is None
    over.set()
    sweep, cancelled = (body for body in scripted.bodies if body and "sweep_id" in body)
    assert "grid" in sweep and cancelled["sweep_id"] == sweep["sweep_id"]


async def test_without_websocket_everything_but_events_works(scripted: Scripted) -> None:
    scripted.answers["get_fields"] = {"A.b": 1}
    async with scenario("without", scripted) as program:
        assert await program.line() == 1
        code, sentence = await program.line()
        assert code == "unsupported" and "Node.js 22" in sentence
