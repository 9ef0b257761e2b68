"""Access checks, made for every HTTP request and websocket upgrade before anything is read.

A foreign web page is refused by the headers that browsers send (Origin, Sec-Fetch-Site) and by its Host (DNS
rebinding), unless the person has allowed it (web_apps.py); a program sends neither header and passes. Commands that
write to disk need loopback or a token. A tab decides for the person there, so joining as one needs a key that only
scripts of this server's pages get.
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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...common.errors import UiapiError, wrong_page
from ...common.network import is_loopback
from ..protocol.command_spec import Command, Risk
from .origins import canonical_origin, named_origins

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

# Domain suffixes that public DNS does not assign, so that a rebinding page cannot own them.
LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
# Headers that a proxy adds to the requests it forwards.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


@dataclass(frozen=True)
class Guard:
    """The access rules of one running ComfyUI.

    Args:
        beyond_loopback: whether other machines can reach it.
        token: the operator's UIAPI_TOKEN; empty for none.
        server_names: host names of this server besides its IP addresses, in lower case.
        named_origins: the origins of web apps that the operator allows.
        page_key: the key a page needs to join as a tab; a new one for every process.
    """

    beyond_loopback: bool
    token: str = ""
    server_names: frozenset[str] = frozenset()
    named_origins: frozenset[str] = frozenset()
    page_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False, compare=False)

    @classmethod
    def from_environment(cls, beyond_loopback: bool, environment: Mapping[str, str] = os.environ) -> Guard:
        """Read the operator's settings: UIAPI_TOKEN, and UIAPI_SERVER_NAMES and UIAPI_ALLOWED_ORIGINS, with commas."""
        named = {name.strip().lower() for name in environment.get("UIAPI_SERVER_NAMES", "").split(",")}
        own = {socket.gethostname().lower()} if beyond_loopback else set()
        origins = named_origins(environment.get("UIAPI_ALLOWED_ORIGINS", ""))
        token = environment.get("UIAPI_TOKEN", "").strip()
        return cls(beyond_loopback, token, frozenset((named | own) - {""}), origins)

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse a request from a foreign web page. Raises UiapiError `foreign_host` or `cross_origin`."""
        host = headers.get("Host", "")
        self._check_host(host)
        site = headers.get("Sec-Fetch-Site")
        if site is not None and site not in ("same-origin", "none"):
            raise _cross_origin(site)
        origin = headers.get("Origin")
        if origin is not None and not _same_place(origin, host):
            raise _cross_origin(origin)

    def web_app(self, headers: CIMultiDictProxy[str]) -> str | None:
        """Return the origin of a request by a script of a page from elsewhere, of which the person may allow some.

        Returns None for programs and this server's own pages, which check_origin checks. Raises UiapiError
        `foreign_host`, or `cross_origin` for what nobody can allow: an origin that several pages share, a request
        that is not a script's, or one over the network without a token.
        """
        origins, host = headers.getall("Origin", []), headers.get("Host", "")
        if not origins or (len(origins) == 1 and _same_place(origins[0], host)):
            return None
        origin = origins[0]
        self._check_host(host)
        if len(origins) > 1 or not canonical_origin(origin) or not _by_script(headers):
            raise _cross_origin(origin)
        if self.beyond_loopback and not self.token:
            raise UiapiError(
                "cross_origin",
                "ComfyUI listens beyond this machine, so a page from elsewhere needs a token; start ComfyUI with "
                "UIAPI_TOKEN set.",
            )
        return origin

    def check_token(self, authorization: str | None) -> None:
        """Require the token, if one is set, as `Authorization: Bearer …`.

        Raises UiapiError `token_required` or `wrong_token`.
        """
        if not self.token:
            return
        scheme, _, given = (authorization or "").partition(" ")
        self.check_given_token(given.strip() if scheme.lower() == "bearer" else None)

    def check_given_token(self, given: str | None) -> None:
        """Check a token from a hello frame, since a browser's websocket cannot send the header."""
        if not self.token:
            return
        if not given:
            raise UiapiError(
                "token_required", "This server requires a token; send it as 'Authorization: Bearer <UIAPI_TOKEN>'."
            )
        # A header may contain bytes that are not text; they are compared like any other wrong token.
        if not hmac.compare_digest(given.encode(errors="surrogatepass"), self.token.encode(errors="surrogatepass")):
            raise UiapiError(
                "wrong_token", "This is not the server's token; ask the operator for the value of UIAPI_TOKEN."
            )

    def give_page_key(self, headers: Mapping[str, str]) -> str:
        """Return the key to a script of this server's own page. Raises UiapiError `wrong_page`.

        Browsers send the Origin with every POST, and a foreign page has already been refused.
        """
        if "Origin" not in headers:
            raise wrong_page()
        return self.page_key

    def check_page_key(self, given: str | None) -> None:
        """Require the page key to join as a tab. Raises UiapiError `wrong_page`."""
        if given is None or not hmac.compare_digest(given.encode(errors="surrogatepass"), self.page_key.encode()):
            raise wrong_page()

    def check_risk(self, command: Command) -> None:
        """Refuse commands that write to disk if other machines can connect and no token is set.

        Raises UiapiError `forbidden`.
        """
        if command.risk is Risk.WRITE_DISK:
            self.check_download(command.name)

    def check_download(self, what: str) -> None:
        """Refuse a download if other machines can connect and no token is set. Raises UiapiError `forbidden`."""
        if self.beyond_loopback and not self.token:
            raise UiapiError(
                "forbidden",
                f"ComfyUI listens beyond this machine, so {what} needs a token: start ComfyUI with "
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
            f"The Host {name[:100]!r} is not a name of this server; use its IP address, or ask the operator to add the "
            "name to UIAPI_SERVER_NAMES.",
        )


def is_local(remote: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a caller is on this machine and not behind a proxy on it."""
    name = _host_name(headers.get("Host", ""))
    return (
        remote is not None
        and is_loopback(remote)
        and (name is None or is_loopback(name) or name.endswith(".localhost"))
        and not any(header in headers for header in FORWARDED)
    )


# Called for every request, nearly always with the same few Hosts.
@lru_cache(maxsize=256)
def _host_name(host: str) -> str | None:
    """Return the name in a Host header in lower case; None without one (HTTP/1.0 programs)."""
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
    """Whether an Origin (scheme://name:port) matches the Host of the request."""
    try:
        parts, own = urlsplit(origin), urlsplit(f"//{host}")
        default = {"http": 80, "https": 443}.get(parts.scheme)
        if default is None or not parts.hostname:
            return False
        return parts.hostname == own.hostname and (parts.port or default) == (own.port or default)
    except ValueError:
        return False


def _by_script(headers: Mapping[str, str]) -> bool:
    """Whether a request may come from a script with an origin of its own: no form, link, picture, or blind request."""
    site, mode = headers.get("Sec-Fetch-Site"), headers.get("Sec-Fetch-Mode")
    return site in (None, "same-site", "cross-site") and mode in (None, "cors", "websocket")


def _cross_origin(what: str) -> UiapiError:
    return UiapiError(
        "cross_origin",
        f"A foreign page ({what[:100]!a}) may not use this server; open ComfyUI itself or use a program.",
    )
