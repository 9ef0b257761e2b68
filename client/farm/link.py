"""The connection of a sweep to the scheduler of a farm, which is renewed when it is lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from distributed import Client

from ..common.errors import Unreachable
from .machine import cancel
from .member import UNCONNECTED, SchedulerLost
from .settings import check_certificates, reason_of

if TYPE_CHECKING:
    from distributed import Security

# Seconds for a connection, for one that was lost to be back, and for a question.
CONNECT_TIMEOUT, RECONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 20.0, 30.0
# Seconds for all workers to cancel a sweep.
CANCEL_TIMEOUT = 10.0
CLOSE_TIMEOUT = 5.0
# What Dask raises while its connection is alive, because the other end or a request is not; it cancels tasks whose
# connection is lost. Over a connection that has ended it raises anything.
BROKEN = (OSError, asyncio.TimeoutError, CancelledError)


class ConnectionLost(Exception):
    """The connection of a call is lost; it has to be renewed, and what was sent over it sent again."""


class Connection(Client):  # type: ignore[misc]
    """One connection, which ends when it is lost.

    Dask's own would connect again under the same ID. A scheduler that has not noticed the loss by then keeps the tasks
    of the first connection for ever, and runs one again when the worker with its result is lost.

    Attributes:
        ended: set when it ends.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        self.ended = asyncio.Event()
        super().__init__(*args, **named)

    async def _reconnect(self) -> None:
        self.scheduler_comm = None
        await self._close()

    async def _handle_report(self) -> None:
        try:
            await super()._handle_report()
        finally:
            # Whatever ended the reports, nobody would hear any more how a task has ended.
            if self.status == "running":
                await self._close()

    async def _close(self, *args: Any, **named: Any) -> None:
        self.ended.set()
        await super()._close(*args, **named)


class Link:
    """The connection. Use it in `async with`; entering raises UiapiError if there is no farm, or it lets nobody in.

    Args:
        address: of the scheduler.
        security: TLS of Dask.

    Attributes:
        sweep_id: the ID of the sweep.
        client: the current connection.
        count: its number; the first one is 1.
    """

    def __init__(self, address: str, security: Security) -> None:
        self._address = address
        self._security = security
        self._renewing = asyncio.Lock()
        self.sweep_id = uuid4().hex
        self.client: Connection
        self.count = 0
        self._is_lost = False

    async def __aenter__(self) -> Link:
        check_certificates(self._address, self._security, "client")
        try:
            await self._connect(CONNECT_TIMEOUT)
        except UNCONNECTED as error:
            with_tls = ", with certificates of one authority everywhere" if self._address.startswith("tls://") else ""
            hint = f"start one with uiapi farm start{with_tls}"
            message = f"No farm answers at {self._address}; {hint}. ({reason_of(error)})"
            raise Unreachable("unreachable", message) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close(self.client)

    @property
    def dashboard(self) -> str | None:
        """The URL of Dask's dashboard, None if it is not served."""
        with suppress(KeyError, ValueError, AttributeError):
            services = self.client.scheduler_info().get("services") or {}
            return self.client.dashboard_link if "dashboard" in services else None
        return None

    async def renew(self, lost: Client) -> None:
        """Connect again, unless that has been done since `lost` was the current connection. Raises SchedulerLost."""
        async with self._renewing:
            if self.client is not lost:
                return
            await self._close(lost)
            until = asyncio.get_running_loop().time() + RECONNECT_TIMEOUT
            while True:
                try:
                    await self._connect(max(1.0, until - asyncio.get_running_loop().time()))
                    return
                except UNCONNECTED as error:
                    if asyncio.get_running_loop().time() > until:
                        self._is_lost = True
                        raise SchedulerLost(f"The farm at {self._address} has ended or cannot be reached") from error
                await asyncio.sleep(0.2)

    async def machines(self) -> dict[str, str]:
        """Returns the addresses of the workers, each with a name that a ComfyUI keeps. Raises SchedulerLost."""
        while True:
            client = self.client
            try:
                with self.over(client):
                    found: dict[str, str] = await asyncio.wait_for(client.scheduler.uiapi_machines(), ANSWER_TIMEOUT)
                    return found
            except ConnectionLost:
                await self.renew(client)

    def check(self, client: Client) -> None:
        """Raises ConnectionLost if `client` is no longer the current connection, or is about to end.

        Dask forgets a task that is submitted while its client closes.
        """
        if client is not self.client or client.status != "running":
            raise ConnectionLost

    @contextmanager
    def over(self, client: Client) -> Iterator[None]:
        """Raises ConnectionLost if `client` is not the current connection, or ends in this block."""
        self.check(client)
        try:
            yield
        except BROKEN as error:
            raise ConnectionLost from error
        except Exception as error:
            # It raises AttributeError, RuntimeError or Exception itself where a connection was taken away meanwhile.
            if client.status == "running":
                raise
            raise ConnectionLost from error

    async def ask(self, client: Client, command: str, **data: Any) -> Any:
        """Send a command of the Board that concerns a connection, over that connection. Raises ConnectionLost."""
        with self.over(client):
            asked = getattr(client.scheduler, f"uiapi_{command}")(client=client.id, **data)
            return await asyncio.wait_for(asked, ANSWER_TIMEOUT)

    async def cancel(self) -> None:
        """Remove the prompts of the sweep from every ComfyUI, over another connection if this one is lost."""
        with suppress(SchedulerLost, asyncio.TimeoutError):
            await asyncio.wait_for(self._cancel(), CANCEL_TIMEOUT)

    async def _cancel(self) -> None:
        while not self._is_lost:
            client = self.client
            try:
                with self.over(client):
                    await client.run(cancel, self.sweep_id, math.inf, on_error="return")
                    return
            except ConnectionLost:
                await self.renew(client)

    async def _connect(self, timeout: float) -> None:
        client = Connection(
            self._address,
            asynchronous=True,
            security=self._security,
            timeout=timeout,
            set_as_default=False,
            direct_to_workers=False,
            name="uiapi",
        )
        try:
            await client
            begun = client.scheduler.uiapi_begin(client=client.id, sweep_id=self.sweep_id, connection=self.count + 1)
            await asyncio.wait_for(begun, timeout)
        except BaseException:
            await self._close(client)
            raise
        self.client, self.count = client, self.count + 1

    @staticmethod
    async def _close(client: Client) -> None:
        with suppress(*UNCONNECTED, AttributeError):
            await asyncio.wait_for(client.close(), CLOSE_TIMEOUT)
