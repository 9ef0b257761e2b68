"""The scheduler of a farm, and a farm that lives inside this process."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import dask
from distributed import Scheduler

from ..common.errors import UiapiError
from ..common.tasks import end, first_of
from ..protocol.address import Address
from .board import Board
from .member import Member, Note, SchedulerLost
from .settings import CONFIG, LOOPBACK, PORT, is_encrypted, reason_of

if TYPE_CHECKING:
    from distributed import Security

log = logging.getLogger("uiapi")

# Seconds for the first ComfyUI of a farm to join, and for the others after one has.
JOIN_TIMEOUT, LATE = 60.0, 5.0
# Seconds for the workers to leave.
CLOSE_TIMEOUT = 60.0


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
    with dask.config.set(CONFIG), warnings.catch_warnings():
        # The dashboard takes another port then, and the caller shows which.
        warnings.filterwarnings("ignore", r"Port \d+ is already in use", UserWarning)
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
        except (OSError, RuntimeError) as error:
            await scheduler.close()
            sentence = f"The farm cannot listen at {host}:{port} ({reason_of(error)}); choose another --port."
            raise UiapiError("conflict", sentence, status=409) from error
    try:
        yield scheduler
    finally:
        await scheduler.close()


@asynccontextmanager
async def embedded(addresses: Sequence[Address], *, note: Note = log.info) -> AsyncIterator[str]:
    """Yields the address of a farm of these ComfyUIs in this process, once they have joined.

    Raises Unreachable if none responds.
    """
    from distributed import Security

    async with scheduler_at("", security=Security()) as scheduler:
        joined = [asyncio.Event() for _ in addresses]
        # Failures before one has joined, of which none may be left to note: then the first is the error.
        early: list[str] = []

        def failed(sentence: str) -> None:
            (note if any(event.is_set() for event in joined) else early.append)(sentence)

        members = [
            asyncio.create_task(_serve(Member(scheduler.address, address, note=note), event, failed), name="uiapi farm")
            for address, event in zip(addresses, joined, strict=True)
        ]
        try:
            await _all_settled(joined, members)
            for sentence in early:
                note(sentence)
            yield scheduler.address
        finally:
            # A worker that is cancelled while it closes would never have closed.
            await end(members, CLOSE_TIMEOUT)


async def _serve(member: Member, joined: asyncio.Event, failed: Note) -> None:
    try:
        await member.serve(joined.set)
    except SchedulerLost:
        # At the end the scheduler may close before its workers.
        pass
    except UiapiError as error:
        failed(error.message)
        raise


async def _all_settled(joined: Sequence[asyncio.Event], members: Sequence[asyncio.Task[None]]) -> None:
    """Wait until each has joined or failed; once one has joined, only a short time for the others."""
    settled = [
        asyncio.ensure_future(first_of(event.wait(), asyncio.wait({member})))
        for event, member in zip(joined, members, strict=True)
    ]
    try:
        left = {*settled}
        while left:
            some = any(event.is_set() for event in joined)
            done, left = await asyncio.wait(
                left, timeout=LATE if some else JOIN_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
    finally:
        await end(settled)
    if not any(event.is_set() for event in joined):
        errors = [error for member in members if member.done() and (error := member.exception())]
        raise errors[0] if errors else UiapiError("timeout", "No ComfyUI of the farm responded in time.")
