"""The plugin of a Dask worker of a farm: its ComfyUI, and the prompts that it runs there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

from .comfyui.connection import ComfyUI, Lost
from .job import Job

if TYPE_CHECKING:
    from distributed import Worker

# Sweeps that were cancelled, which are remembered for tasks that have not begun.
MAX_CANCELLED = 1000


class Work:
    """A prompt in progress.

    Attributes:
        job: the prompt.
        place: the ComfyUI that has it in its queue, None before it is there.
        prompt_id: its ID there.
    """

    def __init__(self, job: Job, cancelled: bool) -> None:
        self.job = job
        self.place: ComfyUI | None = None
        self.prompt_id = job.prompt_id
        self._cancelled = cancelled
        self._sending = asyncio.Lock()

    def is_cancelled(self) -> bool:
        """Returns whether its sweep was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """Note that its sweep was cancelled."""
        self._cancelled = True

    async def queue(self, place: ComfyUI, prompt: Mapping[str, Any]) -> bool:
        """Queue the prompt in a ComfyUI, and return True, unless its sweep was cancelled; raises as ComfyUI.queue."""
        async with self._sending:
            if self._cancelled:
                return False
            self.place = place
            self.prompt_id = await place.queue(self.job.prompt_id, prompt, self.job.workflow)
            return True

    async def withdraw(self) -> None:
        """Remove the prompt from wherever it is."""
        # One that is on its way would arrive after it was looked for.
        async with self._sending:
            if self.place is not None:
                with suppress(Lost):
                    await self.place.withdraw(self.prompt_id)


class Machine(WorkerPlugin):  # type: ignore[misc]
    """The plugin of a worker.

    Args:
        comfyui: the open connection.

    Attributes:
        comfyui: the open connection.
        host: this machine's name.
    """

    name = "uiapi-machine"

    def __init__(self, comfyui: ComfyUI) -> None:
        self.comfyui = comfyui
        self.host = socket.gethostname()
        self._works: set[Work] = set()
        # By sweep, the number of the last connection whose prompts were cancelled.
        self._cancelled: dict[str, float] = {}

    @property
    def url(self) -> str:
        """The URL of its ComfyUI."""
        return self.comfyui.address.url

    @contextmanager
    def working(self, job: Job) -> Iterator[Work]:
        """Note a prompt that is in progress in this block."""
        work = Work(job, job.connection <= self._cancelled.get(job.sweep_id, 0))
        self._works.add(work)
        try:
            yield work
        finally:
            self._works.discard(work)

    async def cancel(self, sweep_id: str, connection: float) -> int:
        """Cancel the prompts of a sweep up to one of its connections; returns how many were in progress."""
        self._cancelled[sweep_id] = max(connection, self._cancelled.get(sweep_id, 0))
        while len(self._cancelled) > MAX_CANCELLED:
            del self._cancelled[next(iter(self._cancelled))]
        works = [work for work in self._works if work.job.sweep_id == sweep_id and work.job.connection <= connection]
        for work in works:
            work.cancel()
        await asyncio.gather(*(work.withdraw() for work in works))
        return len(works)


def machine_of(worker: Worker) -> Machine:
    """Returns the machine of a worker. Raises LookupError for a worker that has none."""
    found = worker.plugins.get(Machine.name)
    if not isinstance(found, Machine):
        raise LookupError(f"{worker.address} was not started by uiapi farm.")
    return found


async def cancel(sweep_id: str, connection: float, dask_worker: Worker) -> int:
    """Cancel a sweep on one worker, up to one of its connections; Dask runs this on each of them."""
    return await machine_of(dask_worker).cancel(sweep_id, connection)
