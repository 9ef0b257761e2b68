"""Who may do what: every HTTP request and every websocket upgrade passes here before anything is read.

A web page from elsewhere is refused by what browsers say of it (Origin, Sec-Fetch-Site) and by the Host
it used (DNS rebinding); a program sends neither and passes. What writes to disk needs loopback or a token. Who
joins as a tab decides for the person there, so it shows a key that only scripts of this server's pages get.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from ...common.errors import UiapiError
from ...common.network import is_loopback
from ..protocol.command_spec import Command, Risk

# Name endings that public DNS does not hand out, so that a rebinding page cannot own them.
LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
# What a proxy adds to the requests it passes on.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


@dataclass(frozen=True)
class Guard:
    """The rules for one running ComfyUI.

    Args:
        beyond_loopback: whether other machines can reach it.
        token: the operator's UIAPI_TOKEN; empty for none.
        server_names: host names this server is known by, besides its addresses, in lower case.
        page_key: what a page shows to join as a tab; another one for every process.
    """

    beyond_loopback: bool
    token: str = ""
    server_names: frozenset[str] = frozenset()
    page_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False, compare=False)

    @classmethod
    def from_environment(cls, beyond_loopback: bool, environment: Mapping[str, str] = os.environ) -> Guard:
        """The rules the operator set: UIAPI_TOKEN and UIAPI_SERVER_NAMES (comma-separated host names)."""
        named = {name.strip().lower() for name in environment.get("UIAPI_SERVER_NAMES", "").split(",")}
        own = {socket.gethostname().lower()} if beyond_loopback else set()
        return cls(beyond_loopback, environment.get("UIAPI_TOKEN", "").strip(), frozenset((named | own) - {""}))

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse a request that a page from elsewhere made. UiapiError `foreign_host` or `cross_origin`."""
        host = headers.get("Host", "")
        self._check_host(host)
        site = headers.get("Sec-Fetch-Site")
        if site is not None and site not in ("same-origin", "none"):
            raise _cross_origin(site)
        origin = headers.get("Origin")
        if origin is not None and not _same_place(origin, host):
            raise _cross_origin(origin)

    def check_token(self, authorization: str | None) -> None:
        """With a token set, demand it as `Authorization: Bearer …`. UiapiError `token_required`, `wrong_token`."""
        if not self.token:
            return
        scheme, _, given = (authorization or "").partition(" ")
        self.check_given_token(given.strip() if scheme.lower() == "bearer" else None)

    def check_given_token(self, given: str | None) -> None:
        """The same for a token that came in a hello frame, since a browser's websocket sends no such header."""
        if not self.token:
            return
        if not given:
            raise UiapiError(
                "token_required", "This server asks for a token; send it as 'Authorization: Bearer <UIAPI_TOKEN>'."
            )
        # A header's bytes need not be text; what is none is a token like any other, and a wrong one.
        if not hmac.compare_digest(given.encode(errors="surrogatepass"), self.token.encode(errors="surrogatepass")):
            raise UiapiError("wrong_token", "This is not the server's token; ask whoever set UIAPI_TOKEN for it.")

    def give_page_key(self, headers: Mapping[str, str]) -> str:
        """The key, for a script of this server's own page. UiapiError `wrong_page`.

        Browsers say with every POST where the page is from, and a page from elsewhere has been refused already.
        """
        if "Origin" not in headers:
            raise _wrong_page()
        return self.page_key

    def check_page_key(self, given: str | None) -> None:
        """Demand the key of whoever joins as a tab. UiapiError `wrong_page`."""
        if given is None or not hmac.compare_digest(given.encode(errors="surrogatepass"), self.page_key.encode()):
            raise _wrong_page()

    def check_risk(self, command: Command) -> None:
        """Refuse to write to disk for anyone on the network while no token is set. UiapiError `forbidden`."""
        if command.risk is Risk.WRITE_DISK and self.beyond_loopback and not self.token:
            raise UiapiError(
                "forbidden",
                f"ComfyUI listens beyond this machine, so {command.name} needs a token: start ComfyUI with "
                "UIAPI_TOKEN set and send it as 'Authorization: Bearer <UIAPI_TOKEN>'.",
            )

    def _check_host(self, host: str) -> None:
        name = _host_name(host)
        if name is None or is_loopback(name) or name.endswith(".localhost") or name in self.server_names:
            return
        if self.beyond_loopback and (_is_address(name) or "." not in name or name.endswith(LOCAL_SUFFIXES)):
            return
        raise UiapiError(
            "foreign_host",
            f"The Host {name[:100]!r} is not a name of this server; use its address, or have the operator add the "
            "name to UIAPI_SERVER_NAMES.",
        )


def is_local(remote: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a caller is on this machine, and not behind a proxy that is."""
    name = _host_name(headers.get("Host", ""))
    return (
        remote is not None
        and is_loopback(remote)
        and (name is None or is_loopback(name) or name.endswith(".localhost"))
        and not any(header in headers for header in FORWARDED)
    )


# Every request asks this again, nearly always of the same few Hosts.
@lru_cache(maxsize=256)
def _host_name(host: str) -> str | None:
    """The name of a Host header in lower case; None when there is none (HTTP/1.0 programs)."""
    if not host:
        return None
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return "?"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_place(origin: str, host: str) -> bool:
    """Whether an Origin (scheme://name:port) is the Host the request went to."""
    try:
        parts, own = urlsplit(origin), urlsplit(f"//{host}")
        default = {"http": 80, "https": 443}.get(parts.scheme)
        if default is None or not parts.hostname:
            return False
        return parts.hostname == own.hostname and (parts.port or default) == (own.port or default)
    except ValueError:
        return False


def _cross_origin(what: str) -> UiapiError:
    return UiapiError(
        "cross_origin",
        f"A page from elsewhere ({what[:100]!a}) may not use this server; open ComfyUI itself or use a program.",
    )


def _wrong_page() -> UiapiError:
    return UiapiError(
        "wrong_page",
        "Only ComfyUI's own page may join as a tab; reload it, or have a program join with the role 'client'.",
    )
