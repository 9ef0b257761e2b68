"""The HTTP client for model hosts: checks each redirect, limits where tokens are sent, and explains refusals."""

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

# CivitAI sends JSON to programs and a page to browsers.
USER_AGENT = "comfyui-uiapi"
# Redirects followed for one request.
MOST_HOPS = 8
# Seconds to connect, and the longest silence before a connection is considered broken.
CONNECT_TIMEOUT = 15.0
SILENCE_TIMEOUT = 30.0
# Seconds for all headers of a response, including the redirects before it, and for the whole of a short response.
# They also end a response that trickles, which is never silent.
HEADERS_TIMEOUT = 30.0
ANSWER_TIMEOUT = 60.0
# Interim responses, such as 100 Continue, allowed before the final response.
MOST_INTERIM = 16
# The most bytes of one response's head.
LONGEST_HEAD = 64 << 10
# Bytes that aiohttp reads ahead, and simultaneous connections per host.
READ_AHEAD = 1 << 20
CONNECTIONS_PER_HOST = 16
# Bytes read of an error page for its message, and of a metadata response.
ERROR_BYTES = 16 << 10
ANSWER_BYTES = 8 << 20

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"\s*HTTP/1\.\d 1")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Statuses after which the same request may succeed.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class Transient(Exception):
    """A temporary failure: `error` is raised if retries do not help, `after` is the wait in seconds the host asked for.

    `refused` distinguishes a host that answered "not now" from a broken connection.
    """

    def __init__(self, error: UiapiError, after: float | None = None, *, refused: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after
        self.refused = refused


class Interim:
    """Counts the interim responses that a host sends before the final one."""

    def __init__(self) -> None:
        self._count = 0
        self._rest = b""
        self._over = False

    def too_many(self, data: bytes) -> bool:
        """Whether these bytes exceed MOST_INTERIM interim responses, or LONGEST_HEAD bytes of one head."""
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
    """A response with a time limit for its headers, counted from when the request was sent.

    The time a request waits for a free connection to its host does not count.
    """

    # Seconds until its headers had arrived.
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

        # aiohttp reads any number of interim responses, ten thousand at a time without yielding to the loop.
        vars(protocol)["data_received"] = look_and_receive
        try:
            async with timeout(HEADERS_TIMEOUT):
                return await super().start(connection)
        finally:
            del vars(protocol)["data_received"]
            self.took = time.monotonic() - began


class Web:
    """Sends the requests of downloads. Create, use and close it on one event loop.

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
        """The response to a GET, after redirects; its status may be an error.

        Raises:
            UiapiError: `host_refused` or `invalid` if the URL, or one it redirects to, may not be requested.
            Transient: the connection failed.
        """
        response = await self._follow("GET", url, secret, headers or {})
        try:
            yield response
        finally:
            response.close()

    @asynccontextmanager
    async def head(self, url: URL, *, secret: Secret | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a HEAD; redirects to another host are returned, not followed. Otherwise as `get`."""
        response = await self._follow("HEAD", url, secret, {})
        try:
            yield response
        finally:
            response.close()

    async def json(self, url: URL, *, secret: Secret | None = None) -> tuple[int, Any]:
        """The status and decoded JSON of a metadata response; None if it is not JSON. Raises as `get`."""
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
                # Not re-encoded: that would break signed URLs.
                target = url.join(read_url(location, encoded=True))
                elsewhere = origin(target) != origin(url)
                usable = location.isprintable()
            except ValueError:
                usable = False
            if not usable:
                response.close()
                raise UiapiError("source_failed", f"{by} redirects to something that is not a URL; try again later.")
            if elsewhere and method == "HEAD":
                return response
            response.release()
            url = target
        raise UiapiError("source_failed", f"{by} redirects more than {MOST_HOPS} times; check the URL.")


def transient(response: aiohttp.ClientResponse) -> Transient:
    """The Transient for a temporary error status."""
    host, after = response.url.host, retry_after(response.headers.get("Retry-After"))
    if response.status == 429:
        error = UiapiError("rate_limited", f"{host} limits the rate of requests; try again later.")
    else:
        error = UiapiError("source_failed", f"{host} is not available now (status {response.status}); try again later.")
    if after is not None:
        error.details["retry_after"] = after
    return Transient(error, after, refused=True)


async def refusal(response: aiohttp.ClientResponse) -> UiapiError | Transient:
    """The exception for a response with an error status."""
    if response.status in TRANSIENT_STATUSES:
        return transient(response)
    said = redact(message_of(decode(await read_most(response, ERROR_BYTES))))
    return refused(response.status, response.url, said, response.headers)


def refused(status: int, url: URL, said: str = "", headers: Mapping[str, str] | None = None) -> UiapiError:
    """The error for a final error status; `said` is the host's own message."""
    where, tail = shown(url), f" ({said})" if said else ""
    host = url.host or ""
    gated = (headers or {}).get("X-Error-Code") == "GatedRepo"
    details: dict[str, Any] = {"host": host, "http_status": status}
    if status == 401:
        return UiapiError("login_required", f"{host} requires a login for {where}{tail}; {token_hint(host)}.", details)
    if status == 403 and gated:
        return UiapiError(
            "gated", f"{where} is gated{tail}; accept its terms on its page with the token's account.", details
        )
    if status == 403 and "early access" in said.lower():
        return UiapiError("early_access", f"{where} is in early access{tail}; buy it there or wait.", details)
    if status == 403:
        return UiapiError("login_required", f"{host} refuses access to {where}{tail}; {token_hint(host)}.", details)
    if status == 404:
        return UiapiError("not_at_source", f"{where} does not exist{tail}; check the URL.", details)
    if status == 410:
        return UiapiError("gone_at_source", f"{where} was taken down{tail}; find another source.", details)
    return UiapiError("source_failed", f"{host} answered {status} for {where}{tail}.", details)


def token_hint(host: str) -> str:
    """How to give a token for a host."""
    if "civitai" in host:
        return "set CIVITAI_API_TOKEN or write the token to ~/.civitai_token"
    if host.endswith(("huggingface.co", "hf.co")):
        return "set HF_TOKEN or log in with `hf auth login`"
    return "if it is a mirror, set its token in HF_TOKEN or CIVITAI_API_TOKEN"


def message_of(data: Any) -> str:
    """The message in a host's JSON error; empty if it has none."""
    if isinstance(data, dict):
        for key in ("message", "error"):
            said = data.get(key)
            if isinstance(said, dict):
                said = said.get("message")
            if line := line_of(said):
                return line
    return ""


def line_of(text: object, most: int = 300) -> str:
    """A host's text as one printable line, with question marks for other characters; empty if it is not a text."""
    if not isinstance(text, str):
        return ""
    line = " ".join(text[: 4 * most].split())[:most]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def decode(body: bytes) -> Any:
    """Decoded JSON, or None if it is invalid or nested too deeply."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def read_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Up to `most` bytes of a body. Transient if the connection breaks or is too slow."""
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
    """The pieces of a body as they arrive. Transient if the connection breaks or is too slow."""
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
        text = f"{host} was not found; check the URL and the network"
    elif isinstance(error, (ssl.SSLError, aiohttp.ClientSSLError)):
        text = f"{host} could not be verified (TLS: {type(error).__name__}); check the system's certificates and clock"
    elif isinstance(error, asyncio.TimeoutError):
        text = f"{host} was silent, or too slow, for too long"
    else:
        text = f"The connection to {host} failed ({type(error).__name__})"
    return Transient(UiapiError("source_failed", f"{text}.", {"host": host}))


# Content types of login pages, consent forms and API errors; model files never have them.
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/problem+json"})
