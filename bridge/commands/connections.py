"""Commands about connections: the second transport, the status, late answers and event subscriptions."""

from __future__ import annotations

import logging
from time import time
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..protocol.command_spec import Kind, Request, Risk, command
from ..protocol.lazy_types import LazyModule
from ..protocol.subscriptions import MAX_PATH
from ..tabs.tab import WebuiManager

schemas = LazyModule("..protocol.schemas", __package__)

log = logging.getLogger("uiapi")


class OfPage(Request):
    """The page."""

    client_id: str | int | None = Field(None, description="The page's id.")


class WebuiReady(OfPage):
    """A page on the second transport; client_id -1 (or none) asks for a new id."""

    browserInfo: dict[str, Any] | None = Field(None, description="browser, platform and other facts for webuis.")
    page_key: str | None = Field(None, description="From POST /uiapi/page_key; not needed on this machine.")

    @field_validator("client_id")
    @classmethod
    def _digits(cls, value: str | int | None) -> int | None:
        if value is None or value == "":
            return None
        try:
            return int(value)
        except ValueError:
            raise ValueError("send a whole number, or -1 to get a new id") from None


class WebuiResponse(OfPage):
    """A page's answer; both ids are required."""

    request_id: str | None = Field(None, description="The id that came with the request.")
    response: Any = Field(None, description="The answer, or an error envelope.")


@command(
    "webui_ready",
    response=schemas.WebuiId,
    errors=["too_many", "wrong_page"],
    risk=Risk.DRIVE,
    kind=Kind.TALK,
    flat=True,
)
async def webui_ready(call: Call, request: WebuiReady) -> dict[str, Any]:
    """Connect a page that uses only ComfyUI's own websocket; returns its id."""
    has_key = request.page_key is not None
    if has_key or not call.caller.local:
        call.bridge.guard.check_page_key(request.page_key)
    wanted = request.client_id if isinstance(request.client_id, int) and request.client_id > 0 else None
    arrivals = call.bridge.event_transports
    arrived = arrivals.arrive(wanted, request.browserInfo or {}, call.caller.agent, has_key=has_key)
    return {"client_id": arrived.client_id}


@command(
    "webui_response", response=schemas.Acknowledged, errors=["forbidden"], risk=Risk.DRIVE, kind=Kind.TALK, flat=True
)
async def webui_response(call: Call, request: WebuiResponse) -> dict[str, Any]:
    """Send the answer to a request that a page got over ComfyUI's own websocket."""
    if not request.request_id or request.client_id is None:
        raise UiapiError("malformed", "Send both request_id and client_id with an answer.")
    owner = call.bridge.owner_of(request.request_id)
    if owner is None:
        log.info("Ignored a late or duplicate answer to request %.40r.", request.request_id)
        return {"status": "ignored", "message": "The request is not pending any more."}
    if str(owner.client_id) != str(request.client_id):
        raise UiapiError("forbidden", "That request was sent to another tab; only that tab can answer it.")
    response = {} if request.response is None else request.response
    failed = isinstance(response, dict) and response.get("status") == "error"
    owner.respond(request.request_id, response, response if failed else None)
    return {}


@command("webui_disconnect", response=schemas.Done, errors=["conflict"], risk=Risk.DRIVE, kind=Kind.TALK, flat=True)
async def webui_disconnect(call: Call, request: OfPage) -> dict[str, Any]:
    """Disconnect a page that is closing; its id may be left out if it is the only one."""
    _leave(call, request)
    return {}


@command("client_disconnect", response=schemas.Done, errors=["conflict"], risk=Risk.DRIVE, kind=Kind.TALK, flat=True)
async def client_disconnect(call: Call, request: OfPage) -> dict[str, Any]:
    """Disconnect a page that is closing (the older name of webui_disconnect)."""
    _leave(call, request)
    return {}


def _leave(call: Call, request: OfPage) -> None:
    if request.client_id is not None:
        manager = _manager(call, request.client_id)
        if manager is None:
            return
        # Any program could send it for that tab, and so make another page the main one.
        if manager.transport is not None and manager.transport.kind == "websocket":
            raise UiapiError("conflict", f"Tab {manager.client_id} has its own websocket; close that instead.")
        manager.disconnect()
        return
    pages = call.bridge.event_transports.pages()
    if len(pages) > 1:
        raise UiapiError(
            "conflict",
            "Several pages are connected; send the client_id of the closing one.",
            {"webuis": [page.manager.client_id for page in pages]},
        )
    for page in pages:
        page.manager.disconnect()


