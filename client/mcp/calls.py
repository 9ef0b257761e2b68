"""Tool calls that outlast their answer: after ANSWER_WITHIN seconds an agent gets a ticket, and the call goes on.

Agents give up a call after a minute or so, but a video may render for ten, and a person may have to answer a question.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..async_client import AsyncClient
from ..common.errors import UiapiError
from ..common.events import Event
from .parts import Part

# Seconds until a call is answered, at the latest.
ANSWER_WITHIN = 50.0
# Calls under way at once, and ended calls whose results are kept.
MAX_UNDER_WAY, MAX_KEPT = 100, 50
# Seconds between two progress notifications.
NEWS_INTERVAL = 0.5

WAITING = {
    "approval": "a person at the browser is asked to allow this",
    "url": "a person at the browser is asked for the URL of a model",
    "offer": "a person at the browser is asked whether to open the workflow",
}

# Called with (steps done, steps in all or None, the progress in words).
Report = Callable[[float, float | None, str], Awaitable[None]]
# Returns the result of a call, and notes the call's events in it.
Work = Callable[["Call"], Awaitable[list[Part]]]


class Call:
    """One call of a tool, which runs in its own task.

    Attributes:
        ticket: names it; it cannot be guessed.
        tool: the name of the tool.
        task: ends with the parts of the result, or a UiapiError.
        news: its progress, in words.
        done, total: the steps of the node that runs, if it reports them.
        preview: the latest preview picture of a run, with its media type.
    """

    def __init__(self, tool: str, work: Work, now: float) -> None:
        self.ticket = secrets.token_urlsafe(9)
        self.tool = tool
        self.began = now
        self.news = "sent to ComfyUI"
        self.done = 0.0
        self.total: float | None = None
        self.preview: tuple[bytes, str] | None = None
        self.changed = asyncio.Event()
        self._titles: dict[Any, str] = {}
        self.task = asyncio.create_task(self._carry_out(work), name=f"uiapi tool {tool}")
        # Keeps Python from logging an error that no agent asks for again.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _carry_out(self, work: Work) -> list[Part]:
        return await work(self)

    def take(self, event: Event) -> None:
        """Note an event of this call."""
        data, node = event.data, event.data.get("node")
        if event.name == "waiting_for_person":
            self.news = WAITING.get(data.get("reason", ""), "a person at the browser is asked")
        elif event.name == "executing" and node is not None:
            title = self._titles[node] = data.get("title") or data.get("node_type") or f"node {node}"
            self.news, self.done, self.total = f"{title} is executed", 0.0, None
        elif event.name == "progress":
            self.done, self.total = data.get("value", 0), data.get("max")
            self.news = f"{self._titles.get(node, f'node {node}')}: step {self.done:g} of {self.total or 0:g}"
        elif event.name == "preview":
            self.preview = base64.b64decode(data["data"]), data["mime"]
        else:
            return
        self.changed.set()

    def count(self, done: int, total: int) -> None:
        """Note how many variations of a sweep have ended."""
        self.news, self.done, self.total = f"{done} of {total} variations have ended", done, total
        self.changed.set()

    @property
    def ended(self) -> bool:
        """Whether there is a result."""
        return self.task.done()

    def state(self, now: float) -> dict[str, Any]:
        """Returns its state for the agent, as JSON."""
        known = {
            "ticket": self.ticket,
            "tool": self.tool,
            "state": "ended" if self.ended else "under way",
            "seconds": round(now - self.began, 1),
        }
        return known if self.ended else {**known, "news": self.news}


class Calls:
    """The calls of all agents that this process serves.

    Args:
        client: the connection to ComfyUI.
        clock: seconds.
    """

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self.clock = clock
        self._calls: dict[str, Call] = {}

    def begin(self, tool: str, work: Work) -> Call:
        """Start `work` in a task of its own. Raises UiapiError `too_many`."""
        if sum(not call.ended for call in self._calls.values()) >= MAX_UNDER_WAY:
            raise UiapiError("too_many", f"{MAX_UNDER_WAY} calls are under way; wait for some with run_status.")
        ended = [call for call in self._calls.values() if call.ended]
        for oldest in ended[: max(len(ended) - MAX_KEPT, 0)]:
            del self._calls[oldest.ticket]
        call = Call(tool, work, self.clock())
        self._calls[call.ticket] = call
        return call

    def find(self, ticket: str) -> Call:
        """Returns the call of a ticket. Raises UiapiError `unknown_request`."""
        call = self._calls.get(ticket)
        if call is None:
            raise UiapiError(
                "unknown_request",
                "No call has this ticket; run_status without a ticket lists the calls that are known.",
                {"tickets": [*self._calls]},
            )
        return call

    def forget(self, call: Call) -> None:
        """Drop a call whose result is handed over before its agent needed the ticket."""
        self._calls.pop(call.ticket, None)

    def states(self) -> list[dict[str, Any]]:
        """Returns the state of every call, the newest first."""
        return [call.state(self.clock()) for call in reversed(self._calls.values())]

    async def wait(self, call: Call, seconds: float, report: Report) -> bool:
        """Wait for the end of a call and report its progress; returns whether it has ended."""
        until = self.clock() + min(seconds, ANSWER_WITHIN)
        while not call.ended and (left := until - self.clock()) > 0:
            call.changed.clear()
            changed = asyncio.create_task(call.changed.wait())
            await asyncio.wait({call.task, changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if not call.ended and call.changed.is_set():
                await report(call.done, call.total, call.news)
                # Events of fast nodes come by the hundred.
                await asyncio.wait({call.task}, timeout=min(NEWS_INTERVAL, max(until - self.clock(), 0)))
        return call.ended

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [call.task for call in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._calls.clear()
