"""The scheduler of a farm, and a farm that lives inside this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import dask
from distributed import Scheduler

from ..common.errors import UiapiError
from ..common.tasks import end
from ..protocol.address import Address
from .board import Board
from .member import Member, Note, SchedulerLost
from .settings import CONFIG, LOOPBACK, PORT, is_encrypted

if TYPE_CHECKING:
    from distributed import Security

log = logging.getLogger("uiapi")

# Seconds for the first ComfyUI of a farm to join.
JOIN_TIMEOUT = 60.0


@asynccontextmanager
async def scheduler_at(
    host: str = LOOPBACK,
    port: int = PORT,
    *,
    security: Security,
    dashboard: str | None = None,
) -> AsyncIterator[Scheduler]:
    """Yields a running scheduler; raises UiapiError `conflict` if its port is taken.

    Args:
        host: where it listens; "" for no port at all, only for workers of this process.
        port: its port; 0 for any.
        security: TLS of Dask.
        dashboard: host:port of the dashboard; by default on loopback only.
    """
    protocol = ("tls" if is_encrypted(security) else "tcp") if host else "inproc"
    with dask.config.set(CONFIG):
        scheduler = Scheduler(
            protocol=protocol,
            host=host or None,
            port=port if host else 0,
            security=security,
            dashboard=dashboard is not None,
            dashboard_address=dashboard or f"{LOOPBACK}:0",
            plugins=[Board()],
        )
        try:
            await scheduler
        except OSError as error:
            await scheduler.close()
            raise UiapiError(
                "conflict",
                f"The farm cannot listen at {host}:{port} ({error.strerror or error}); choose another --port.",
            ) from error
    try:
        yield scheduler
    finally:
        await scheduler.close()


@asynccontextmanager
async def embedded(addresses: Sequence[Address], *, note: Note = log.info) -> AsyncIterator[str]:
    """Yields the address of a farm of these ComfyUIs in this process, once one of them has joined.

    Raises Unreachable if none responds.
    """
    from distributed import Security

    async with scheduler_at("", security=Security()) as scheduler:
        joined = asyncio.Event()
        members = [
            asyncio.create_task(_serve(Member(scheduler.address, address, note=note), joined, note), name="uiapi farm")
            for address in addresses
        ]
        try:
            await _one_joined(joined, members)
            yield scheduler.address
        finally:
            await end(members)


async def _serve(member: Member, joined: asyncio.Event, note: Note) -> None:
    try:
        await member.serve(joined.set)
    except SchedulerLost:
        # At the end the scheduler may close before its workers.
        pass
    except UiapiError as error:
        note(error.message)
        raise


async def _one_joined(joined: asyncio.Event, members: Sequence[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(joined.wait())
    left = {*members}
    try:
        while not joined.is_set():
            done, _ = await asyncio.wait({waiting, *left}, timeout=JOIN_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
            left -= done
            if not done or (not left and not joined.is_set()):
                errors = [error for member in members if member.done() and (error := member.exception())]
                raise errors[0] if errors else UiapiError("timeout", "No ComfyUI of the farm responded in time.")
    finally:
        waiting.cancel()
