"""The handler of the websocket /uiapi/ws: hello and welcome, then requests, answers, cancels and events.

The frames are documented in docs/programs/websocket.md; tabs and programs speak the same protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal
from uuid import uuid4

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...common.errors import UiapiError, wrong_page
from ...common.version import PROTOCOL, VERSION
from ..app.bridge import Bridge
from ..app.dispatch import Caller, dispatch, find_command
from ..policy.access import is_local
from ..policy.request_limits import MAX_BYTES
from ..protocol.codec import MAX_FRAME, encode
from ..protocol.subscriptions import TAB_EVENTS, Subscriber
from ..protocol.websocket_connection import HEARTBEAT, Connection, open_socket
from ..tabs.graph_snapshot import Snapshot
from ..tabs.tab import WebuiManager, page_info
from ..tabs.websocket_transport import SocketTransport
from .replies import WEB_APP, HttpHandler, answer, internal_error, program_name

log = logging.getLogger("uiapi")

# Seconds a new websocket may take to send its hello: a page opens it before it has loaded its last workflow.
HELLO_TIMEOUT = 60.0
# Pending requests of one websocket. Further ones are refused and not left unread, since the frames after them may be
# the cancels and answers that end others.
MAX_IN_PROGRESS = 4096
# Characters of a hello, which arrives before the token is checked.
MAX_HELLO = 1 << 16


class Hello(BaseModel):
    """The first frame, of a tab or a program."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    type: Literal["hello"]
    role: Literal["webui", "client"]
    protocol: int = PROTOCOL
    client_id: int | str | None = None
    session: str | None = None
    sid: str | None = None
    capabilities: list[str] = Field(default_factory=list, max_length=100)
    name: str | None = Field(None, max_length=200)
    info: dict[str, Any] = Field(default_factory=dict)
    unserved: str | None = Field(None, max_length=1000)
    token: str | None = None
    page_key: str | None = None


