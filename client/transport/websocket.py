"""A connection to the websocket /uiapi/ws that reconnects, for subscriptions and for requests with events.

The frames are described in docs/programs/websocket.md.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

from ..common.errors import UiapiError, Unreachable, refusal
from ..common.events import Event, Listener, notify
from ..protocol.address import Address
from ..protocol.encoding import encode
from ..protocol.requests import CONNECT_TIMEOUT, FIRST_DELAY, LAST_DELAY, RUNS, asked, late, lost, not_reached

log = logging.getLogger("uiapi")

PROTOCOL = 1
# The largest frame in bytes that either side sends.
MAX_FRAME = 64 * 1024 * 1024
# Seconds to wait for the server's first frame, and for its close frame, which a frozen server does not send.
WELCOME_TIMEOUT, CLOSE_TIMEOUT = CONNECT_TIMEOUT, 2.0
# Seconds between pings; the connection is closed if the pong takes longer than half of that.
HEARTBEAT = 20.0


@dataclass(eq=False)
class _Subscription:
    events: list[str]
    paths: list[str]
    listener: Listener
    ended: Callable[[UiapiError | None], object]
    request_id: str = ""


def opened() -> aiohttp.ClientSession:
    """Returns a session that ignores .netrc, which could replace the token, and follows no websocket redirects."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_stay)
    return aiohttp.ClientSession(trust_env=False, trace_configs=[trace])


async def _stay(session: aiohttp.ClientSession, context: Any, redirect: aiohttp.TraceRequestRedirectParams) -> None:
    # ws_connect has no allow_redirects; a redirect would send the token and the frames to another server.
    answer = redirect.response
    raise aiohttp.WSServerHandshakeError(answer.request_info, answer.history, status=answer.status)


