"""`AsyncSweep`, the results of a sweep for asyncio programs.

blocking_sweep.py is generated from this file: run `python3 dev.py generate` after a change.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol
from uuid import uuid4

from ..common.errors import UiapiError, Unreachable
from ..common.events import Listener
from ..common.notices import warn
from ..common.results import OutputFile
from ..protocol.requests import LONGEST
from .async_mailbox import AsyncMailbox
from .item import SweepItem
from .ledger import RUNNING, Ledger
from .variations import fields_at

log = logging.getLogger("uiapi")

# Seconds without an event after which the server is asked, with events and without a websocket.
QUIET, POLL = 3.0, 0.5


class AsyncSender(Protocol):
    """The methods of its client that a sweep uses."""

    async def call(self, command: str, data: Mapping[str, Any] | None = None) -> Any:
        """Send a command."""

    async def fetch(self, file: OutputFile) -> bytes:
        """Fetch a file."""

    def on(self, events: str | Iterable[str], listener: Listener) -> Awaitable[Callable[[], None]]:
        """Subscribe to events."""


class AsyncSweep:
    """A sweep: iterate over it for its results. It starts with the first of them, or at `async with`.

    Leaving the loop early, or an exception in it, cancels the rest. In `async with` that happens at the end of the
    block, otherwise as soon as Python notices.

    Attributes:
        ledger: the results and counts so far.

    Args:
        client: sends the commands.
        request: the parameters of the command `sweep`, or only the `sweep_id` of one that is under way.
        ordered: yield the results in the order of their index instead of as they come.
        stop: whether to raise the error of the first variation that fails, after yielding it.
        timeout: seconds for the whole sweep, after which it is cancelled.
        fetch: whether to fetch the files of each result.
        keep: whether the sweep continues when the loop is left.
    """

    def __init__(
        self,
        client: AsyncSender,
        request: Mapping[str, Any],
        *,
        ordered: bool = False,
        stop: bool = False,
        timeout: float | None = None,
        fetch: bool = True,
        keep: bool = False,
    ) -> None:
        self._client = client
        self._request = dict(request)
        self._follows = not {"grid", "variations"} & self._request.keys()
        self._stop, self._timeout, self._fetch, self._keep = stop, timeout, fetch, keep
        self._until: float | None = None
        self._mailbox = AsyncMailbox()
        self._quiet = QUIET
        self._end: Callable[[], None] | None = None
        self._began = self._closed = False
        self._warned: set[str] = set()
        # Whether the last question brought nothing, so that the next one waits.
        self._vain = False
        # With an ID of its own it can be cancelled before the first answer, and found again without it.
        self.ledger = Ledger(ordered, self._request.get("sweep_id") or uuid4().hex)

    @property
    def sweep_id(self) -> str:
        """Its ID, which it has before it starts."""
        return self.ledger.sweep_id

    @property
    def total(self) -> int:
        """How many variations it has; 0 before it has started."""
        return self.ledger.total

    @property
    def done(self) -> int:
        """How many variations have succeeded."""
        return self.ledger.done

    @property
    def failed(self) -> int:
        """How many variations have failed."""
        return self.ledger.failed

    @property
    def status(self) -> str:
        """ "running", "finished", "failed" or "cancelled"."""
        return self.ledger.status

    @property
    def warnings(self) -> list[str]:
        """About the sweep as a whole; those about one variation are in its result."""
        return self.ledger.warnings

    def __aiter__(self) -> AsyncIterator[SweepItem]:
        return self._each()

    async def __aenter__(self) -> AsyncSweep:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the sweep, unless it has started."""
        if self._began:
            return
        self._began = True
        self._until = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            self._end = await self._client.on("sweep_progress", self._mailbox.put)
        except (ImportError, Unreachable):
            # Without a websocket, which some proxies do not let through, the server is asked again and again.
            self._quiet = POLL
        try:
            if self._follows:
                await self._ask(self._request)
            else:
                await self._send()
        except BaseException:
            self._unsubscribe()
            raise

    async def _send(self) -> None:
        data = {**self._request, "sweep_id": self.sweep_id, "wait": False}
        if self._timeout is not None:
            data["timeout"] = min(self._timeout, LONGEST)
        try:
            try:
                self._note(await self._client.call("sweep", data))
            except Unreachable as error:
                if error.code != "connection_lost":
                    raise
                await self._find(error)
        except UiapiError as error:
            # It goes on, although nothing of it is known here.
            if error.code == "timeout":
                await self._abandon()
            raise
        except BaseException:
            # On Ctrl-C, or if the caller's task is cancelled.
            if not self._keep:
                await self._abandon()
            raise

    async def _find(self, lost: Unreachable) -> None:
        """Go on with a sweep whose first answer was lost with the connection. Raises `lost` if it did not begin."""
        try:
            await self._ask({"sweep_id": self.sweep_id})
        except UiapiError as error:
            if error.code == "unknown_sweep":
                # Its request may be under way, or wait for the person.
                await self._abandon()
            raise lost from None

    async def _abandon(self) -> None:
        """Cancel a sweep that may not have begun. An error must not replace the reason."""
        try:
            await self._client.call("sweep_cancel", {"sweep_id": self.sweep_id})
        except UiapiError as error:
            if error.code != "unknown_sweep":
                log.warning("The sweep %s could not be cancelled: %s", self.sweep_id, error)

    async def cancel(self) -> None:
        """Cancel the rest of the sweep; results so far are kept."""
        if self.ledger.begun and self.ledger.status == RUNNING:
            self._note(await self._client.call("sweep_cancel", {"sweep_id": self.ledger.sweep_id}))

    async def close(self) -> None:
        """End the loop; cancels the rest of the sweep, unless it is to be kept."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._keep:
                await self.cancel()
        except UiapiError as error:
            # It must not replace the exception that ended the loop.
            log.warning("The sweep %s could not be cancelled: %s", self.ledger.sweep_id, error)
        finally:
            self._unsubscribe()

    async def _each(self) -> AsyncIterator[SweepItem]:
        try:
            await self.start()
            while not self._closed:
                while (item := self.ledger.take()) is not None:
                    await self._complete(item)
                    yield item
                    if self._stop and item.error is not None:
                        raise item.error
                if self.ledger.complete:
                    break
                await self._more()
        finally:
            await self.close()
        self._warn(self.warnings)
        early = self.ledger.failure()
        if early is not None:
            raise early

    async def _more(self) -> None:
        """Wait for more results."""
        if self.ledger.behind and not self._vain:
            known = self.ledger.count
            await self._ask(self.ledger.query)
            self._vain = self.ledger.count == known and not self.ledger.complete
            return
        self._vain = False
        wait = self._quiet
        if self._until is not None and self._timeout is not None:
            wait = min(wait, self._until - time.monotonic())
            if wait <= 0:
                raise self.ledger.late(self._timeout)
        event = await self._mailbox.get(wait)
        if event is not None:
            self.ledger.take_event(event.data)
        elif wait == self._quiet:
            # Events may have been lost with a connection, and nothing else would say so.
            await self._ask(self.ledger.query)

    async def _ask(self, query: Mapping[str, Any]) -> None:
        following: int | None = query.get("first", 0)
        while following is not None:
            answer = await self._client.call("sweep_status", {**query, "first": following})
            following = self._note(answer)

    def _note(self, answer: Mapping[str, Any]) -> int | None:
        return self.ledger.take_answer(answer)

    async def _complete(self, item: SweepItem) -> None:
        """Fetch the files of a result. One that cannot be fetched is an error of this result only."""
        self._warn(item.warnings)
        if not item.fields:
            # The server leaves out the fields of what it did not run.
            item.fields = fields_at(self._request, item.index)
        try:
            for file in item.files if self._fetch else ():
                await self._client.fetch(file)
        except UiapiError as error:
            item.error = item.error or error

    def _warn(self, texts: Iterable[str]) -> None:
        """Issue a Python warning for each text once, since all variations may have the same."""
        new = [text for text in dict.fromkeys(texts) if text not in self._warned]
        self._warned.update(new)
        warn(new)

    def _unsubscribe(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            end()
