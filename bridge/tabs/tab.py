"""The pending requests and the connection of one tab.

Everything here runs on ComfyUI's event loop and does not await between a check and the action that relies on it.
So a disconnect, a reconnect and an answer can arrive in any order, without a lock.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import time
from typing import Any, Protocol

from ...common.errors import TAB_CODES, UiapiError, disconnected
from ...common.shorten import cut_texts, sentence
from ..protocol.command_spec import COMMANDS
from .graph_snapshot import Snapshot
from .late_answers import LateAnswers
from .submissions import Submission

log = logging.getLogger("uiapi")

# Seconds a disconnected manager is kept, so that a page that reconnects finds it again.
CLEANUP_DELAY = 0.1
# The id of the lobby, which no tab has.
LOBBY_ID = 0
# Pending requests of one tab.
MAX_PENDING = 4096
# The keys that are kept of a page's description of itself, and the characters of each; all panels show them.
INFO = ("browser", "platform", "frontend_version", "workflow_name")
MAX_INFO = 200
# Seconds ComfyUI may take to accept a run that a tab submitted right before it disconnected.
SUBMISSION_GRACE = 5.0
# Keys of error details that repeat sent values.
REPEATING = frozenset({"value", "error", "node_errors"})


class Transport(Protocol):
    """The connection to a tab: our own websocket or ComfyUI's."""

    kind: str

    def send_request(self, request: PendingRequest) -> None:
        """Queue a request for the tab; never blocks."""

    def send_cancel(self, request_id: str) -> None:
        """Cancel a request whose answer is not needed any more."""

    def send_event(self, frame: bytes) -> None:
        """Send an event, encoded by `encode_event`; ignored by a transport that cannot carry events."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection; no further request will be sent."""


