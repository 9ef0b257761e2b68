"""Requests to model hosts: each hop of a redirect checked, tokens only to whom they belong, refusals understood."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from ...common.errors import UiapiError
from ..common.credentials import Secret, origin, redact
from ..common.throttle import Pace, retry_after
from ..common.urls import read_url, shown
from .host_guard import HostGuard, PinnedResolver

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    # aiohttp needs it there as well.
    from async_timeout import timeout

# CivitAI answers a browser with a page where it answers a program with JSON.
USER_AGENT = "comfyui-uiapi"
# Redirects followed for one request.
MOST_HOPS = 8
# Seconds to connect, and the longest silence before a connection counts as cut.
CONNECT_TIMEOUT = 15.0
SILENCE_TIMEOUT = 30.0
# Seconds for all headers of an answer, those of the redirects before it among them, and for all of an answer that is
# short: what trickles is never silent.
HEADERS_TIMEOUT = 30.0
ANSWER_TIMEOUT = 60.0
# Responses such as 100 Continue that may come before the one that answers.
MOST_INTERIM = 16
# Bytes that the head of one response may have.
LONGEST_HEAD = 64 << 10
# Bytes aiohttp reads ahead of us, and connections one host may have of us at a time.
READ_AHEAD = 1 << 20
CONNECTIONS_PER_HOST = 16
# Bytes of an error page that are read for its message, and of a metadata answer.
ERROR_BYTES = 16 << 10
ANSWER_BYTES = 8 << 20

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"\s*HTTP/1\.\d 1")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Statuses after which the same request may succeed.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class Transient(Exception):
    """A failure that may pass; `error` is what to say if it does not, `after` the seconds the host asked for.

    `refused` tells a host that answered "not now" from a connection that broke.
    """

    def __init__(self, error: UiapiError, after: float | None = None, *, refused: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after
        self.refused = refused


class Interim:
    """Counts the interim responses that a host sends before the one that was asked for."""

    def __init__(self) -> None:
        self._count = 0
        self._rest = b""
        self._over = False

    def too_many(self, data: bytes) -> bool:
        """Whether these further bytes make more than MOST_INTERIM of them, or a head longer than any."""
        if self._over:
            return False
        self._rest += data
        begin = 0
        while (end := _HEAD_END.search(self._rest, begin)) is not None:
            if _INTERIM.match(self._rest, begin) is None:
                self._over, self._rest = True, b""
                return False
            self._count += 1
            if self._count > MOST_INTERIM:
                return True
            begin = end.end()
        self._rest = self._rest[begin:]
        return len(self._rest) > LONGEST_HEAD


class _Response(aiohttp.ClientResponse):
    """A response whose headers have to be there in time, counted from when the request was sent.

    A request may have to wait for its turn before that, for as long as other transfers from its host take.
    """

    # Seconds that its headers took.
    took = 0.0

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        began = time.monotonic()
        protocol = connection.protocol
        if protocol is None:
            raise aiohttp.ServerDisconnectedError
        receive, interim = protocol.data_received, Interim()

        def look_and_receive(data: bytes) -> None:
            if interim.too_many(data):
                protocol.set_exception(aiohttp.ServerConnectionError("nothing but heads"))
                protocol.close()
            else:
                receive(data)

        # aiohttp reads interim responses without an end, ten thousand at a time and before anybody else has a turn.
        vars(protocol)["data_received"] = look_and_receive
        try:
            async with timeout(HEADERS_TIMEOUT):
                return await super().start(connection)
        finally:
            del vars(protocol)["data_received"]
            self.took = time.monotonic() - began


class Web:
    """Requests on behalf of downloads. To be made, used and closed on one event loop.

    Args:
        guard: which hosts may be reached.
    """

    def __init__(self, guard: HostGuard) -> None:
        self._guard = guard
        resolver = PinnedResolver(guard)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=0, limit_per_host=CONNECTIONS_PER_HOST),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE_TIMEOUT),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
            response_class=_Response,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    @asynccontextmanager
    async def get(
        self, url: URL, *, secret: Secret | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a GET, redirects followed; its status may be any other.

        Raises:
            UiapiError: `host_refused` or `invalid` for a URL, first or reached, that may not be requested.
            Transient: no connection.
        """
        response = await self._follow("GET", url, secret, headers or {})
        try:
            yield response
        finally:
            response.close()

    @asynccontextmanager
    async def head(self, url: URL, *, secret: Secret | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a HEAD, a redirect to another host being one. Otherwise as `get`."""
        response = await self._follow("HEAD", url, secret, {})
        try:
            yield response
        finally:
            response.close()

    async def json(self, url: URL, *, secret: Secret | None = None) -> tuple[int, Any]:
        """The status and decoded JSON of a metadata answer; None for what is not JSON. As `get`."""
        async with self.get(url, secret=secret, headers={"Accept": "application/json"}) as response:
            if response.status in TRANSIENT_STATUSES:
                raise transient(response)
            return response.status, decode(await read_most(response, ANSWER_BYTES))

    async def _follow(
        self, method: str, url: URL, secret: Secret | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        by, took = "", 0.0
        for _ in range(MOST_HOPS):
            self._guard.check(url, reached_by=by)
            sent = {"Accept-Encoding": "identity", **headers, **(secret.headers_for(url) if secret else {})}
            try:
                response = await self._session.request(method, url, headers=sent, allow_redirects=False)
            except (aiohttp.ClientError, asyncio.TimeoutError, ssl.SSLError, OSError) as error:
                raise _broken(url, error) from error
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            took += response.took if isinstance(response, _Response) else 0.0
            if took > HEADERS_TIMEOUT:
                response.close()
                raise _broken(url, asyncio.TimeoutError())
            by = url.host or ""
            try:
                # As it came: signed addresses do not survive being encoded anew.
                target = url.join(read_url(location, encoded=True))
                elsewhere = origin(target) != origin(url)
                usable = location.isprintable()
            except ValueError:
                usable = False
            if not usable:
                response.close()
                raise UiapiError("source_failed", f"{by} redirects to something that is no address.")
            if elsewhere and method == "HEAD":
                return response
            response.release()
            url = target
        raise UiapiError("source_failed", f"{by} redirects more than {MOST_HOPS} times; the address leads nowhere.")


def transient(response: aiohttp.ClientResponse) -> Transient:
    """What a status that may pass means."""
    host, after = response.url.host, retry_after(response.headers.get("Retry-After"))
    if response.status == 429:
        error = UiapiError("rate_limited", f"{host} limits how often it may be asked; try again later.")
    else:
        error = UiapiError("source_failed", f"{host} is not available now (status {response.status}); try again later.")
    if after is not None:
        error.details["retry_after"] = after
    return Transient(error, after, refused=True)


async def refusal(response: aiohttp.ClientResponse) -> UiapiError | Transient:
    """What a status other than success means."""
    if response.status in TRANSIENT_STATUSES:
        return transient(response)
    said = redact(message_of(decode(await read_most(response, ERROR_BYTES))))
    return refused(response.status, response.url, said, response.headers)


def refused(status: int, url: URL, said: str = "", headers: Mapping[str, str] | None = None) -> UiapiError:
    """A final status of a host as an error with its own code; `said` is the host's own message."""
    where, tail = shown(url), f" ({said})" if said else ""
    host = url.host or ""
    gated = (headers or {}).get("X-Error-Code") == "GatedRepo"
    details: dict[str, Any] = {"host": host, "http_status": status}
    if status == 401:
        return UiapiError("login_required", f"{host} wants a login for {where}{tail}; {token_hint(host)}.", details)
    if status == 403 and gated:
        return UiapiError(
            "gated", f"{where} is gated{tail}; accept its terms on its page with the token's account.", details
        )
    if status == 403 and "early access" in said.lower():
        return UiapiError("early_access", f"{where} is in early access{tail}; buy it there or wait.", details)
    if status == 403:
        return UiapiError(
            "login_required", f"{host} refuses {where}{tail}; check access with {token_hint(host)}.", details
        )
    if status == 404:
        return UiapiError("not_at_source", f"There is no {where}{tail}; check the address.", details)
    if status == 410:
        return UiapiError("gone_at_source", f"{where} was taken down{tail}; find another source.", details)
    return UiapiError("source_failed", f"{host} answered {status} for {where}{tail}.", details)


def token_hint(host: str) -> str:
    """How to give a token for a host."""
    if "civitai" in host:
        return "set CIVITAI_API_TOKEN or write the token to ~/.civitai_token"
    if host.endswith(("huggingface.co", "hf.co")):
        return "set HF_TOKEN or log in with `hf auth login`"
    return "a token of that host in HF_TOKEN or CIVITAI_API_TOKEN if it is a mirror named there"


def message_of(data: Any) -> str:
    """The sentence in a host's JSON error."""
    if isinstance(data, dict):
        for key in ("message", "error"):
            said = data.get(key)
            if isinstance(said, dict):
                said = said.get("message")
            if line := line_of(said):
                return line
    return ""


def line_of(text: object, most: int = 300) -> str:
    """A host's text as one line that can be shown and sent, what cannot being a question mark; empty for no text."""
    if not isinstance(text, str):
        return ""
    line = " ".join(text[: 4 * most].split())[:most]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def decode(body: bytes) -> Any:
    """JSON, or None for anything else, nested beyond reason included."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def read_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Up to `most` bytes of a body. Transient when the connection breaks, or they take too long."""
    body = bytearray()
    try:
        async with timeout(ANSWER_TIMEOUT):
            async for piece in pieces(response):
                body += piece
                if len(body) >= most:
                    break
    except asyncio.TimeoutError as error:
        raise _broken(response.url, error) from error
    return bytes(body[:most])


async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """A body as it comes in. Transient when the connection breaks, or too little comes."""
    pace = Pace()
    try:
        while True:
            began = time.monotonic()
            piece = await response.content.readany()
            if not piece:
                return
            if pace.too_slow(time.monotonic() - began, len(piece)):
                raise asyncio.TimeoutError
            yield piece
    except (aiohttp.ClientError, asyncio.TimeoutError, ssl.SSLError, OSError) as error:
        raise _broken(response.url, error) from error


def _broken(url: URL, error: BaseException) -> Transient:
    host = url.host or "The host"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        text = f"{host} was not found; check the address and the network"
    elif isinstance(error, (ssl.SSLError, aiohttp.ClientSSLError)):
        text = f"{host} could not be verified (TLS: {type(error).__name__}); check the system's certificates and clock"
    elif isinstance(error, asyncio.TimeoutError):
        text = f"{host} was silent, or slow, for too long"
    else:
        text = f"The connection to {host} failed ({type(error).__name__})"
    return Transient(UiapiError("source_failed", f"{text}.", {"host": host}))


# What a login page, a consent form or an API's error come as; no model file does.
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/problem+json"})
