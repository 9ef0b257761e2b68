"""`uiapi farm start`, a scheduler with a worker process for each ComfyUI, and `join`, one worker of a farm."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..common.errors import Unreachable
from ..protocol.address import Address
from .cluster import scheduler_at
from .member import PATIENCE, Member, Note, SchedulerLost
from .settings import DASHBOARD_PORT, LOOPBACK, PORT, Tls, check_certificates, check_exposure, host_of, is_encrypted

if TYPE_CHECKING:
    from distributed import Security

# Seconds before a worker that has ended is started again: at first, and at most.
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
# Seconds for a worker process to end, and for a scheduler to be back.
END_TIMEOUT, REJOIN_TIMEOUT = 10.0, 300.0

NO_TLS = Tls()


@dataclass(frozen=True)
class Place:
    """Where a farm listens, and its TLS."""

    host: str = LOOPBACK
    port: int = PORT
    dashboard_port: int = DASHBOARD_PORT
    tls: Tls = NO_TLS
    insecure: bool = False


@dataclass(frozen=True)
class Started:
    """A running farm.

    Attributes:
        address: of its scheduler.
        dashboard: the URL of Dask's dashboard.
        workers: the process ID of the worker of each ComfyUI.
    """

    address: str
    dashboard: str
    workers: dict[str, int]


async def start(addresses: Sequence[Address], place: Place, started: Callable[[Started], object], note: Note) -> None:
    """Run a farm until cancelled; `started` is called once it runs. Raises UiapiError if it cannot listen."""
    security = place.tls.security()
    scheme = "tls" if is_encrypted(security) else "tcp"
    check_certificates(f"{scheme}://{place.host}:{place.port}", security, "worker")
    check_exposure(place.host, security, place.insecure)
    dashboard = f"{LOOPBACK}:{place.dashboard_port}"
    async with scheduler_at(place.host, place.port, security=security, dashboard=dashboard) as scheduler:
        workers = [_Worker(scheduler.address, address, place, note) for address in addresses]
        try:
            for worker in workers:
                await worker.start()
            link = f"http://{LOOPBACK}:{scheduler.services['dashboard'].port}/status"
            started(Started(scheduler.address, link, {worker.url: worker.pid for worker in workers}))
            await asyncio.gather(*(worker.keep() for worker in workers))
        finally:
            await asyncio.gather(*(worker.end() for worker in workers))


async def join(
    scheduler: str, address: Address, place: Place, joined: Callable[[], object], note: Note, *, once: bool = False
) -> None:
    """Be a worker of a farm until cancelled; `joined` is called whenever it has joined.

    Args:
        scheduler: its address.
        address: of the ComfyUI.
        place: its TLS.
        once: whether to end with the scheduler instead of waiting for it.

    Raises:
        Unreachable: ComfyUI or the scheduler was away for too long.
    """
    security: Security = place.tls.security()
    host = host_of(scheduler)
    check_certificates(scheduler, security, "worker")
    check_exposure(host, security, place.insecure)
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    def note_joined() -> None:
        seen[:] = [loop.time()]
        joined()

    while True:
        member = Member(scheduler, address, security=security, note=note, first=PATIENCE if once or seen else 0.0)
        try:
            await member.serve(note_joined)
        except SchedulerLost as lost:
            # A farm that was never reached is a mistake in the address.
            if once or not seen or loop.time() - seen[0] > REJOIN_TIMEOUT:
                raise Unreachable("unreachable", f"{lost}; start it with uiapi farm start, then join again.") from None
            note(f"{lost} Waiting for it to be back.")
        await asyncio.sleep(FIRST_DELAY)


class _Worker:
    """The process of one worker, which is started again when it ends."""

    def __init__(self, scheduler: str, address: Address, place: Place, note: Note) -> None:
        self.url = address.url
        self._note = note
        module = __package__.rpartition(".")[0]
        self._command = [sys.executable, "-m", module, "farm", "join", scheduler, "--comfyui", address.url, "--once"]
        self._command += ["--insecure"] if place.insecure else []
        for option, path in (("ca-file", place.tls.ca), ("cert", place.tls.cert), ("key", place.tls.key)):
            self._command += [f"--tls-{option}", str(path)] if path else []
        # The token is in the environment, where other users cannot read it.
        self._env = {**os.environ, **({"UIAPI_TOKEN": address.token} if address.token else {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process ID; 0 while it does not run."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the process."""
        options: dict[str, Any] = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL}
        if sys.platform != "win32":
            # Ctrl-C reaches this process only, which ends the others.
            options["start_new_session"] = True
        self._process = await asyncio.create_subprocess_exec(*self._command, env=self._env, **options)

    async def keep(self) -> None:
        """Start it again whenever it ends."""
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            if self._process is None:
                await self.start()
            began = loop.time()
            if self._process is not None:
                code = await self._process.wait()
                self._note(f"The worker of {self.url} ended with {code}; it is started again.")
            # One that ran for a while is not a worker that cannot start.
            delay = FIRST_DELAY if loop.time() - began > LAST_DELAY else min(2 * delay, LAST_DELAY)
            self._process = None
            await asyncio.sleep(delay)

    async def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_TIMEOUT)
        except asyncio.TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
