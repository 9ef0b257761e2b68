"""Connections of both clients: interruptions, reconnection, events, downloads and cleanup."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from comfyui_uiapi.client import AsyncClient, Client, UiapiError, Unreachable
from comfyui_uiapi.tests.client.conftest import Blocking
from comfyui_uiapi.tests.harness.comfy.process import free_port

# -- coming back ------------------------------------------------------------------------------------------------


class Flaky:
    """A TCP server that can be stopped and restarted on its port; `answers` sets its behaviour."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests = 0
        self.agents: list[bytes] = []
        self.cut = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
            length = re.search(rb"content-length: (\d+)", header.lower())
            await reader.readexactly(int(length[1]) if length else 0)
            self.requests += 1
            self.agents += re.findall(rb"(?im)^user-agent: (.*)\r$", header)
            if self.cut:
                self.cut -= 1
                break
            body = b'{"status": "ok", "response": {"a": 1}}'
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            break
        writer.close()


@pytest.fixture
async def flaky() -> Any:
    """A running Flaky server."""
    server = Flaky()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["sync", "async"])
async def either(request: pytest.FixtureRequest, flaky: Flaky, blocking: Blocking) -> Any:
    """Calls a method of a Client and of an AsyncClient of the flaky server: `await either("get", "a")`."""
    url = f"http://127.0.0.1:{flaky.port}"
    with Client(url, reconnect=60) as client:
        async with AsyncClient(url, reconnect=60) as async_client:

            async def call(method: str, *arguments: Any) -> Any:
                if request.param == "sync":
                    return await blocking(getattr(client, method), *arguments)
                return await getattr(async_client, method)(*arguments)

            yield call


Either = Callable[..., Awaitable[Any]]


async def test_a_comfyui_that_restarts_is_waited_for(flaky: Flaky, either: Either) -> None:
    assert await either("get", "a") == 1
    await flaky.stop()
    asking = asyncio.ensure_future(either("set", {"a": 1}))
    await asyncio.sleep(0.05)
    assert not asking.done()
    await flaky.start()
    assert await asking == {"a": 1}


async def test_a_read_is_retried_when_the_connection_breaks(flaky: Flaky, either: Either) -> None:
    await either("get", "a")
    flaky.cut = 2
    assert await either("get", "a") == 1
    assert flaky.requests == 4


async def test_a_run_is_never_retried_on_a_broken_connection(flaky: Flaky, either: Either) -> None:
    await either("get", "a")
    flaky.cut = 1
    with pytest.raises(Unreachable, match="may or may not") as failed:
        await either("run")
    assert failed.value.code == "connection_lost" and flaky.requests == 2


async def test_the_programs_name_is_sent_to_the_server(flaky: Flaky, blocking: Blocking) -> None:
    url = f"http://127.0.0.1:{flaky.port}"
    with Client(url, name="Sweep") as client:
        await blocking(client.get, "a")
    async with AsyncClient(url, name="Größe \r\nX: y") as async_client:
        await async_client.get("a")
    assert flaky.agents == [b"Sweep", b"Gr??e ??X: y"]


# -- events -----------------------------------------------------------------------------------------------------


async def test_listeners_are_called_in_order_with_their_events_until_they_end(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, eventually: Any
) -> None:
    received: list[tuple[str, int]] = []
    end = await blocking(client.on, "a_*", lambda event: received.append((event.name, event.data["n"])))
    also: list[int] = []
    await async_client.on(["a_1", "b"], lambda event: also.append(event.data["n"]))
    for number in range(100):
        server.bridge.publish("a_1", {"n": number})
    server.bridge.publish("b", {"n": -1})
    await eventually(lambda: len(received) == 100 and len(also) == 101)
    assert received == [("a_1", number) for number in range(100)] and also == [*range(100), -1]
    end()
    await eventually(lambda: len(server.bridge.subscriptions) == 1)
    server.bridge.publish("a_1", {"n": 100})
    await eventually(lambda: len(also) == 102)
    assert len(received) == 100


async def test_a_listener_with_paths_is_called_only_for_those_nodes(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, eventually: Any
) -> None:
    received: list[str] = []
    await blocking(client.on, "changed", lambda event: received.append(event.data["path"]), paths=["A"])
    await async_client.on("changed", lambda event: received.append(event.data["path"]), paths=["A.b"])
    for path in ("A.b", "B.b", "A.c"):
        server.bridge.publish("changed", {"path": path})
    await eventually(lambda: len(received) == 3)
    assert sorted(received) == ["A.b", "A.b", "A.c"]


