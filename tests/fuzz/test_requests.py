"""A tab connects, disconnects and answers once, twice, late or wrongly in any order; each request ends exactly once."""

from __future__ import annotations

import asyncio
from typing import Any

from comfyui_uiapi.bridge.tabs.tab import PendingRequest, WebuiManager
from comfyui_uiapi.common.errors import UiapiError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test


class Line:
    """A connection of the tab that records what is sent over it."""

    kind = "played"

    def __init__(self) -> None:
        self.requests: list[PendingRequest] = []
        self.cancelled: list[str] = []
        self.events: list[bytes] = []
        self.closed = False

    def send_request(self, request: PendingRequest) -> None:
        assert not self.closed, "a request was sent over a connection that was let go"
        self.requests.append(request)

    def send_cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def send_event(self, frame: bytes) -> None:
        self.events.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = True


class Asked:
    """A request of a program, and how it ended."""

    def __init__(self, pending: PendingRequest, task: asyncio.Task[Any]) -> None:
        self.pending = pending
        self.task = task
        # The answer that arrived while it was open, or None.
        self.expected: Any = None

    @property
    def outcome(self) -> Any:
        if self.task.cancelled():
            return "cancelled"
        error = self.task.exception()
        return error.code if isinstance(error, UiapiError) else self.task.result() if error is None else error


class Life(RuleBasedStateMachine):
    """One tab, many programs."""

    lines = Bundle("lines")
    asked = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.manager = self.run(self._new())
        self.everything: list[Asked] = []
        self.open: dict[str, Asked] = {}
        self.current: Line | None = None
        self.gone = False

    async def _new(self) -> WebuiManager:
        return WebuiManager(1)

    def run(self, work: Any) -> Any:
        """Run the coroutine and everything that it schedules."""

        async def settled() -> Any:
            result = await work
            for _ in range(4):
                await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(settled())

    @rule(target=lines)
    def connect(self) -> Line:
        line = Line()

        async def act() -> None:
            self.manager.connect(line)

        if self.current is not None:
            self._lose()
        self.run(act())
        self.current, self.gone = line, False
        return line

    @rule(line=lines)
    def the_socket_ends(self, line: Line) -> None:
        async def act() -> Any:
            return self.manager.disconnect(line)

        was: bool = self.run(act())
        assert was == (line is self.current and not self.gone)
        if was:
            self._lose()
            self.current, self.gone = None, True

    def _lose(self) -> None:
        for request in self.open.values():
            request.expected = "client_disconnected"
        self.open.clear()

    @precondition(lambda self: not self.gone)
    @rule(target=asked)
    def ask(self) -> Asked:
        async def act() -> Asked:
            pending = self.manager.open("get_fields", {}, 1e6)
            return Asked(pending, asyncio.get_running_loop().create_task(self.manager.ask(pending)))

        request: Asked = self.run(act())
        self.everything.append(request)
        self.open[request.pending.request_id] = request
        return request

    @rule(request=asked, value=st.integers(), fails=st.booleans())
    def answer(self, request: Asked, value: int, fails: bool) -> None:
        ident = request.pending.request_id
        waited = self.manager.awaits(ident)
        error = {"status": "error", "error": "no", "code": "unknown_path"} if fails else None

        async def act() -> Any:
            return self.manager.respond(ident, value, error)

        taken = self.run(act())
        assert taken == waited
        if taken:
            request.expected = "unknown_path" if fails else value
            self.open.pop(ident, None)

    @rule(ident=st.text(max_size=20), value=st.integers())
    def answer_what_nobody_asked(self, ident: str, value: int) -> None:
        async def act() -> Any:
            return self.manager.respond(ident, value)

        assert not self.run(act())

    @rule(request=asked)
    def the_program_hangs_up(self, request: Asked) -> None:
        async def act() -> None:
            request.task.cancel()

        ended = request.task.done()
        self.run(act())
        if not ended:
            request.expected = "cancelled"
            self.open.pop(request.pending.request_id, None)

    @invariant()
    def exactly_the_open_ones_are_pending(self) -> None:
        assert self.manager.pending_count == len(self.open)
        assert all(not request.task.done() for request in self.open.values())

    @invariant()
    def every_other_one_has_ended_as_it_should(self) -> None:
        for request in self.everything:
            if request.pending.request_id not in self.open:
                assert request.task.done() and request.outcome == request.expected

    def teardown(self) -> None:
        async def act() -> None:
            for request in self.everything:
                request.task.cancel()
            await asyncio.gather(*(request.task for request in self.everything), return_exceptions=True)
            self.manager.disconnect()
            if self.manager._cleanup_handle is not None:
                self.manager._cleanup_handle.cancel()

        self.run(act())
        self.loop.close()


def test_every_request_ends_exactly_once_whatever_the_tab_does(examples: settings) -> None:
    # Each example has up to fifty steps.
    lives = settings(examples, max_examples=max(examples.max_examples // 10, 30), stateful_step_count=50)
    run_state_machine_as_test(Life, settings=lives)
