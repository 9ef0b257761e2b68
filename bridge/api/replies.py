"""Helpers for HTTP answers: envelopes, internal errors and program names."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from uuid import uuid4

from aiohttp import web

from ...common.errors import UiapiError
from ..protocol.codec import encode

log = logging.getLogger("uiapi")


# Characters of a program's name.
MAX_NAME = 80


HttpHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


# Where the middleware notes the origin of a web app that the person has allowed, whose name that is.
# Older versions of aiohttp have plain strings there.
WEB_APP: Any = web.RequestKey("uiapi_web_app", str) if hasattr(web, "RequestKey") else "uiapi_web_app"


@lru_cache(maxsize=256)
def program_name(given: str) -> str:
    """Return the name a program gives itself, on one line and with printable characters only."""
    name = " ".join("".join(c if c.isprintable() else " " for c in given).split())[:MAX_NAME] or "unnamed program"
    # Only a web app is named after its origin, which it cannot choose.
    return f"program {name}"[:MAX_NAME] if name.lower().startswith(("http://", "https://")) else name


def answer(status: int, envelope: dict[str, Any]) -> web.Response:
    """Return an envelope as a response."""
    return _response(status, encode(envelope))


def _response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")


def internal_error(command: str) -> UiapiError:
    """Return the error for an unexpected exception; its traceback is logged under a reference that the caller gets."""
    reference = uuid4().hex[:8]
    log.exception("%s failed [%s]", command, reference)
    return UiapiError(
        "internal",
        f"{command} failed inside ComfyUI-uiapi; look for [{reference}] in ComfyUI's log and report it.",
        {"reference": reference},
    )
