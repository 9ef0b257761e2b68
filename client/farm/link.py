"""The connection of a sweep to the scheduler of a farm, which is renewed when it is lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from distributed import Client

from ..common.errors import Unreachable
from .machine import cancel
from .member import SchedulerLost

if TYPE_CHECKING:
    from distributed import Security

# Seconds for a connection, for one that was lost to be back, and for a question.
CONNECT_TIMEOUT, RECONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 20.0, 30.0
# Seconds for all workers to cancel a sweep.
CANCEL_TIMEOUT = 10.0
CLOSE_TIMEOUT = 5.0
# What Dask raises when its connection is lost; the last two when it is closed while it connects again by itself.
BROKEN = (OSError, asyncio.TimeoutError, AttributeError, RuntimeError)


class ConnectionLost(Exception):
    """The connection of a call is lost; it has to be renewed, and what was sent over it sent again."""


class Connection(Client):  # type: ignore[misc]
    """One connection, which ends when it is lost.

    Dask's own would connect again under the same ID. A scheduler that has not noticed the loss by then keeps the tasks
    of the first connection for ever, and runs one again when the worker with its result is lost.
    """

    async def _reconnect(self) -> None:
        self.scheduler_comm = None
        await self._close()


class Link:
    """The connection. Use it in `async with`; entering raises Unreachable if there is no farm.

    Args:
        address: of the scheduler.
        security: TLS of Dask.

    Attributes:
        client: the current connection.
    """

    def __init__(self, address: str, security: Security) -> None:
        self._address = address
        self._security = security
        self._renewing = asyncio.Lock()
        self.client: Client

    async def __aenter__(self) -> Link:
        try:
            self.client = await self._connected(CONNECT_TIMEOUT)
        except (OSError, asyncio.TimeoutError) as error:
            raise Unreachable(
                "unreachable", f"No farm answers at {self._address}; start one with uiapi farm start. ({error})"
            ) from None
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
                    self.client = await self._connected(max(1.0, until - asyncio.get_running_loop().time()))
                    return
                except BROKEN as error:
                    if asyncio.get_running_loop().time() > until:
                        raise SchedulerLost(f"The farm at {self._address} has ended or cannot be reached") from error
                await asyncio.sleep(0.2)

    async def machines(self) -> list[str]:
        """Returns the addresses of the workers. Raises SchedulerLost."""
        while True:
            client = self.client
            try:
                found = await asyncio.wait_for(client.nthreads(), ANSWER_TIMEOUT)
                return [*found]
            except BROKEN:
                await self.renew(client)

    def check(self, client: Client) -> None:
        """Raises ConnectionLost if `client` is no longer the current connection, or is about to end.

        Dask raises an exception of its own for a task that is submitted to a closed client, and forgets one that is
        submitted while the client closes.
        """
        if client is not self.client or client.status != "running":
            raise ConnectionLost

    async def ask(self, client: Client, command: str, **data: Any) -> Any:
        """Send a command of the Board that concerns a connection, over that connection. Raises ConnectionLost."""
        self.check(client)
        try:
            asked = getattr(client.scheduler, f"uiapi_{command}")(client=client.id, **data)
            return await asyncio.wait_for(asked, ANSWER_TIMEOUT)
        except BROKEN as error:
            raise ConnectionLost from error

    async def cancel(self, sweep_id: str) -> None:
        """Remove the prompts of a sweep from every ComfyUI."""
        with suppress(*BROKEN):
            await asyncio.wait_for(self.client.run(cancel, sweep_id, on_error="return"), CANCEL_TIMEOUT)

    async def _connected(self, timeout: float) -> Client:
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
        except BaseException:
            await self._close(client)
            raise
        return client

    @staticmethod
    async def _close(client: Client) -> None:
        with suppress(*BROKEN):
            await asyncio.wait_for(client.close(), CLOSE_TIMEOUT)
