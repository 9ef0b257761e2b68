"""The membership of one ComfyUI in a farm: a Dask worker that joins while ComfyUI responds, and leaves when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import dask
from distributed import Security, Worker
from distributed.comm import connect

from ..common.errors import UiapiError, Unreachable
from ..common.tasks import first_of
from ..protocol.address import Address
from .comfyui.connection import ComfyUI, Lost
from .machine import Machine
from .settings import CONFIG, LOOPBACK, RESOURCE, host_of, is_address, is_loopback, reason_of

log = logging.getLogger("uiapi")

# Seconds that a ComfyUI may be away, such as for a restart, before it leaves the farm for good.
PATIENCE = 300.0
# Seconds between two attempts to reach a ComfyUI.
INTERVAL = 0.5
# Seconds for a connection to the scheduler, and for a worker to join and to leave.
CONNECT_TIMEOUT, JOIN_TIMEOUT, CLOSE_TIMEOUT = 10.0, 60.0, 10.0
# What Dask raises if it cannot connect; RuntimeError and TypeError are about TLS.
UNCONNECTED = (OSError, asyncio.TimeoutError, RuntimeError, TypeError, ValueError, ImportError, AssertionError)

Note = Callable[[str], object]


class SchedulerLost(Exception):
    """The scheduler of the farm does not respond, or has ended."""


class Member:
    """One ComfyUI of a farm.

    Args:
        scheduler: the address of the farm's scheduler.
        address: the URL of the ComfyUI and how to authenticate.
        security: the TLS of Dask.
        note: called with a sentence when ComfyUI is lost or is back.
        patience: seconds that ComfyUI may be away.
        first: seconds within which it has to respond at first.
    """

    def __init__(
        self,
        scheduler: str,
        address: Address,
        *,
        security: Security | None = None,
        note: Note = log.info,
        patience: float = PATIENCE,
        first: float = 0.0,
    ) -> None:
        self._scheduler = scheduler
        self._address = address
        self._security = security or Security()
        self._note = note
        self._patience = patience
        self._first = first

    async def serve(self, joined: Callable[[], object] = lambda: None) -> None:
        """Take part in the farm until cancelled; `joined` is called whenever it has joined.

        Raises:
            Unreachable: ComfyUI was away for too long.
            SchedulerLost: the scheduler has ended or does not respond.
        """
        left = self._first
        while True:
            comfyui = await self._reached(left)
            try:
                await self._take_part(comfyui, joined)
            finally:
                await comfyui.close()
            self._note(f"{self._address.url} does not respond; its prompts go to the others until it is back.")
            left = self._patience

    async def _reached(self, left: float) -> ComfyUI:
        """Returns an open connection as soon as ComfyUI responds."""
        until = asyncio.get_running_loop().time() + left
        while True:
            comfyui = ComfyUI(self._address)
            try:
                await comfyui.__aenter__()
                await comfyui.catalog()
                return comfyui
            except (Lost, UiapiError) as error:
                await comfyui.close()
                if asyncio.get_running_loop().time() > until:
                    if isinstance(error, UiapiError):
                        raise
                    raise Unreachable(
                        "unreachable", f"No ComfyUI answers at {self._address.url}; start it, and try again."
                    ) from None
            except BaseException:
                await comfyui.close()
                raise
            await asyncio.sleep(INTERVAL)

    async def _take_part(self, comfyui: ComfyUI, joined: Callable[[], object]) -> None:
        """Be a worker of the farm until ComfyUI is lost."""
        await self._reach_scheduler()
        worker = self._worker(comfyui)
        try:
            await worker
        except UNCONNECTED as error:
            with suppress(OSError, asyncio.TimeoutError):
                await worker.close(timeout=CLOSE_TIMEOUT)
            raise self._unjoined(error) from error
        try:
            joined()
            await first_of(comfyui.lost.wait(), worker.finished())
            if not comfyui.lost.is_set():
                raise SchedulerLost(f"The farm at {self._scheduler} has ended.")
        finally:
            await worker.close(timeout=CLOSE_TIMEOUT, reason="ComfyUI is away" if comfyui.lost.is_set() else "end")

    async def _reach_scheduler(self) -> None:
        """Raises SchedulerLost if the scheduler cannot be reached; Dask's worker would keep why, and try for ever."""
        try:
            arguments = self._security.get_connection_args("worker")
            comm = await connect(self._scheduler, timeout=CONNECT_TIMEOUT, **arguments)
        except UNCONNECTED as error:
            raise self._unjoined(error) from error
        await comm.close()

    def _unjoined(self, error: Exception) -> SchedulerLost:
        return SchedulerLost(f"The farm at {self._scheduler} cannot be joined: {reason_of(error)}")

    def _worker(self, comfyui: ComfyUI) -> Worker:
        remote = is_address(self._scheduler)
        local = remote and is_loopback(host_of(self._scheduler))
        with dask.config.set(CONFIG):
            return Worker(
                self._scheduler,
                # Dask accepts a name once, and a worker that was killed may be known for a moment longer.
                name=f"{self._address.url} {uuid4().hex[:4]}",
                nthreads=1,
                resources={RESOURCE: 1},
                memory_limit=0,
                host=LOOPBACK if local else None,
                protocol=self._scheduler.partition("://")[0],
                dashboard_address=f"{LOOPBACK}:0",
                security=self._security,
                death_timeout=JOIN_TIMEOUT,
                plugins=(Machine(comfyui),),
            )
