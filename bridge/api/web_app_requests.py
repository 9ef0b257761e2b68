"""The middleware for requests of web apps, which are pages from elsewhere: preflights, consent, and CORS headers.

It comes before ComfyUI's own middlewares, of which one refuses a foreign Origin before any route is reached. They and
those of other packs are still called, with a copy of the request without the headers that were checked here.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import CIMultiDict

from ...common.errors import UiapiError, waiting_for_person
from ..app.bridge import Bridge
from .http import HangupWatch
from .replies import WEB_APP, HttpHandler, answer

# Seconds for which a browser may remember the answer to a preflight; every request is checked all the same.
MAX_AGE = 600
# The headers that say where a request comes from.
CHECKED = ("Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User")
PRIVATE_NETWORK = "Access-Control-Request-Private-Network"


def web_app_middleware(bridge: Bridge) -> Middleware:
    """Return the middleware, which ignores requests that no handler for web apps serves."""

    @web.middleware
    async def middleware(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        if request.match_info.handler not in bridge.for_web_apps:
            return await handler(request)
        try:
            origin = bridge.guard.web_app(request.headers)
        except UiapiError as error:
            return _varied(answer(error.status, error.envelope()))
        if origin is None:
            return _varied(await handler(request))
        if request.method == "OPTIONS":
            return _preflight(request, origin)
        try:
            await _admit(bridge, request, origin)
            admitted = _without_origin(request, origin)
            if _upgrades(request):
                return await handler(admitted)
            response: web.StreamResponse = await bridge.web_apps.carry_out(origin, _handled(handler, admitted))
        except UiapiError as error:
            response = answer(error.status, error.envelope())
        response.headers["Access-Control-Allow-Origin"] = origin
        return _varied(response)

    return middleware


async def _handled(handler: HttpHandler, request: web.Request) -> web.StreamResponse:
    return await handler(request)


def _preflight(request: web.Request, origin: str) -> web.Response:
    """Return the answer to a preflight. It cannot wait for the person, so it promises nothing."""
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": str(MAX_AGE),
        "Vary": f"Origin, Access-Control-Request-Method, Access-Control-Request-Headers, {PRIVATE_NETWORK}",
    }
    if request.headers.get(PRIVATE_NETWORK) == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)


async def _admit(bridge: Bridge, request: web.Request, origin: str) -> None:
    """Return if a web app may send this request, after asking the person if that has not been done.

    Raises UiapiError `web_app_refused`, `waiting_for_person`, `token_required`, `wrong_token`, or
    for another type than JSON `unsupported_type` or `cross_origin`.
    """
    allowed = bridge.web_apps.allows(origin)
    if _upgrades(request):
        # The token comes in the hello, and a page without it may not raise a question.
        if not allowed and bridge.guard.token:
            raise waiting_for_person()
    else:
        # Also for a page that is not allowed yet, so that only a page with the token raises a question.
        bridge.guard.check_token(request.headers.get("Authorization"))
        # Any page may send another type without asking first.
        if request.method == "POST" and request.content_type != "application/json":
            refusal = "unsupported_type" if allowed else "cross_origin"
            raise UiapiError(refusal, "A web app has to send JSON with Content-Type: application/json.")
    if not allowed:
        with HangupWatch(request):
            await bridge.web_apps.ask(origin)


def _upgrades(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"


def _without_origin(request: web.Request, origin: str) -> web.Request:
    """Return a copy of a request that was admitted, with the origin as its name instead of among its headers."""
    headers = CIMultiDict(request.headers)
    for name in CHECKED:
        headers.popall(name, None)
    admitted = request.clone(headers=headers)
    admitted[WEB_APP] = origin
    return admitted


def _varied(response: web.StreamResponse) -> web.StreamResponse:
    """Let caches keep the answers to different origins apart."""
    if not response.prepared:
        response.headers.add("Vary", "Origin")
    return response
