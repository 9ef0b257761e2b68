"""Where ComfyUI is and with which token it is reached."""

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
    """Where ComfyUI is and how to be let in.

    Args:
        url: without a slash at the end.
        token: the operator's UIAPI_TOKEN, if there is one.
        name: this program's name, for whoever looks at what programs do.
    """

    url: str
    token: str | None = field(repr=False)
    name: str = "Python"

    @classmethod
    def of(cls, url: str | None, token: str | None, name: str = "Python") -> Address:
        """What was given, else what the environment says, else ComfyUI's own default. UiapiError `invalid`."""
        return cls(_url_of(url or os.environ.get("COMFYUI_URL") or DEFAULT_URL), _token_of(token), name)

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every request."""
        # A header holds no other characters.
        named = {"User-Agent": "".join(letter if " " <= letter <= "~" else "?" for letter in self.name)}
        return {**named, "Authorization": f"Bearer {self.token}"} if self.token else named

    @property
    def websocket(self) -> str:
        """The address of /uiapi/ws."""
        return f"ws{self.url.removeprefix('http')}/uiapi/ws"

    @cached_property
    def proxy(self) -> str | None:
        """The environment's proxy for this address; none on the way to this machine, so that none sees the token."""
        if _is_loopback(urlsplit(self.url).hostname or ""):
            return None
        return select_proxy(self.url, get_environ_proxies(self.url))


def _url_of(given: str) -> str:
    text = given.strip().rstrip("/")
    # Not repeated in the sentence: what stands before the @ is a password.
    if "@" in text:
        raise UiapiError("invalid", "Give ComfyUI's address without a name or password in it.")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        # Reading the port is what tells whether it is one.
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise UiapiError("invalid", f"{text} is no address; give one such as {DEFAULT_URL}.")
    return parts.geturl()


def _token_of(given: str | None) -> str | None:
    # A file or a secret store often leaves a line's end behind it.
    token = (given or os.environ.get("UIAPI_TOKEN") or "").strip()
    if not all(" " <= letter <= "~" for letter in token):
        raise UiapiError("invalid", "The token holds characters that cannot be sent; set UIAPI_TOKEN to ComfyUI's.")
    return token or None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    # 0.0.0.0, which ComfyUI prints when it listens everywhere, leads to this machine as well.
    return address.is_loopback or address.is_unspecified