async def test_a_listener_that_fails_is_logged_and_the_next_event_arrives(
    server: Any, client: Client, blocking: Blocking, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    received: list[int] = []

    def listener(event: Any) -> None:
        received.append(event.data["n"])
        raise ValueError("mine")

    await blocking(client.on, "a", listener)
    for number in range(2):
        server.bridge.publish("a", {"n": number})
    await eventually(lambda: received == [0, 1])
    assert "mine" in caplog.text


async def test_a_listener_may_use_the_client(server: Any, client: Client, blocking: Blocking, eventually: Any) -> None:
    tab = await server.tab()
    tab.on("get_fields", {"a": 1})
    received: list[int] = []
    await blocking(client.on("b"), lambda event: received.append(client.get("a")))
    server.bridge.publish("b", {})
    await eventually(lambda: received == [1])


async def test_subscriptions_are_renewed_after_the_connection_broke(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, eventually: Any
) -> None:
    received: list[tuple[str, int]] = []
    await blocking(client.on, "a", lambda event: received.append(("sync", event.data["n"])))
    await async_client.on("a", lambda event: received.append(("async", event.data["n"])))
    for handler in [*server.http.handler.connections]:
        if handler.transport is not None:
            handler.transport.abort()

    def arrives_at_both() -> bool:
        # Only over new connections, since the old ones are cut.
        server.bridge.publish("a", {"n": 1})
        return {("async", 1), ("sync", 1)} <= {*received}

    await eventually(arrives_at_both)
    await eventually(lambda: len(server.bridge.subscriptions) == 2)
    server.bridge.publish("a", {"n": 2})
    await eventually(lambda: {("async", 2), ("sync", 2)} <= {*received})
    assert received.count(("async", 2)) == received.count(("sync", 2)) == 1


async def test_events_can_be_iterated(
    server: Any, client: Client, async_client: AsyncClient, blocking: Blocking, eventually: Any
) -> None:
    def first_two() -> list[str]:
        return [event.name for event, _ in zip(client.events("a_*"), range(2), strict=False)]

    waiting = asyncio.ensure_future(blocking(first_two))
    async with async_client.events() as events:
        await eventually(lambda: len(server.bridge.subscriptions) == 2)
        for name in ("b", "a_1", "a_2", "a_3"):
            server.bridge.publish(name, {})
        assert [(await anext(events)).name for _ in range(4)] == ["b", "a_1", "a_2", "a_3"]
    assert await waiting == ["a_1", "a_2"]


async def test_closing_leaves_no_thread_and_no_connection(server: Any, blocking: Blocking, eventually: Any) -> None:
    threads = {*threading.enumerate()}
    client = Client(server.url("").rstrip("/"))
    await blocking(client.on, "*", lambda event: None)
    await blocking(client.close)
    # The one that called listeners has been ended, and need not be over at once.
    await eventually(
        lambda: not [thread for thread in {*threading.enumerate()} - threads if thread.name.startswith("uiapi")]
    )
    await eventually(lambda: len(server.bridge.subscriptions) == 0)


# -- models -----------------------------------------------------------------------------------------------------


class TestDownloads:
    """A server with scripted downloads."""

    @pytest.fixture
    async def download_server(self) -> Any:
        states = [
            {"status": "downloading", "completed": False, "progress": {"a": {"status": "downloading", "bytes": 1}}},
            {"status": "completed", "completed": True, "progress": {"a": {"status": "success", "path": "/m/a"}}},
        ]
        asked: list[Any] = []

        async def begin(request: web.Request) -> web.Response:
            asked.append(await request.json())
            return web.json_response({"status": "ok", "download_id": "d1"})

        async def state(request: web.Request) -> web.Response:
            return web.json_response(states.pop(0) if len(states) > 1 else states[0])

        async def cancel(request: web.Request) -> web.Response:
            asked.append("cancel")
            return web.json_response({"status": "ok"})

        app = web.Application()
        app.add_routes(
            [
                web.post("/uiapi/download_models", begin),
                web.get("/uiapi/download_status/d1", state),
                web.post("/uiapi/download_cancel", cancel),
            ]
        )
        download_server = TestServer(app)
        await download_server.start_server()
        yield str(download_server.make_url("")).rstrip("/"), states, asked
        await download_server.close()

    async def test_models_are_waited_for_with_their_progress(self, download_server: Any, blocking: Blocking) -> None:
        url, _states, asked = download_server
        seen: list[str] = []
        with Client(url) as client:
            done = await blocking(
                client.download_models, {"a": "https://h/a"}, on_progress=lambda state: seen.append(state["status"])
            )
        assert done == {"a": {"status": "success", "path": "/m/a"}} and seen == ["downloading", "completed"]
        assert asked == [{"download_table": {"a": "https://h/a"}}]

    async def test_a_model_that_cannot_be_downloaded_is_an_error_with_its_reason(self, download_server: Any) -> None:
        url, states, _ = download_server
        failed = {"status": "error", "error": "Log in first."}
        states[:] = [{"status": "error", "completed": True, "error": "Log in first.", "progress": {"a": failed}}]
        async with AsyncClient(url) as client:
            with pytest.raises(UiapiError, match="Log in first") as error:
                await client.download_models()
        assert error.value.code == "download_failed" and error.value.details["failed"] == {"a": failed}

    async def test_a_download_beyond_its_timeout_is_cancelled(self, download_server: Any) -> None:
        url, states, asked = download_server
        states[:] = states[:1]
        async with AsyncClient(url) as client:
            with pytest.raises(UiapiError) as error:
                await client.download_models(timeout=0.01)
        assert error.value.code == "timeout" and asked[-1] == "cancel"


async def test_waiting_until_ready_ends_with_the_first_tab(
    server: Any, client: Client, blocking: Blocking, eventually: Any
) -> None:
    waiting = asyncio.ensure_future(blocking(client.wait_until_ready, 60))
    await eventually(lambda: server.bridge.webuis.lobby.pending_count)
    assert not waiting.done()
    tab = await server.tab()
    tab.on("get_fields", {})
    await waiting