def websocket_handler(bridge: Bridge) -> HttpHandler:
    """Return the aiohttp handler of /uiapi/ws."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            bridge.guard.check_origin(request.headers)
            if bridge.closing:
                raise UiapiError("shutting_down", "ComfyUI is stopping; try again once it is back.")
        except UiapiError as error:
            return answer(error.status, error.envelope())
        ws = open_socket(HEARTBEAT)
        if not ws.can_prepare(request):
            plain = UiapiError("malformed", "Open /uiapi/ws as a websocket; over HTTP send commands to /uiapi/<name>.")
            return answer(plain.status, plain.envelope())
        await ws.prepare(request)
        connection = Connection(ws, request.transport, f"websocket {request.remote}")
        bridge.connections.add(connection)
        web_app = request.get(WEB_APP)
        try:
            with nullcontext() if web_app is None else bridge.web_apps.connected(web_app, connection):
                await _serve(bridge, connection, request)
        finally:
            bridge.connections.discard(connection)
            await connection.end()
        return ws

    return handle


async def _serve(bridge: Bridge, connection: Connection, request: web.Request) -> None:
    try:
        hello = await _hello(connection)
        if hello is None:
            return
        token = hello.token
        authorization = request.headers.get("Authorization")
        if token is None and authorization is not None:
            bridge.guard.check_token(authorization)
        else:
            bridge.guard.check_given_token(token)
        if hello.role == "webui" and WEB_APP in request:
            raise wrong_page()
        if hello.role == "webui":
            bridge.guard.check_page_key(hello.page_key)
        if hello.role == "webui" and hello.unserved:
            bridge.webuis.check_room()
        elif hello.role == "webui":
            wanted = hello.client_id if isinstance(hello.client_id, int) else None
            manager = bridge.webuis.admit(wanted, hello.session, has_key=True)
    except UiapiError as error:
        connection.send({"type": "error", **error.envelope()})
        connection.close(4403 if error.status == 403 else 4000, error.code)
        await connection.receive_until_closed()
        return
    if hello.role == "webui" and hello.unserved:
        await _keep_unserved(bridge, connection, hello, hello.unserved)
    elif hello.role == "webui":
        await _serve_webui(bridge, connection, hello, manager)
    else:
        await _serve_client(bridge, connection, hello, request)


async def _hello(connection: Connection) -> Hello | None:
    try:
        frame = await asyncio.wait_for(connection.receive(MAX_HELLO), HELLO_TIMEOUT)
    except asyncio.TimeoutError:
        raise UiapiError("malformed", "Send a hello first; docs/programs/websocket.md describes it.") from None
    if frame is None:
        return None
    try:
        hello = Hello.model_validate(frame)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UiapiError("malformed", f"The hello is invalid: {where}: {problem['msg']}.") from None
    if hello.protocol != PROTOCOL:
        raise UiapiError("malformed", f"This server uses protocol {PROTOCOL}; update the older side.")
    return hello


def _welcome(bridge: Bridge, **facts: Any) -> dict[str, Any]:
    return {
        "type": "welcome",
        "protocol": PROTOCOL,
        "server": {"name": "ComfyUI-uiapi", "version": VERSION, "comfyui": bridge.comfy.version},
        "heartbeat": HEARTBEAT,
        **facts,
    }


async def _serve_webui(bridge: Bridge, connection: Connection, hello: Hello, manager: WebuiManager) -> None:
    manager.info = page_info(hello.info)
    manager.sid, manager.capabilities = hello.sid, frozenset(hello.capabilities)
    transport = SocketTransport(connection, gathers="gather" in hello.capabilities)
    connection.name = f"tab {manager.client_id}"
    leads = bridge.webuis.leads(manager)
    connection.send(_welcome(bridge, client_id=manager.client_id, session=manager.session, is_main=leads))
    try:
        bridge.webuis.connect(manager, transport)
        bridge.watch(manager)
        bridge.panel.send_state(manager)
        await Conversation(bridge, connection, f"tab {manager.client_id}", manager).run()
    finally:
        manager.disconnect(transport)
        # The page may have reconnected on another websocket, with its panel still open.
        if not manager.connected:
            bridge.panel.leave(manager)


async def _keep_unserved(bridge: Bridge, connection: Connection, hello: Hello, reason: str) -> None:
    """Keep a page registered that cannot answer commands, so that `no_webui` errors report the reason."""
    connection.name = "tab that cannot be used"
    connection.send(_welcome(bridge, client_id=None, session=None, is_main=False))
    with bridge.webuis.unserved(page_info(hello.info), reason):
        await connection.receive_until_closed()


async def _serve_client(bridge: Bridge, connection: Connection, hello: Hello, request: web.Request) -> None:
    web_app = request.get(WEB_APP)
    own_name = web_app or program_name(str(hello.name or hello.client_id or "without a name"))
    connection.name = f"program {own_name}"
    client_id = str(hello.client_id) if hello.client_id is not None else uuid4().hex
    connection.send(_welcome(bridge, client_id=client_id, session=uuid4().hex, is_main=False))
    program = web_app or program_name(str(hello.name or request.headers.get("User-Agent", "")))
    gone = bridge.activity.connected(program)
    try:
        local = web_app is None and is_local(request.remote, request.headers)
        await Conversation(bridge, connection, program, None, local=local, web_app=web_app is not None).run()
    finally:
        gone()


class Conversation:
    """Handles the frames of one websocket after its welcome.

    Args:
        bridge: the bridge.
        connection: the websocket.
        program: the name of the program or tab.
        manager: the tab; None for a program.
        local: whether it is certainly on this machine.
        web_app: whether it is a web page from elsewhere.
    """

    def __init__(
        self,
        bridge: Bridge,
        connection: Connection,
        program: str,
        manager: WebuiManager | None,
        *,
        local: bool = False,
        web_app: bool = False,
    ) -> None:
        self._program = program
        self._local = local
        self._web_app = web_app
        self._bridge = bridge
        self._connection = connection
        self._manager = manager
        self._subscriptions: dict[str, Subscriber] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        # Characters of the requests in progress.
        self._held = 0
        self._turns = bridge.program_turns if manager is None else bridge.tab_turns

    async def run(self) -> None:
        """Read frames until the websocket ends, then cancel its requests and end its subscriptions."""
        try:
            # Received frames are read without a pause.
            while True:
                try:
                    frames = await self._receive()
                except UiapiError as error:
                    await self._turns.take()
                    self._refuse(error)
                    continue
                if frames is None:
                    return
                for frame in frames:
                    await self._turns.take()
                    try:
                        self._take(frame)
                    except UiapiError as error:
                        self._refuse(error)
        finally:
            for subscriber in self._subscriptions.values():
                subscriber.end()
            tasks = [*self._work.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> list[dict[str, Any]] | None:
        if self._manager is not None:
            return await self._connection.receive_several()
        frame = await self._connection.receive()
        return None if frame is None else [frame]

    def _refuse(self, error: UiapiError) -> None:
        self._connection.send({"type": "error", "id": None, **error.envelope()})

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "response" and self._manager is not None:
            error = frame if frame.get("status") == "error" else None
            self._manager.respond(str(frame.get("id")), frame.get("response"), error, _extras(frame))
        elif kind == "request":
            self._take_request(frame)
        elif kind == "cancel":
            task = self._work.get(str(frame.get("id")))
            if task is not None:
                task.cancel()
        elif kind == "event" and self._manager is not None and isinstance(frame.get("data"), dict):
            self._take_event(self._manager, str(frame.get("event")), frame["data"])
        else:
            raise UiapiError(
                "malformed", f"Unknown frame type {str(kind)[:40]!r}; docs/programs/websocket.md lists the types."
            )

    def _take_event(self, manager: WebuiManager, event: str, data: dict[str, Any]) -> None:
        if event == "info":
            manager.info.update(page_info(data))
            self._bridge.panel.changed()
        elif event == "submitting" and isinstance(data.get("part"), dict):
            manager.submitting(str(data.get("request")), part=data["part"], extras=_extras(data))
        elif event == "changes":
            self._bridge.activity.take_changes(data, manager.client_id)
        elif event == "snapshot":
            manager.snapshot = Snapshot.of(data) or manager.snapshot
        elif event in TAB_EVENTS:
            self._turns.charge(self._bridge.publish(event, {**data, "webui": manager.client_id}))
        else:
            raise UiapiError("malformed", f"Unknown event {event[:40]!r} from a tab; reload the page.")

    def _take_request(self, frame: dict[str, Any]) -> None:
        request_id = frame.get("id")
        if not isinstance(request_id, (str, int)) or isinstance(request_id, bool) or len(str(request_id)) > 200:
            raise UiapiError("malformed", "Send an id with each request, a string or a number.")
        if str(request_id) in self._work:
            raise UiapiError("malformed", f"The id {request_id!r} is in use by a pending request; use another id.")
        if len(self._work) >= MAX_IN_PROGRESS:
            error = UiapiError("too_many", f"{MAX_IN_PROGRESS} of your requests are pending; wait for some of them.")
            self._connection.send({"type": "response", "id": request_id, **error.envelope()})
            return
        size = self._connection.received
        if self._held + size > MAX_BYTES:
            error = UiapiError("too_many", f"Your pending requests have {MAX_BYTES >> 20} MB; wait for some of them.")
            self._connection.send({"type": "response", "id": request_id, **error.envelope()})
            return
        task = asyncio.create_task(self._carry_out(request_id, frame), name=f"uiapi {str(frame.get('command'))[:80]}")
        self._work[str(request_id)] = task
        self._held += size

        def done(_: object) -> None:
            self._work.pop(str(request_id), None)
            self._held -= size

        task.add_done_callback(done)

    async def _carry_out(self, request_id: str | int, frame: dict[str, Any]) -> None:
        try:
            command = find_command(str(frame.get("command")), panel=self._manager is not None)
            self._bridge.guard.check_risk(command)
            emit = self._emitter(request_id)
            caller = Caller(
                program=self._program,
                tab=self._manager,
                request_id=str(request_id),
                local=self._local,
                web_app=self._web_app,
                emit=emit,
                subscriptions=self._subscriptions,
            )
            data = frame.get("data")
            envelope = await dispatch(self._bridge, command, {} if data is None else data, caller)
        except UiapiError as error:
            envelope = error.envelope()
        except Exception:  # The last line of defence: logged with its traceback, answered in the envelope.
            envelope = internal_error(str(frame.get("command"))).envelope()
        text = encode({"type": "response", "id": request_id, **envelope})
        if len(text) > MAX_FRAME:
            large = UiapiError("too_large", f"The answer has more than {MAX_FRAME >> 20} MB; ask for less at once.")
            text = encode({"type": "response", "id": request_id, **large.envelope()})
        self._connection.send_text(text)

    def _emitter(self, request_id: str | int) -> Callable[[str, dict[str, Any]], None]:
        def emit(event: str, data: dict[str, Any]) -> None:
            self._connection.send({"type": "event", "event": event, "request": request_id, "data": data})

        return emit


def _extras(frame: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that a tab sends along with an answer."""
    return {key: frame[key] for key in ("revision", "workflow_tab") if isinstance(frame.get(key), str)}