@command(
    "connection_status", response=schemas.ConnectionStatus, risk=Risk.READ, kind=Kind.TALK, method="GET", flat=True
)
async def connection_status(call: Call, request: OfPage) -> dict[str, Any]:
    """Return the connected tabs and pending work, or with client_id the state of that tab; times in seconds."""
    webuis = call.bridge.webuis
    if request.client_id is not None:
        manager = _manager(call, request.client_id)
        return {
            "client_id": manager.client_id if manager else request.client_id,
            "webui_connected": manager is not None and manager.connected,
            "is_main": manager is not None and manager.client_id == webuis.main_id,
            "pending_requests": manager.pending_count if manager else 0,
            "transport": manager.transport.kind if manager and manager.transport else None,
        }
    active, pending = call.bridge.downloads.counts() if call.bridge.downloads else (0, 0)
    connected = webuis.connected()
    return {
        "webui_connected": bool(connected),
        "active_clients": len(connected),
        "main_webui_id": webuis.main_id,
        "pending_requests": sum(manager.pending_count for manager in [*connected, webuis.lobby]),
        "active_downloads": active,
        "pending_downloads": pending,
        "server_time": time(),
        "server_uptime": steady_time() - call.bridge.started,
    }


@command("webuis", response=schemas.Webuis, risk=Risk.READ, kind=Kind.TALK, method="GET")
async def webuis(call: Call, request: Request) -> list[dict[str, Any]]:
    """List the connected tabs."""
    return [call.bridge.webuis.describe(manager) for manager in call.bridge.webuis.connected()]


READING = frozenset({Kind.READ})
# Subscriptions of one websocket, and the paths of all its subscriptions.
MAX_SUBSCRIPTIONS = 100
MAX_PATHS = 1000
Path = Annotated[str, StringConstraints(max_length=MAX_PATH)]


class LateResult(Request):
    """The request whose answer to fetch."""

    request_id: str = Field(max_length=200, description="From the details of a timeout error.")

    def kinds(self) -> frozenset[Kind]:
        """Reading: the answer contains data of the graph."""
        return READING


@command("late_result", response=schemas.LateAnswer, errors=["unknown_request"], risk=Risk.READ, kind=Kind.TALK)
async def late_result(call: Call, request: LateResult) -> dict[str, Any]:
    """Fetch an answer that arrived after its request's timeout, within 10 minutes."""
    try:
        answer = call.bridge.webuis.late.find(request.request_id)
    except KeyError:
        raise UiapiError("unknown_request", "No request with that id timed out within the last 10 minutes.") from None
    return {"answered": answer is not None, "answer": answer}


class Subscribe(Request):
    """The events to receive, by name or prefix; default: all of them."""

    events: list[str] = Field(
        ["*"], max_length=100, description='Names, or prefixes that end in *, such as "output" or "webui_*".'
    )
    paths: list[Path] = Field([], max_length=MAX_PATHS, description="Only events about these fields or nodes.")

    def kinds(self) -> frozenset[Kind]:
        """Reading: events contain data of the graph."""
        return READING


class Unsubscribe(Request):
    """The subscription to end."""

    subscription: str | int = Field(description="The id of the subscribe request.")


@command("subscribe", response=schemas.Subscription, errors=["too_many"], risk=Risk.READ, kind=Kind.TALK)
async def subscribe(call: Call, request: Subscribe) -> dict[str, Any]:
    """Receive events on this websocket until it closes or unsubscribe is sent."""
    emit = call.caller.emit
    if emit is None:
        raise UiapiError("invalid", "Events are only sent on the websocket /uiapi/ws; subscribe there.")
    if call.caller.request_id in call.caller.subscriptions:
        raise UiapiError("invalid", "Another subscription has this id; unsubscribe it, or use another id.")
    if len(call.caller.subscriptions) >= MAX_SUBSCRIPTIONS:
        raise UiapiError("too_many", f"This websocket has {MAX_SUBSCRIPTIONS} subscriptions; unsubscribe one.")
    if sum(len(known.paths) for known in call.caller.subscriptions.values()) + len(request.paths) > MAX_PATHS:
        raise UiapiError(
            "too_many", f"A websocket may subscribe to at most {MAX_PATHS} paths; name nodes instead of fields."
        )
    approvals, program = call.bridge.approvals, call.caller.program

    def send(event: str, data: dict[str, Any]) -> None:
        # The person may have changed the rule since the subscription began.
        if approvals.reads(program):
            emit(event, data)

    subscriber = call.bridge.subscriptions.add(send, request.events, request.paths)
    call.caller.subscriptions[call.caller.request_id] = subscriber
    return {"subscription": call.caller.request_id}


@command("unsubscribe", response=schemas.Unsubscribed, risk=Risk.READ, kind=Kind.TALK)
async def unsubscribe(call: Call, request: Unsubscribe) -> dict[str, Any]:
    """End a subscription of this websocket."""
    subscriber = call.caller.subscriptions.pop(str(request.subscription), None)
    if subscriber is None:
        raise UiapiError(
            "invalid", "This websocket has no subscription with that id; send the id of your subscribe request."
        )
    subscriber.end()
    return {"unsubscribed": True}


def _manager(call: Call, client_id: str | int) -> WebuiManager | None:
    try:
        return call.bridge.webuis.managers.get(int(client_id))
    except ValueError:
        return None
