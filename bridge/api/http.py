"""The HTTP side of every command: body in, envelope out, and nobody is worked for who has hung up."""

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
from .replies import HttpHandler, _response, answer, internal_error, program_name

# Seconds between looks whether an HTTP caller is still there; aiohttp tells a handler nothing of it.
HANGUP_INTERVAL = 0.5
# Bodies without a declared type and text/plain come from pages that post strings; a form never comes from a program.
JSON_TYPES = frozenset({"application/json", "text/plain", "application/octet-stream", "text/json"})

# Seconds a body may make no progress: a caller that has vanished must not keep its connection for ever.
BODY_PAUSE = 20.0


def http_handler(bridge: Bridge, command: Command) -> HttpHandler:
    """The aiohttp handler of one command."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            _admit(bridge, request, command)
            with Load(bridge.loads, request.remote) as load:
                data = _query(request) if command.method == "GET" else await _body(request, load)
                with HangupWatch(request):
                    agent = request.headers.get("User-Agent", "")
                    # Over plain http a foreign page's GET comes without anything that tells it from a program's.
                    asks = command.method != "GET"
                    local = is_local(request.remote, request.headers)
                    caller = Caller(program=program_name(agent), agent=agent, asks=asks, local=local)
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
    """What answers every other path or method below /uiapi/, in the same envelope."""

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
    """What gives this server's own pages the key they join with."""

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
    """What serves a text about this server; `text` is called on a thread, since making it may take long."""

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


async def _body(request: web.Request, load: Load) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object. UiapiError `too_large` and others."""
    if request.content_type not in JSON_TYPES:
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
    body = b"".join(chunks)
    return decode_object(body) if body.strip() else {}


async def _chunk(request: web.Request) -> bytes:
    """What has come of the body; empty at its end. UiapiError `malformed` when it is broken or does not go on."""
    try:
        # What has come already, which is nearly always all of it, needs no timer.
        chunk = request.content.read_nowait()
        if chunk or request.content.at_eof():
            return chunk
        return await asyncio.wait_for(request.content.readany(), BODY_PAUSE)
    except asyncio.TimeoutError:
        raise UiapiError(
            "malformed", f"The body did not go on for {BODY_PAUSE:g} seconds; send it again, whole."
        ) from None
    # A coding or chunks that are none, or a connection that is lost; nothing that is a defect here.
    except (web.RequestPayloadError, HttpProcessingError, OSError):
        raise UiapiError("malformed", "The body cannot be read to its end; send it again, whole.") from None


def _too_large() -> UiapiError:
    return UiapiError("too_large", f"A request may be at most {MAX_FRAME // 2**20} MB; send less or smaller pictures.")


class HangupWatch:
    """Cancels the task that serves a request once its caller has hung up; aiohttp does not tell handlers.

    A timer instead of a task around the work: a task would cost every request two more turns of the loop.
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
