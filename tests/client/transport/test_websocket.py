"""The websocket: reconnection, closing and errors, and their effect on listeners and requests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, Unreachable
from comfyui_uiapi.client.transport import websocket
from comfyui_uiapi.tests.client.conftest import Blocking
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted

REFUSED = {"type": "error", "status": "error", "code": "wrong_token", "error": "This is not the token."}
OK = [{"status": "ok", "response": {}}]


class Iterating:
    """A thread that iterates over `client.events`, and its result."""

    def __init__(self, client: Client, *names: str) -> None:
        self.names: list[str] = []
        self.error: UiapiError | None = None
        self._client, self._asked = client, names
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._client.events(*self._asked):
                self.names.append(event.name)
        except UiapiError as error:
            self.error = error

    async def subscribed(self, scripted: Scripted, eventually: Callable[..., Any]) -> None:
        """Wait until it is subscribed, which an event shows that the server sends afterwards."""
        await eventually(lambda: "subscribe" in scripted.commands())
        await scripted.say({"type": "event", "event": "first", "request": scripted.frames[-1]["id"]})
        await eventually(lambda: self.names == ["first"])

    async def ended(self) -> bool:
        await asyncio.to_thread(self._thread.join, 60)
        return not self._thread.is_alive()


def is_away(client: Client) -> bool:
    """Whether a client has noticed that its connection has ended."""
    assert client._background is not None
    return client._background._socket._ws is None


async def test_events_end_when_the_client_is_closed(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    client = Client(scripted.url)
    iterating = Iterating(client, "a")
    await iterating.subscribed(scripted, eventually)
    await blocking(client.close)
    assert await iterating.ended() and iterating.error is None


async def test_events_of_the_async_client_end_when_it_is_closed(scripted: Scripted) -> None:
    client = AsyncClient(scripted.url)

    async def iterate() -> list[str]:
        async with client.events("a") as events:
            started.set()
            return [event.name async for event in events]

    started = asyncio.Event()
    iterating = asyncio.create_task(iterate())
    await asyncio.wait_for(started.wait(), 60)
    await client.close()
    assert await asyncio.wait_for(iterating, 60) == []


async def test_events_end_with_an_error_if_a_reconnection_is_refused(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    with Client(scripted.url) as client:
        iterating = Iterating(client, "a")
        await iterating.subscribed(scripted, eventually)
        scripted.greeting = REFUSED
        scripted.drop()
        assert await iterating.ended()
        assert iterating.error is not None and iterating.error.code == "wrong_token"
        with pytest.raises(UiapiError, match="not the token"):
            await blocking(client.on, "b", print)
        scripted.greeting = {"type": "welcome"}
        await blocking(client.on, "b", print)
        await blocking(client.close)


async def test_ending_the_iteration_ends_the_subscription(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    with Client(scripted.url) as client:
        assert await blocking(lambda: [*client.events("a", timeout=0.05)]) == []
        await eventually(lambda: scripted.commands() == ["subscribe", "unsubscribe"])
        assert scripted.frames[1]["data"] == {"subscription": scripted.frames[0]["id"]}
        await blocking(client.close)


@pytest.mark.parametrize("reconnect", [0, 0.3])
async def test_a_comfyui_that_stays_away_is_unreachable_after_the_time_to_reconnect(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any], reconnect: float
) -> None:
    with Client(scripted.url, reconnect=reconnect) as client:
        await blocking(client.on, "a", print)
        await scripted.stop()
        await eventually(lambda: is_away(client))
        for invoke in (lambda: client.on("b", print), lambda: client.run(on_event=print)):
            began = time.monotonic()
            with pytest.raises(Unreachable, match="COMFYUI_URL") as failed:
                await blocking(invoke)
            assert failed.value.code == "unreachable" and reconnect <= time.monotonic() - began < reconnect + 60
        await blocking(client.close)


async def test_a_comfyui_that_comes_back_in_time_is_waited_for(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": {"prompt_id": "p1", "outputs": []}}]
    with Client(scripted.url, reconnect=60) as client:
        await blocking(client.on, "a", print)
        await scripted.stop()
        await eventually(lambda: is_away(client))
        running = asyncio.ensure_future(blocking(client.run, on_event=print))
        await asyncio.sleep(0.1)
        await scripted.start()
        assert (await running).prompt_id == "p1"
        await blocking(client.close)


async def test_one_refused_listener_does_not_silence_the_others(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    refused = {"status": "error", "code": "invalid", "error": "No event has that name."}
    unwelcome = {"bad"}
    scripted.streams["subscribe"] = lambda frame: [refused] if unwelcome & {*frame["data"]["events"]} else OK
    received: list[str] = []
    with Client(scripted.url) as client:
        with pytest.raises(UiapiError, match="No event"):
            await blocking(client.on, "bad", print)
        late = Iterating(client, "later refused")
        await eventually(lambda: len(scripted.frames) == 2)
        await late.subscribed(scripted, eventually)
        await blocking(client.on, "good", lambda event: received.append(event.name))
        unwelcome.add("later refused")
        scripted.frames.clear()
        scripted.drop()
        await eventually(lambda: len(scripted.frames) >= 2)
        assert [frame["data"].get("events") for frame in scripted.frames[:2]] == [["later refused"], ["good"]]
        [good] = [frame["id"] for frame in scripted.frames if frame["data"].get("events") == ["good"]]
        await scripted.say({"type": "event", "event": "good", "request": good, "data": {}})
        await eventually(lambda: received == ["good"])
        assert await late.ended() and late.error is not None and late.error.code == "invalid"
        await blocking(client.close)


@pytest.mark.parametrize(
    "frame",
    [
        "{}", "[]", "null", "{", "[" * 100_000, '{"type": "event"}', '{"type": "event", "event": 1, "request": "1"}',
        '{"type": "response"}', '{"type": ["x"]}', '{"type": "event", "event": "a", "request": "1", "data": []}',
    ],
)  # fmt: skip
async def test_an_invalid_frame_is_ignored(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any], frame: str
) -> None:
    received: list[dict[str, Any]] = []
    with Client(scripted.url) as client:
        await blocking(client.on, "a", lambda event: received.append(event.data))
        await scripted.say(frame)
        await scripted.say({"type": "event", "event": "a", "request": scripted.frames[0]["id"], "data": {"n": 1}})
        await eventually(lambda: {"n": 1} in received)
        assert len(scripted.heads) == 1
        await blocking(client.close)


@pytest.mark.parametrize("greeting", [{"type": "nonsense"}, {}])
async def test_a_server_that_sends_no_welcome_is_not_a_comfyui(scripted: Scripted, greeting: dict[str, Any]) -> None:
    scripted.greeting = greeting
    async with AsyncClient(scripted.url) as client:
        with pytest.raises(Unreachable, match="welcome"):
            await client.on("a", print)


@pytest.mark.parametrize("way", ["on", "run", "events"])
async def test_a_server_that_accepts_the_websocket_and_stays_silent_is_not_a_comfyui(
    scripted: Scripted, blocking: Blocking, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    patience = websocket.WELCOME_TIMEOUT
    monkeypatch.setattr(websocket, "WELCOME_TIMEOUT", 0.2)
    scripted.greeting = None
    with Client(scripted.url) as client:
        ways: dict[str, Callable[[], Any]] = {
            "on": lambda: client.on("a", print),
            "run": lambda: client.run(on_event=print),
            "events": lambda: next(client.events("a")),
        }
        with pytest.raises(Unreachable, match="sent no welcome") as failed:
            await blocking(ways[way])
        assert failed.value.code == "unreachable" and scripted.frames == []
        # A later connection may succeed.
        monkeypatch.setattr(websocket, "WELCOME_TIMEOUT", patience)
        scripted.greeting = {"type": "welcome"}
        await blocking(client.on, "a", print)
        await blocking(client.close)
    async with AsyncClient(scripted.url) as async_client:
        monkeypatch.setattr(websocket, "WELCOME_TIMEOUT", 0.2)
        scripted.greeting = None
        with pytest.raises(Unreachable, match="sent no welcome"):
            await async_client.on("a", print)


async def test_a_server_that_comes_back_silent_is_retried_and_requests_time_out(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    patience = websocket.WELCOME_TIMEOUT
    async with AsyncClient(scripted.url, reconnect=0.3) as client:
        await client.on("a", print)
        monkeypatch.setattr(websocket, "WELCOME_TIMEOUT", 0.1)
        scripted.greeting = None
        scripted.drop()
        await eventually(lambda: len(scripted.heads) > 2)
        with pytest.raises(Unreachable) as failed:
            await client.on("b", print)
        assert failed.value.code == "unreachable"
        monkeypatch.setattr(websocket, "WELCOME_TIMEOUT", patience)
        scripted.greeting = {"type": "welcome"}
        await eventually(lambda: scripted.commands().count("subscribe") == 2)


async def test_a_request_without_a_response_times_out_and_the_connection_stays(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_uiapi.client.protocol.requests.GRACE", 0.1)
    scripted.streams["run"] = lambda frame: []
    async with AsyncClient(scripted.url) as client:
        with pytest.raises(UiapiError, match=r"did not answer run within 0\.2 s") as failed:
            await client.run(timeout=0.1, on_event=print)
        assert failed.value.code == "timeout"
        await client.on("a", print)
    assert len(scripted.heads) == 1


async def test_requests_fail_when_the_client_is_closed(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    scripted.streams["run"] = lambda frame: []
    client = Client(scripted.url)
    running = asyncio.ensure_future(blocking(client.run, on_event=print))
    await eventually(lambda: "run" in scripted.commands())
    await blocking(client.close)
    with pytest.raises(Unreachable, match="may or may not"):
        await running


async def test_a_run_that_is_no_longer_waited_for_is_cancelled(
    scripted: Scripted, blocking: Blocking, eventually: Callable[..., Any]
) -> None:
    class Enough(Exception):
        pass

    def stop(event: Any) -> None:
        raise Enough

    scripted.streams["run"] = lambda frame: []
    with Client(scripted.url) as client:
        running = asyncio.ensure_future(blocking(client.run, on_event=stop))
        await eventually(lambda: "run" in scripted.commands())
        await scripted.say({"type": "event", "event": "progress", "request": scripted.frames[0]["id"], "data": {}})
        with pytest.raises(Enough):
            await running
        await eventually(lambda: scripted.frames[-1] == {"type": "cancel", "id": scripted.frames[0]["id"]})
        await blocking(client.close)


async def test_a_run_with_events_goes_to_the_named_tab(scripted: Scripted, blocking: Blocking) -> None:
    scripted.streams["run"] = lambda frame: [{"status": "ok", "response": {"prompt_id": "p1", "outputs": []}}]
    with Client(scripted.url, webui=7) as client:
        await blocking(client.run, on_event=print)
        await blocking(client.close)
    async with AsyncClient(scripted.url, webui=7) as async_client:
        await async_client.run(on_event=print)
    assert [frame["data"] for frame in scripted.frames] == [{"webui": 7}, {"webui": 7}]


async def test_a_connection_without_a_heartbeat_is_closed(
    monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT", 1.0)
    greeted = 0

    async def frozen(request: web.Request) -> web.WebSocketResponse:
        # Answers once, and then nothing, not even a ping.
        nonlocal greeted
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive_json()
        await ws.send_json({"type": "welcome"})
        frame = await ws.receive_json()
        await ws.send_json({"type": "response", "id": frame["id"], **OK[0]})
        greeted += 1
        await asyncio.Event().wait()
        return ws

    app = web.Application()
    app.router.add_get("/uiapi/ws", frozen)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with AsyncClient(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
        await client.on("a", print)
        await eventually(lambda: greeted > 1)
    await runner.cleanup()
