"""The HTTP handlers of commands; work stops when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from ...common.errors import UiapiError, stopping
from ..app.bridge import Bridge
from ..app.dispatch import Caller, dispatch, find_command
from ..policy.access import is_local
from ..policy.request_limits import Load
from ..protocol.codec import MAX_FRAME, decode_object, encode
from ..protocol.command_spec import Command
from . import multipart
from .replies import WEB_APP, HttpHandler, _response, answer, internal_error, program_name

# Seconds between checks whether an HTTP caller is still connected; aiohttp does not notify handlers.
HANGUP_INTERVAL = 0.5
# Pages that post strings send text/plain or no type. Forms are accepted where a command takes files.
JSON_TYPES = frozenset({"application/json", "text/plain", "application/octet-stream", "text/json"})

# Seconds a body may make no progress, so that a lost caller does not keep its connection for ever.
BODY_PAUSE = 20.0


def http_handler(bridge: Bridge, command: Command) -> HttpHandler:
    """Return the aiohttp handler of one command."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            _admit(bridge, request, command)
            with Load(bridge.loads, request.remote) as load:
                data = _query(request) if command.method == "GET" else await _body(request, load, command)
                with HangupWatch(request):
                    agent = request.headers.get("User-Agent", "")
                    # Over plain HTTP a foreign page's GET cannot be distinguished from a program's.
                    asks = command.method != "GET"
                    web_app = request.get(WEB_APP)
                    local = web_app is None and is_local(request.remote, request.headers)
                    name = web_app or program_name(agent)
                    caller = Caller(name, agent=agent, asks=asks, local=local, web_app=web_app is not None)
                    body = encode(await dispatch(bridge, command, data, caller))
                    load.until_taken(request.transport, len(body))
                    return _response(200, body)
        except UiapiError as refusal:
            error = refusal
        except Exception:  # The last line of defence: logged with its traceback, answered in the envelope.
            error = internal_error(command.name)
        return answer(error.status, error.envelope())

    return handle


def fallback_handler(bridge: Bridge) -> HttpHandler:
    """Return the handler of all other paths and methods below /uiapi/, which answers with an error envelope."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            bridge.guard.check_origin(request.headers)
            command = find_command(request.match_info["name"].partition("/")[0])
            error = UiapiError("wrong_method", f"Send {command.name} as {command.method} /uiapi/{command.path}.")
        except UiapiError as refusal:
            error = refusal
        return answer(error.status, error.envelope())

    return handle


def page_key_handler(bridge: Bridge) -> HttpHandler:
    """Return the handler that gives this server's own pages the key to join as a tab."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            bridge.guard.check_origin(request.headers)
            bridge.guard.check_token(request.headers.get("Authorization"))
            key = bridge.guard.give_page_key(request.headers)
        except UiapiError as error:
            return answer(error.status, error.envelope())
        response = answer(200, {"status": "ok", "response": {"page_key": key}})
        response.headers["Cache-Control"] = "no-store"
        return response

    return handle


def page_handler(bridge: Bridge, text: Callable[[], str], content_type: str) -> HttpHandler:
    """Return the handler of a generated document; `text` is called on a thread, since it may take long."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            bridge.guard.check_origin(request.headers)
        except UiapiError as error:
            return answer(error.status, error.envelope())
        return web.Response(text=await asyncio.to_thread(text), content_type=content_type, charset="utf-8")

    return handle


def _admit(bridge: Bridge, request: web.Request, command: Command) -> None:
    bridge.guard.check_origin(request.headers)
    bridge.guard.check_token(request.headers.get("Authorization"))
    bridge.guard.check_risk(command)
    if bridge.closing:
        raise stopping()


def _query(request: web.Request) -> dict[str, Any]:
    return {**request.query, **request.match_info}


async def _body(request: web.Request, load: Load, command: Command) -> dict[str, Any]:
    """Read the JSON object or the form in the body; an empty body is an empty object.

    Raises UiapiError `too_large` and others.
    """
    keys = command.request.model_fields
    is_form = request.content_type == multipart.TYPE and multipart.takes_files(keys)
    if request.content_type not in JSON_TYPES and not is_form:
        raise UiapiError(
            "unsupported_type", f"Send JSON with Content-Type: application/json, not {request.content_type[:80]!a}."
        )
    if (request.content_length or 0) > MAX_FRAME:
        raise _too_large()
    chunks, size = [], 0
    while chunk := await _chunk(request):
        size += len(chunk)
        if size > MAX_FRAME:
            raise _too_large()
        load.add(len(chunk))
        chunks.append(chunk)
        if "Content-Encoding" in request.headers:
            # aiohttp unpacks the next part during the read, which therefore never waits by itself.
            await asyncio.sleep(0)
    body = b"".join(chunks)
    if is_form:
        return await asyncio.to_thread(multipart.decode_form, request.headers["Content-Type"], body, keys)
    return decode_object(body) if body.strip() else {}


async def _chunk(request: web.Request) -> bytes:
    """Return the next part of the body, empty at its end. Raises UiapiError `malformed` if it is broken or stalls."""
    try:
        # The received part, which is nearly always the whole body, needs no timer.
        chunk = request.content.read_nowait()
        if chunk or request.content.at_eof():
            return chunk
        return await asyncio.wait_for(request.content.readany(), BODY_PAUSE)
    except asyncio.TimeoutError:
        raise UiapiError("malformed", f"The body stalled for {BODY_PAUSE:g} seconds; send all of it again.") from None
    # An invalid encoding or chunk, or a lost connection; none of these is an internal error.
    except (web.RequestPayloadError, HttpProcessingError, OSError):
        raise UiapiError("malformed", "The body cannot be read to its end; send all of it again.") from None


def _too_large() -> UiapiError:
    return UiapiError("too_large", f"A request may be at most {MAX_FRAME // 2**20} MB; send less or smaller pictures.")


class HangupWatch:
    """Cancels the task that serves a request when its caller disconnects, of which aiohttp does not notify handlers.

    It uses a timer and not a task around the work, since a task would cost every request two more turns of the loop.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(HANGUP_INTERVAL, self._look)

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._request.transport is None or self._request.transport.is_closing():
            if self._task is not None:
                self._task.cancel()
        else:
            self.__enter__()