def _frame(text: str) -> dict[str, Any]:
    """Returns a parsed frame, empty if it is invalid."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _noting(prompt_ids: dict[str, None], listener: Listener) -> Listener:
    """Returns a listener that also adds the prompts of its events to `prompt_ids`."""

    def note(event: Event) -> None:
        prompt_id = event.data.get("prompt_id")
        if isinstance(prompt_id, str):
            prompt_ids[prompt_id] = None
        listener(event)

    return note


class Socket:
    """The connection; the first `connect` opens it.

    Args:
        address: the URL of ComfyUI and how to authenticate.
        session: used for the connection; it must stay open until `close`.
        reconnect: seconds to wait for a connection that was open before and has ended.
    """

    def __init__(self, address: Address, session: aiohttp.ClientSession, reconnect: float) -> None:
        self._address = address
        self._session = session
        self._reconnect = reconnect
        self._ids = itertools.count(1)
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._connecting = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: dict[str, Listener] = {}
        self._subscriptions: list[_Subscription] = []
        self._hears_waiting = False
        # Why the last attempt to connect failed.
        self._refused: UiapiError | None = None

    async def connect(self) -> None:
        """Open the connection if necessary. Raises Unreachable, or UiapiError if the server refuses it."""
        async with self._connecting:
            if self._reader is None or self._reader.done():
                ws = await self._greet()
                self._take(ws)
                self._reader = reader = asyncio.create_task(self._keep(ws), name="uiapi events")
            else:
                reader = self._reader
        if not self._connected.is_set():
            connected = asyncio.create_task(self._connected.wait())
            try:
                await asyncio.wait({connected, reader}, timeout=self._reconnect, return_when=asyncio.FIRST_COMPLETED)
            finally:
                connected.cancel()
        if not self._connected.is_set():
            raise self._refused or not_reached(self._address.url, "the connection was closed")

    async def request(self, command: str, data: dict[str, Any], listener: Listener) -> dict[str, Any]:
        """Send a command, pass its events to `listener`, and return the envelope.

        Its events are a run's progress, and `waiting_for_person`.
        """
        # The time-out of the command covers the connecting too.
        ends = monotonic() + asked(command, data).patience
        await self.connect()
        if command not in RUNS and not self._hears_waiting:
            self._hears_waiting = True
            try:
                # Without a subscription the server sends events to runs only.
                await self.subscribe(["waiting_for_person"], self._pass_on)
            except BaseException:
                self._hears_waiting = False
                raise
        return await self._ask(command, data, listener, ends=ends)

    def _pass_on(self, event: Event) -> None:
        """Pass `waiting_for_person` to the listener of the request that waits; runs receive it themselves."""
        listener = self._listeners.get(str(event.data.get("request")))
        if listener is not None and event.data.get("command") not in RUNS:
            notify(listener, event)

    async def subscribe(
        self,
        events: Iterable[str],
        listener: Listener,
        paths: Iterable[str] = (),
        ended: Callable[[UiapiError | None], object] = lambda error: None,
    ) -> Callable[[], None]:
        """Subscribe to events by names or prefixes ("webui_*"); returns a function that ends the subscription.

        `paths` limits it to events about these fields or nodes. It is renewed after reconnections. `ended` is called
        at its end: with an error if the server refuses to renew it, or with None at `close`.
        """
        await self.connect()
        subscription = _Subscription([*events], [*paths], listener, ended)
        await self._begin(subscription)
        self._subscriptions.append(subscription)

        def end() -> None:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._listeners.pop(subscription.request_id, None)
                self._post("unsubscribe", {"subscription": subscription.request_id})

        return end

    async def close(self) -> None:
        """Close the connection and end its subscriptions and requests."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self._end_all(None)

    def _end_all(self, error: UiapiError | None) -> None:
        for subscription in [*self._subscriptions]:
            subscription.ended(error)

    # -- one connection after the other ---------------------------------------------------------------------

    async def _greet(self) -> aiohttp.ClientWebSocketResponse:
        try:
            ws = await asyncio.wait_for(
                self._session.ws_connect(
                    self._address.websocket,
                    headers=self._address.headers,
                    heartbeat=HEARTBEAT,
                    max_msg_size=MAX_FRAME,
                    compress=0,
                    proxy=self._address.proxy,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                ),
                CONNECT_TIMEOUT,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Unreachable(
                "no_extension",
                f"{self._address.url} has no websocket /uiapi/ws (HTTP {error.status}); check the URL, install the "
                "extension and restart ComfyUI.",
                status=error.status,
            ) from None
        except (aiohttp.ClientError, OSError, ValueError, asyncio.TimeoutError) as error:
            raise not_reached(self._address.url, str(error) or "no answer in time") from None
        try:
            hello = {"type": "hello", "role": "client", "protocol": PROTOCOL, "name": self._address.name}
            await ws.send_str(json.dumps(hello))
            welcome = _frame(await asyncio.wait_for(ws.receive_str(), WELCOME_TIMEOUT))
            if welcome.get("type") == "error":
                raise refusal(welcome)
            if welcome.get("type") != "welcome":
                raise TypeError("unexpected frame")
            return ws
        except (TypeError, OSError, aiohttp.ClientError, asyncio.TimeoutError) as error:
            await ws.close()
            raise not_reached(self._address.url, f"it sent no welcome: {error}") from None
        except UiapiError:
            await ws.close()
            raise

    def _take(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws, self._refused = ws, None
        self._connected.set()

    async def _keep(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Read frames until `close`, and reconnect whenever the connection ends."""
        delay = FIRST_DELAY
        while True:
            renewing = asyncio.create_task(self._renew([*self._subscriptions]), name="uiapi subscribing")
            try:
                await self._read(ws)
            finally:
                self._ws = None
                self._connected.clear()
                renewing.cancel()
                self._fail("the server closed it")
                await ws.close()
            while True:
                # Random, so that not all programs reconnect at the same moment.
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                delay = min(delay * 2, LAST_DELAY)
                try:
                    ws = await self._greet()
                except Unreachable as error:
                    self._refused = error
                    continue
                except UiapiError as error:
                    log.error("The event connection was refused: %s", error)
                    self._refused = error
                    self._end_all(error)
                    return
                self._take(ws)
                delay = FIRST_DELAY
                break

    async def _renew(self, subscriptions: list[_Subscription]) -> None:
        for subscription in subscriptions:
            if subscription not in self._subscriptions:
                continue
            try:
                await self._begin(subscription)
            except Unreachable:
                # The next connection renews them all.
                return
            except UiapiError as error:
                log.error("A subscription could not be renewed: %s", error)
                subscription.ended(error)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.ERROR:
                return
            # Invalid frames are ignored, since all listeners share the connection.
            frame = _frame(message.data) if message.type is aiohttp.WSMsgType.TEXT else {}
            if frame.get("type") == "response":
                waiting = self._waiting.pop(str(frame.get("id")), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            elif frame.get("type") == "event":
                listener, data = self._listeners.get(str(frame.get("request"))), frame.get("data")
                if listener is not None and isinstance(frame.get("event"), str):
                    notify(listener, Event(frame["event"], data if isinstance(data, dict) else {}))

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, {}
        self._listeners.clear()
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError(why))

    # -- one request -----------------------------------------------------------------------------------------

    async def _begin(self, subscription: _Subscription) -> None:
        request_id = subscription.request_id = str(next(self._ids))
        self._listeners[request_id] = subscription.listener
        data = {"events": subscription.events, "paths": subscription.paths}
        try:
            await self._ask("subscribe", data, None, request_id)
        except BaseException:
            self._listeners.pop(request_id, None)
            raise

    async def _ask(
        self,
        command: str,
        data: dict[str, Any],
        listener: Listener | None,
        request_id: str | None = None,
        ends: float | None = None,
    ) -> dict[str, Any]:
        sending = asked(command, data)
        left = sending.patience if ends is None else max(ends - monotonic(), 0.001)
        request_id = request_id or str(next(self._ids))
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        # The prompts that the events of a run name; the error needs them if the connection is lost.
        prompt_ids: dict[str, None] = {}
        if listener is not None:
            self._listeners[request_id] = _noting(prompt_ids, listener)
        try:
            frame = await asyncio.wait_for(self._sent(answer, request_id, command, data), left)
        except asyncio.TimeoutError:
            raise late(sending) from None
        except ConnectionError as error:
            raise lost(sending, error, [*prompt_ids]) from None
        except asyncio.CancelledError:
            self._drop(request_id)
            raise
        finally:
            self._waiting.pop(request_id, None)
            if listener is not None:
                self._listeners.pop(request_id, None)
        if frame.get("status") == "error" and "code" in frame:
            raise refusal(frame)
        return {key: value for key, value in frame.items() if key not in ("type", "id")}

    async def _sent(
        self, answer: asyncio.Future[dict[str, Any]], request_id: str, command: str, data: dict[str, Any]
    ) -> dict[str, Any]:
        """Sends a request and returns its answer."""
        await self._send(request_id, command, data)
        return await answer

    async def _send(self, request_id: str, command: str, data: dict[str, Any]) -> None:
        if self._ws is None:
            raise ConnectionError("the websocket is not open")
        frame = {"type": "request", "id": request_id, "command": command, "data": data}
        await self._ws.send_str(encode(frame).decode())

    def _post(self, command: str, data: dict[str, Any]) -> None:
        """Send a request without waiting for the response."""
        if self._ws is not None and not self._ws.closed:
            task = asyncio.ensure_future(self._send(str(next(self._ids)), command, data))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _drop(self, request_id: str) -> None:
        """Cancel a request on the server."""
        if self._ws is not None and not self._ws.closed:
            task = asyncio.ensure_future(self._ws.send_str(json.dumps({"type": "cancel", "id": request_id})))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
