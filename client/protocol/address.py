"""The URL of ComfyUI, and the headers and the proxy of requests to it."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from ..common.errors import UiapiError

DEFAULT_URL = "http://127.0.0.1:8188"


@dataclass(frozen=True)
class Address:
    """The URL of ComfyUI and how to authenticate.

    Args:
        url: without a trailing slash.
        token: the UIAPI_TOKEN of the server, if it has one.
        name: this program's name, as the panel and the log show it.
        is_default: whether neither the caller nor the environment gave a URL.
    """

    url: str
    token: str | None = field(repr=False)
    name: str = "Python"
    is_default: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, url: str | None, token: str | None, name: str = "Python") -> Address:
        """Returns the given address, else the environment's, else ComfyUI's default. Raises UiapiError `invalid`."""
        given = url or os.environ.get("COMFYUI_URL")
        return cls(_url_of(given or DEFAULT_URL), _token_of(token), name, not given)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        # A header may contain no other characters.
        named = {"User-Agent": "".join(letter if " " <= letter <= "~" else "?" for letter in self.name)}
        return {**named, "Authorization": f"Bearer {self.token}"} if self.token else named

    @property
    def websocket(self) -> str:
        """The URL of /uiapi/ws."""
        return f"ws{self.url.removeprefix('http')}/uiapi/ws"

    @cached_property
    def proxy(self) -> str | None:
        """The environment's proxy for this URL; always None for loopback, so that no proxy receives the token."""
        if _is_loopback(urlsplit(self.url).hostname or ""):
            return None
        return select_proxy(self.url, get_environ_proxies(self.url))


def _url_of(given: str) -> str:
    text = given.strip().rstrip("/")
    # The error does not repeat the URL, since the part before the @ may be a password.
    if "@" in text:
        raise UiapiError("invalid", "Give ComfyUI's URL without a user name or password.")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        # Reading an invalid port raises ValueError.
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise UiapiError("invalid", f"{text} is not a valid URL; use one such as {DEFAULT_URL}.")
    return parts.geturl()


def _token_of(given: str | None) -> str | None:
    # A token from a file or a secret store often ends in a newline.
    token = (given or os.environ.get("UIAPI_TOKEN") or "").strip()
    if not all(" " <= letter <= "~" for letter in token):
        raise UiapiError(
            "invalid", "The token contains characters that cannot be sent; set UIAPI_TOKEN to the server's token."
        )
    return token or None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    # 0.0.0.0, which ComfyUI prints when it listens on all interfaces, reaches this machine too.
    return address.is_loopback or address.is_unspecified
