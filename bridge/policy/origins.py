"""Origins of web pages as browsers send them, and those that the operator names."""

from __future__ import annotations

import logging
import re

log = logging.getLogger("uiapi")

# Characters of an origin: those of the longest host name, with a scheme and a port.
MAX_ORIGIN = 270
DEFAULT_PORTS = {"http": "80", "https": "443"}
# What browsers send, character for character: other spellings of an address are not taken for the same page. A host
# name that is not ASCII is sent as punycode, and is shown like that.
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)


def canonical_origin(origin: str) -> bool:
    """Whether this is the origin of an http or https page, exactly as a browser sends it."""
    match = _ORIGIN.fullmatch(origin) if len(origin) <= MAX_ORIGIN else None
    if match is None:
        return False
    port = match["port"]
    return port is None or (int(port) < 65536 and port != DEFAULT_PORTS[match["scheme"]])


def named_origins(setting: str) -> frozenset[str]:
    """Return the origins in UIAPI_ALLOWED_ORIGINS, separated by commas; other entries are logged and left out."""
    named = set()
    for entry in filter(None, (entry.strip() for entry in setting.split(","))):
        origin = _spelled(entry)
        if canonical_origin(origin):
            named.add(origin)
        else:
            log.error(
                "UIAPI_ALLOWED_ORIGINS: %.100a is ignored; write an origin such as https://app.example, or "
                "http://localhost:8000. Neither * nor null is one.",
                entry,
            )
    return frozenset(named)


def _spelled(entry: str) -> str:
    """Return what an operator typed as browsers spell it: in lower case, without a slash and the usual port."""
    origin = entry.lower().removesuffix("/")
    scheme = origin.partition("://")[0]
    return origin.removesuffix(f":{DEFAULT_PORTS[scheme]}") if scheme in DEFAULT_PORTS else origin