@dataclass(eq=False)
class PendingRequest:
    """A request that a tab has not answered yet.

    Attributes:
        timeout: seconds.
        owner: the tab, or the lobby, that holds it now.
        webui: the only tab it may be sent to while it waits in the lobby; None for any.
        conditions: keys sent along with the data (if_revision, workflow_tab, by).
        extras: keys that came along with the answer (revision, workflow_tab).
        program: the name of the program that it is sent for; empty for the person's own.
        submission: the state of its run; None unless it is an `execute`.
    """

    command: str
    data: dict[str, Any]
    timeout: float
    future: asyncio.Future[Any]
    owner: WebuiManager
    webui: int | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    program: str = ""
    sent: bool = False
    submission: Submission | None = None

    @property
    def asks(self) -> bool:
        """Whether the page asks the person before it answers."""
        command = COMMANDS.get(self.command)
        return command is not None and command.asks

    def answer(self, value: Any) -> None:
        """Set the answer, if there is no answer or error yet."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: UiapiError) -> None:
        """Set the error, if there is no answer or error yet."""
        if not self.future.done():
            self.future.set_exception(error)


class WebuiManager:
    """The requests and the connection of one tab.

    Args:
        client_id: the tab's id; LOBBY_ID for the manager that buffers requests while no tab is open.
        has_key: whether it has sent the page key.
        late: keeps answers that arrive after the timeout.
        submitting: the runs that tabs are submitting, by the ids of their requests.
        on_disconnect: called after the pending requests were answered; elects another main tab.
        on_cleanup: called CLEANUP_DELAY seconds later unless the tab has reconnected.
        on_question: called when a question to the person begins or ends.
    """

    def __init__(
        self,
        client_id: int,
        *,
        has_key: bool = False,
        late: LateAnswers | None = None,
        submitting: dict[str, PendingRequest] | None = None,
        on_disconnect: Callable[[WebuiManager], None] = lambda manager: None,
        on_cleanup: Callable[[WebuiManager], None] = lambda manager: None,
        on_question: Callable[[], None] = lambda: None,
    ) -> None:
        self.client_id = client_id
        self.has_key = has_key
        self.session = secrets.token_urlsafe(16)
        self.info: dict[str, Any] = {}
        self.sid: str | None = None
        self.capabilities: frozenset[str] = frozenset()
        self.since = time()
        self.snapshot: Snapshot | None = None
        self._transport: Transport | None = None
        self._disconnected = False
        self._pending_requests: dict[str, PendingRequest] = {}
        self._buffered_requests: list[PendingRequest] = []
        # Runs that were answered before the tab's own answer arrived.
        self._submitted: deque[str] = deque(maxlen=64)
        self._late = late or LateAnswers()
        self._submitting = {} if submitting is None else submitting
        self._on_disconnect = on_disconnect
        self._on_cleanup = on_cleanup
        self._on_question = on_question
        self._cleanup_handle: asyncio.TimerHandle | None = None

    # -- state ----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""
        return self._transport is not None and not self._disconnected

    @property
    def transport(self) -> Transport | None:
        """The connection in use, if any."""
        return self._transport

    @property
    def pending_count(self) -> int:
        """How many requests are pending or buffered."""
        return len(self._pending_requests) + len(self._buffered_requests)

    def questions(self) -> list[PendingRequest]:
        """Return the requests that wait for the person."""
        return [pending for pending in (*self._pending_requests.values(), *self._buffered_requests) if pending.asks]

    # -- requests -------------------------------------------------------------------------------------------

    async def request(self, command: str, data: dict[str, Any], timeout: float, program: str = "") -> Any:
        """Send a request to the tab for a program, or for the person, and return its answer; see `ask`."""
        pending = self.open(command, data, timeout)
        pending.program = program
        return await self.ask(pending)

    async def ask(self, pending: PendingRequest) -> Any:
        """Send an opened request to the tab and return its answer.

        Without a connection the request is buffered until the tab connects. Raises UiapiError `timeout`,
        `client_disconnected`, or the tab's error.
        """
        if self._transport is None:
            self._buffered_requests.append(pending)
        else:
            self._send(pending, self._transport)
        return await self.wait(pending)

    def open(self, command: str, data: dict[str, Any], timeout: float) -> PendingRequest:
        """Return a new request for this tab, to be sent by `ask`. Raises UiapiError `too_many` at the limit."""
        if self._disconnected:
            raise disconnected()
        if self.pending_count >= MAX_PENDING:
            raise UiapiError("too_many", f"The tab has {MAX_PENDING} requests to answer; wait for some of them.")
        pending = PendingRequest(command, data, timeout, asyncio.get_running_loop().create_future(), self)
        if command == "execute":
            pending.submission = Submission(data.get("batch_count", 1))
        return pending

    async def wait(self, pending: PendingRequest) -> Any:
        """Wait for the answer and return it. Afterwards the request is not pending, and cancelled if unanswered."""
        # Not wait_for: before Python 3.12 it costs every answer another turn of the loop.
        timer = asyncio.get_running_loop().call_later(pending.timeout, _expire, pending)
        asks = pending.asks
        if asks:
            self._on_question()
        try:
            return await pending.future
        finally:
            timer.cancel()
            # It may have been passed on to a tab that has connected since.
            pending.owner._forget(pending)
            if asks:
                self._on_question()

    def awaits(self, request_id: str) -> bool:
        """Whether that request was sent to this tab and is still unanswered."""
        pending = self._pending_requests.get(request_id)
        return pending is not None and pending.sent

    def respond(
        self,
        request_id: str,
        answer: Any,
        error: dict[str, Any] | None = None,
        extras: dict[str, Any] | None = None,
    ) -> bool:
        """Handle the tab's answer, or its error envelope. Returns False if the request is not pending."""
        pending = self._pending_requests.pop(request_id, None)
        if pending is None and request_id in self._submitted:
            return True
        if pending is None or pending.future.done():
            log.info("Tab %s answered request %.40r too late or twice; ignored.", self.client_id, request_id)
            self._late.offer(request_id, error or {"status": "ok", "response": answer})
            return False
        pending.extras = extras or {}
        if error is not None:
            failure = _tab_error(pending.command, error)
            pending.fail(failure if pending.submission is None else pending.submission.explain(failure))
        else:
            pending.answer(answer)
        return True

    def submitting(self, request_id: str, part: dict[str, Any], extras: dict[str, Any]) -> None:
        """Handle the tab's part of the answer of a run that it submits."""
        pending = self._pending_requests.get(request_id)
        if pending is not None and pending.submission is not None:
            pending.submission.part, pending.submission.extras = part, extras
            self._join(pending)

    def accepted(self, pending: PendingRequest, queued: dict[str, Any]) -> None:
        """Handle ComfyUI's answer to a prompt that this tab submits, or submitted before it disconnected."""
        if pending.submission is not None:
            pending.submission.accepted.append(queued)
            self._join(pending)

    def _join(self, pending: PendingRequest) -> None:
        """Answer a run if its submission is complete.

        The tab's own answer, which arrives after the page has drawn, is ignored then.
        """
        submission = pending.submission
        if submission is not None and submission.complete:
            self._pending_requests.pop(pending.request_id, None)
            self._submitted.append(pending.request_id)
            pending.extras = submission.extras
            pending.answer(submission.answer())

    def _abandon(self, pending: PendingRequest, submission: Submission) -> None:
        """Handle a tab that disconnects while it submits a run; the prompts that ComfyUI accepts are still reported."""
        submission.abandoned = True
        self._join(pending)
        if not pending.future.done():
            loop = asyncio.get_running_loop()
            timer = loop.call_later(SUBMISSION_GRACE, lambda: pending.fail(submission.lost()))
            pending.future.add_done_callback(lambda _: timer.cancel())

    def _send(self, pending: PendingRequest, transport: Transport) -> None:
        self._pending_requests[pending.request_id] = pending
        if pending.submission is not None:
            self._submitting[pending.request_id] = pending
        pending.sent = True
        transport.send_request(pending)

    def _forget(self, pending: PendingRequest) -> None:
        if pending in self._buffered_requests:
            self._buffered_requests.remove(pending)
        self._submitting.pop(pending.request_id, None)
        unanswered = self._pending_requests.pop(pending.request_id, None)
        if unanswered is not None and pending.sent and self._transport is not None:
            self._transport.send_cancel(pending.request_id)

    # -- connection -----------------------------------------------------------------------------------------------

    def connect(self, transport: Transport) -> None:
        """Use this connection from now on; an earlier one of the same tab is closed.

        Requests sent over the earlier one may be lost, so they fail with `client_disconnected`.
        """
        earlier, self._transport = self._transport, transport
        if earlier is not None and earlier is not transport:
            self._fail_pending()
            earlier.close(4001, "replaced")
        self._disconnected = False
        if self._cleanup_handle is not None:
            self._cleanup_handle.cancel()
            self._cleanup_handle = None

    def adopt(self, requests: list[PendingRequest]) -> None:
        """Take over requests from the lobby, and send all buffered ones."""
        self._buffered_requests.extend(requests)
        if self._transport is None:
            return
        for pending in self.give_away():
            if not pending.future.done():
                pending.owner = self
                self._send(pending, self._transport)

    def give_away(self, client_id: int | None = None) -> list[PendingRequest]:
        """Remove and return the buffered requests for that tab, or all of them."""
        buffered = self._buffered_requests
        given = [pending for pending in buffered if client_id is None or pending.webui in (None, client_id)]
        self._buffered_requests = [pending for pending in buffered if pending not in given]
        return given

    def disconnect(self, transport: Transport | None = None) -> bool:
        """Disconnect the tab; with `transport`, only if that is its current connection. Returns whether it did."""
        if self._disconnected or (transport is not None and transport is not self._transport):
            return False
        self._disconnected = True
        gone, self._transport = self._transport, None
        self._fail_pending()
        if gone is not None:
            gone.close(1000, "disconnected")
        self._on_disconnect(self)
        self._cleanup_handle = asyncio.get_running_loop().call_later(CLEANUP_DELAY, self._cleanup_manager)
        return True

    def _fail_pending(self) -> None:
        waiting = [*self._pending_requests.values(), *self._buffered_requests]
        self._pending_requests.clear()
        self._buffered_requests.clear()
        for pending in waiting:
            if pending.submission is not None and pending.submission.begun:
                self._abandon(pending, pending.submission)
            else:
                pending.fail(disconnected())

    def _cleanup_manager(self) -> None:
        self._cleanup_handle = None
        if self._disconnected:
            self._on_cleanup(self)


def page_info(info: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that are kept of a page's description of itself."""
    return {key: info[key][:MAX_INFO] for key in INFO if isinstance(info.get(key), str)}


def _expire(pending: PendingRequest) -> None:
    if pending.sent:
        pending.owner._late.expect(pending.request_id)
    error = UiapiError(
        "timeout",
        f"The tab did not answer {pending.command} within {pending.timeout:g} s; "
        "check whether the page is busy or a dialog is open, or raise `timeout`.",
        {"request_id": pending.request_id, "delivered": pending.sent},
    )
    pending.fail(error if pending.submission is None else pending.submission.explain(error))


def _tab_error(command: str, answer: dict[str, Any]) -> UiapiError:
    message = str(answer.get("error") or f"The tab could not carry out {command}.")
    details = answer.get("details")
    code = answer.get("code")
    return UiapiError(
        code if code in TAB_CODES else "tab_failed",
        sentence(message),
        {key: cut_texts(value) if key in REPEATING else value for key, value in details.items()}
        if isinstance(details, dict)
        else None,
    )
