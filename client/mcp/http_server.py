"""The MCP server over streamable HTTP (`uiapi mcp --http`), for agents on other machines.

Every request needs the bearer token. Requests of browsers, which have an Origin, are refused: an agent is no web page,
and a page must not reach the tools through a browser on this machine.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from ..common.errors import UiapiError
from .calls import Calls
from .server import connection, server
from .work import Work

# The path of the endpoint.
PATH = "/mcp"
# Seconds for open streams to end after Ctrl-C.
GRACE = 2

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """Where to listen.

    Attributes:
        host, port: the address.
        secret: the token that agents send.
        certificate, key: paths of the TLS certificate and its key, in PEM format; None for plain HTTP.
    """

    host: str
    port: int
    secret: str
    certificate: str | None = None
    key: str | None = None

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}{PATH}"


class Guard:
    """Refuses requests without the token, or with an Origin, before they reach the server."""

    def __init__(self, app: App, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if b"origin" in headers:
                await _refuse(send, 403, "Web pages may not use this server; it is for agents.")
                return
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                await _refuse(send, 401, "Send the token of `uiapi mcp --http` as Authorization: Bearer TOKEN.")
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})


def _listening(place: Place) -> socket.socket:
    """Returns a socket that listens there. Raises UiapiError `conflict`."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        # Python adds the address to the reason.
        reason = str(error.strerror or error).partition(" (while")[0]
        sentence = f"{place.url} cannot be served ({reason}); choose another HOST:PORT."
        raise UiapiError("conflict", sentence, status=409) from error


def _loaded(config: uvicorn.Config) -> uvicorn.Config:
    """Returns a configuration whose files are read. Raises UiapiError `invalid`."""
    try:
        config.load()
    except OSError as error:
        sentence = f"TLS cannot be used ({error.strerror or error}); give PEM files in --tls-cert and --tls-key."
        raise UiapiError("invalid", sentence) from error
    return config


async def _serve(
    url: str | None, token: str | None, webui: int | None, place: Place, started: Callable[[], object]
) -> None:
    async with connection(url, token, webui) as client:
        calls = Calls(client)
        # The token protects from DNS rebinding, which a check of Host would forbid behind a proxy.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        app = server(Work(calls, local=False)).streamable_http_app(
            streamable_http_path=PATH, host=place.host, transport_security=security
        )
        config = uvicorn.Config(
            Guard(app, place.secret),
            host=place.host,
            port=place.port,
            log_level="warning",
            timeout_graceful_shutdown=GRACE,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
        )
        try:
            serving = uvicorn.Server(_loaded(config))
            with _listening(place) as listening:
                started()
                await serving.serve(sockets=[listening])
        finally:
            await calls.close()


def serve_http(
    url: str | None, token: str | None, webui: int | None, place: Place, started: Callable[[], object]
) -> None:
    """Serve until Ctrl-C; `started` is called once the port is open. Raises UiapiError `conflict` or `invalid`."""
    asyncio.run(_serve(url, token, webui, place, started))
