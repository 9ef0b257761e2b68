"""The base class of AsyncClient: requests over aiohttp, and events on the caller's event loop."""

from __future__ import annotations

import asyncio
import io
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from importlib import import_module
from typing import Any

import aiohttp
from yarl import URL

from ..common.errors import UiapiError, Unreachable
from ..common.events import Event, Listener
from ..protocol.address import Address
from ..protocol.requests import CONNECT_TIMEOUT, FIRST_DELAY, LAST_DELAY, Asked, late, lost, not_reached
from ..sweep.async_farmed import AsyncFarmSweep
from ..sweep.async_sweep import AsyncSweep
from ..sweep.farmed import Runner
from ..sweep.variations import Variation
from ..transport.websocket import Socket, opened

# Bytes from which a body is sent in pieces, so that the event loop is not blocked meanwhile.
LARGE = 2**20


class AsyncBase:
    """Connections to one ComfyUI, opened at first use.

    Args:
        address: its URL and how to authenticate.
        reconnect: seconds to keep trying when a ComfyUI that responded before cannot be reached.
    """

    def __init__(self, address: Address, reconnect: float) -> None:
        self._address = address
        self._locating = asyncio.Lock()
        self._reconnect = reconnect
        self._answered_before = False
        self._session: aiohttp.ClientSession | None = None
        self._socket: Socket | None = None
        # Those whose loops are not over.
        self._sweeps: weakref.WeakSet[AsyncSweep | AsyncFarmSweep] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """The URL of ComfyUI. Without a given one this is the ComfyUI that the first request found."""
        return self._address.url

    @property
    def token(self) -> str | None:
        """The token that is sent with every request."""
        return self._address.token

    async def on(
        self, events: str | Iterable[str], listener: Listener, *, paths: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Call `listener(event)` on this event loop for events with these names or prefixes, such as "webui_*".

        `paths`, such as ["Sampler"], limits them to events about these fields or nodes. The subscription survives
        reconnections. Returns a function that ends it.
        """
        return await (await self._events()).subscribe([events] if isinstance(events, str) else events, listener, paths)

    @asynccontextmanager
    async def events(self, *names: str, paths: Iterable[str] = ()) -> AsyncIterator[AsyncIterator[Event]]:
        """Iterates over events: `async with client.events("output") as events: async for event in events: …`."""
        found: asyncio.Queue[Event | UiapiError | None] = asyncio.Queue()
        end = await (await self._events()).subscribe(names or ("*",), found.put_nowait, paths, found.put_nowait)

        async def each() -> AsyncGenerator[Event, None]:
            while (event := await found.get()) is not None:
                if isinstance(event, UiapiError):
                    raise event
                yield event

        try:
            async with aclosing(each()) as events:
                yield events
        finally:
            end()

    async def close(self) -> None:
        """Close every connection; sweeps that are not to be kept are cancelled."""
        for sweep in [*self._sweeps]:
            await sweep.close()
        socket, self._socket = self._socket, None
        session, self._session = self._session, None
        if socket is not None:
            await socket.close()
        if session is not None:
            await session.close()

    def _runner(
        self,
        export: Callable[[list[Variation]], Coroutine[Any, Any, list[dict[str, Any]]]],
        read: Callable[[str], Coroutine[Any, Any, bytes]],
        *arguments: Any,
        **options: Any,
    ) -> Runner:
        """Returns what runs a sweep on a farm, on a thread; `export` and `read` are awaited on this event loop."""
        loop = asyncio.get_running_loop()
        run = import_module("..farm.sweep", __package__).run

        def exported(variations: list[Variation]) -> list[dict[str, Any]]:
            return asyncio.run_coroutine_threadsafe(export(variations), loop).result()

        def content(path: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(read(path), loop).result()

        return lambda stop: run(exported, *arguments, read=content, stop=stop, **options)

    async def _watched(self, command: str, data: dict[str, Any], listener: Listener) -> dict[str, Any]:
        """Sends a command, passes its events to `listener`, and returns the response envelope."""
        return await (await self._events()).request(command, data, listener)

    async def _exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]:
        """Returns the HTTP status and body of the response; see Http.exchange."""
        await self._located()
        patience = self._reconnect if reconnect is None else reconnect
        # The time-out of the request covers its repetitions too.
        ends = time.monotonic() + sending.patience
        until: float | None = None
        delay = FIRST_DELAY
        while True:
            try:
                response = await self._send(sending, ends)
                self._answered_before = True
                return response
            except Unreachable as error:
                safe = error.code == "unreachable" or sending.route.risk == "read"
                if not safe or not self._answered_before:
                    raise
                until = until or min(time.monotonic() + patience, ends)
                if time.monotonic() + delay > until:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    async def _send(self, sending: Asked, ends: float) -> tuple[int, bytes]:
        try:
            async with self._opened().request(
                "GET" if sending.body is None else "POST",
                # The path is quoted already.
                URL(f"{self.url}{sending.path}", encoded=True),
                data=_payload(sending.body),
                headers={"Content-Type": "application/json", **self._address.headers},
                timeout=aiohttp.ClientTimeout(total=max(ends - time.monotonic(), 0.001), sock_connect=CONNECT_TIMEOUT),
                allow_redirects=False,
                proxy=self._address.proxy,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL, UnicodeError) as error:
            raise not_reached(self.url, error) from None
        except asyncio.TimeoutError as error:
            if isinstance(error, aiohttp.ConnectionTimeoutError):
                raise not_reached(self.url, "no answer in time") from None
            raise late(sending) from None
        except aiohttp.ClientError as error:
            raise lost(sending, error) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = opened()
        return self._session

    async def _events(self) -> Socket:
        address = await self._located()
        if self._socket is None:
            self._socket = Socket(address, self._opened(), self._reconnect)
        return self._socket

    async def _located(self) -> Address:
        async with self._locating:
            if self._address.is_default:
                from ..transport.finder import located

                self._address = await asyncio.to_thread(located, self._address)
            return self._address


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    """Returns a body in the form in which aiohttp sends it in pieces if it is large, as pictures are."""
    return body if body is None or len(body) < LARGE else io.BytesIO(body)
