"""Gives the prompts of a sweep to a farm, as many at a time as it has ComfyUIs, and collects the results."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from distributed import KilledWorker

from ..common.errors import UiapiError
from ..common.tasks import end
from .fleet import Fleet
from .inputs import Inputs, Read
from .job import Input, Job, named_apart
from .link import Connection, ConnectionLost, Link
from .member import PATIENCE
from .settings import RESOURCE
from .task import GIVEN_UP, Outcome, run_prompt

log = logging.getLogger("uiapi")

# The most variations that are exported at a time; the server has the same limit.
MAX_SLICE = 100
# Seconds between two checks of which ComfyUIs are in the farm: at first, since they join one by one, and later.
FIRST_LOOK, LOOK_INTERVAL = 0.05, 1.0
# Seconds without any ComfyUI in the farm after which the sweep fails.
DESERTED_TIMEOUT = PATIENCE + 60.0
# Results that the caller may leave, in addition to two for each ComfyUI, before no more are made.
SPARE = 8
# Attempts for a variation whose connection is lost each time.
MAX_ATTEMPTS = 100
# Variations that may wait for the return of the only ComfyUIs that suit them.
MAX_PARKED = 100

NO_RESULT = {"code": "result_lost", "message": "The result did not come back from the farm; check the network."}

Variation = list[list[Any]]
Export = Callable[[list[Variation]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Plan:
    """The variations of a sweep, and how to run them; see farm.sweep.run."""

    variations: Sequence[Variation]
    export: Export
    read: Read
    on_error: str = "continue"
    fetch: bool = True
    shared: str | None = None


class Dispatcher:
    """One sweep on a farm.

    Args:
        plan: the variations, and how to run them.
        link: the connection to the scheduler.
        deliver: called with each result as it comes: the exported prompt, and the outcome of the task.

    Attributes:
        done: the indices of the variations with a result.
    """

    def __init__(self, plan: Plan, link: Link, deliver: Callable[[int, dict[str, Any], Outcome], object]) -> None:
        self.done: set[int] = set()
        self._plan = plan
        self._link = link
        self._deliver = deliver
        self._inputs = Inputs(plan.read, link)
        self._exported = 0
        self._exporting: asyncio.Task[None] | None = None
        self._stock: deque[tuple[int, dict[str, Any]]] = deque()
        self._flying: dict[asyncio.Task[Outcome], tuple[int, dict[str, Any]]] = {}
        self._fleet = Fleet()
        # Variations that wait for a ComfyUI to be back, and results that wait for the caller.
        self._parked = self._waiting = 0
        self._wake = asyncio.Event()
        self._stopping = False

    def taken(self) -> None:
        """Note that the caller has taken a result."""
        self._waiting -= 1
        self._wake.set()

    def stop(self) -> None:
        """Cancel the rest of the sweep."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Run the sweep; returns when it has ended or was stopped. Raises UiapiError or SchedulerLost."""
        looking = asyncio.create_task(self._look(), name="uiapi farm machines")
        try:
            while not self._stopping and len(self.done) < len(self._plan.variations):
                if looking.done():
                    looking.result()
                self._export_more()
                self._launch()
                self._wake.clear()
                await self._something(looking)
                self._collect()
        finally:
            await self._end(looking)

    async def _something(self, looking: asyncio.Task[None]) -> None:
        """Wait until there is something to do."""
        woken = asyncio.create_task(self._wake.wait())
        exporting = {self._exporting} if self._exporting else set()
        try:
            await asyncio.wait({woken, looking, *exporting, *self._flying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _end(self, looking: asyncio.Task[None]) -> None:
        """Cancel what is in progress, in this process and on every machine."""
        tasks = [looking, *self._flying, *([self._exporting] if self._exporting else [])]
        cancelling = self._link.cancel() if self._flying else asyncio.sleep(0)
        await asyncio.gather(cancelling, end(tasks))

    async def _look(self) -> None:
        """Follow which ComfyUIs are in the farm. Raises UiapiError if there is none for too long."""
        loop = asyncio.get_running_loop()
        seen, interval = loop.time(), FIRST_LOOK
        while True:
            has_changed = self._fleet.update(await self._link.machines(), loop.time())
            interval = FIRST_LOOK if has_changed else min(2 * interval, LOOK_INTERVAL)
            if self._fleet.size:
                seen = loop.time()
            elif loop.time() - seen > DESERTED_TIMEOUT:
                message = "No ComfyUI has been in the farm for minutes; start one, and run the rest again."
                raise UiapiError("unreachable", message)
            self._wake.set()
            await asyncio.sleep(interval)

    # -- exports --------------------------------------------------------------------------------------------

    def _export_more(self) -> None:
        """Export the next variations before the exported ones are used up."""
        if self._exporting is not None and self._exporting.done():
            self._exporting.result()
            self._exporting = None
        count = min(MAX_SLICE, max(SPARE, 4 * self._fleet.size))
        left = len(self._plan.variations) - self._exported
        if self._exporting is None and left and 2 * len(self._stock) < count:
            self._exporting = asyncio.create_task(self._export(min(left, count)), name="uiapi farm export")

    async def _export(self, count: int) -> None:
        wanted = [*self._plan.variations[self._exported : self._exported + count]]
        prompts = await asyncio.to_thread(self._plan.export, wanted)
        if not prompts:
            raise UiapiError("tab_failed", "The tab exported no prompt; check that the workflow is still open.")
        for at, entry in enumerate(prompts[:count]):
            self._stock.append((self._exported + at, entry))
        self._exported += min(len(prompts), count)

    # -- tasks ----------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Submit only as many prompts as there are ComfyUIs, so that a slow one does not collect several."""
        room = 2 * self._fleet.size + SPARE
        # A variation that waits for a ComfyUI to be back keeps none of the others from working.
        while self._stock and self._parked < MAX_PARKED:
            active = len(self._flying) - self._parked
            if active >= self._fleet.size or active + self._waiting >= room:
                return
            index, entry = self._stock.popleft()
            task = asyncio.create_task(self._outcome(index, entry), name=f"uiapi farm {index}")
            self._flying[task] = (index, entry)

    def _collect(self) -> None:
        done = [task for task in self._flying if task.done()]
        # What has come is delivered before an error ends the sweep.
        for task in sorted(done, key=lambda task: task.exception() is not None):
            index, entry = self._flying.pop(task)
            outcome = task.result()
            self.done.add(index)
            self._waiting += 1
            self._deliver(index, entry, outcome)
            if self._plan.on_error == "stop" and outcome["status"] != "success":
                self._stopping = True
                return

    async def _outcome(self, index: int, entry: dict[str, Any]) -> Outcome:
        """Returns the outcome of one variation, of whichever ComfyUI runs it. Raises SchedulerLost."""
        if not isinstance(entry.get("prompt"), dict):
            error = entry.get("error") or {"code": "tab_failed", "message": "The tab exported no prompt."}
            return {"status": "error", "error": error}
        job = self._job(index, entry)
        refused: dict[str, Outcome] = {}
        attempt = 0
        while True:
            if self._fleet.size and not self._fleet.suited(job.prompt, refused):
                if self._fleet.may_return(job.prompt, asyncio.get_running_loop().time()):
                    await self._park()
                    continue
                if refused:
                    return {**[*refused.values()][-1], "status": "error"}
            attempt += 1
            if attempt > MAX_ATTEMPTS:
                return {"status": "error", "error": NO_RESULT}
            outcome = await self._tried(job, attempt, refused)
            if outcome is None:
                continue
            if outcome["status"] == "refused":
                refused[outcome["worker"]] = outcome
                self._fleet.note_lacks(outcome["worker"], outcome.get("lacks", ()))
            elif outcome["status"] == "abandoned":
                job = self._job(index, entry)
            else:
                return outcome

    def _job(self, index: int, entry: dict[str, Any]) -> Job:
        prompt_id = str(uuid4())
        return Job(
            sweep_id=self._link.sweep_id,
            connection=self._link.count,
            index=index,
            prompt_id=prompt_id,
            prompt=named_apart(entry["prompt"], index, prompt_id),
            workflow=entry.get("workflow"),
            fetch=self._plan.fetch,
            shared=self._plan.shared,
        )

    async def _park(self) -> None:
        """Wait until the next look at which ComfyUIs are in the farm."""
        self._parked += 1
        self._wake.set()
        try:
            await asyncio.sleep(LOOK_INTERVAL)
        finally:
            self._parked -= 1

    async def _tried(self, job: Job, attempt: int, refused: Collection[str]) -> Outcome | None:
        """Returns the outcome of a task, None if it has to be submitted again. Raises SchedulerLost."""
        client = self._link.client
        inputs: tuple[Input, ...] = ()
        try:
            inputs = await self._inputs.hand_over(client, job.prompt)
            with self._link.over(client):
                job = replace(job, inputs=inputs, connection=self._link.count)
                return await self._waited(client, job, attempt, refused)
        except UiapiError as error:
            return {"status": "error", "error": {"code": error.code, "message": error.message}}
        except ConnectionLost:
            await self._link.renew(client)
            return None
        finally:
            await self._inputs.release(inputs)

    async def _waited(self, client: Connection, job: Job, attempt: int, refused: Collection[str]) -> Outcome | None:
        suited = self._fleet.suited(job.prompt, refused)
        # A task for some machines only must not wait for one that has left.
        some = suited if len(suited) < self._fleet.size else None
        future = client.submit(
            run_prompt,
            job,
            key=("prompt", f"{job.prompt_id}-{attempt}"),
            resources={RESOURCE: 1},
            workers=some,
            pure=False,
        )
        result, ended = asyncio.ensure_future(_result(future)), asyncio.ensure_future(client.ended.wait())
        waiting = {result, ended}
        try:
            while True:
                await asyncio.wait(
                    waiting, timeout=LOOK_INTERVAL if some else None, return_when=asyncio.FIRST_COMPLETED
                )
                if result.done():
                    return result.result()
                if ended.done():
                    # Dask may not get round to cancelling the task, if its connection cannot be closed either.
                    raise ConnectionLost
                if some and not self._fleet.has_any(some):
                    return None
        finally:
            await end(waiting)
            future.release()


async def _result(future: Any) -> Outcome:
    try:
        outcome: Outcome = await future
        return outcome
    except KilledWorker:
        return {"status": "error", "error": GIVEN_UP}
    except Exception as error:
        if future.status != "error":
            # The task did not fail, but the transfer of its result, with whatever that raised in the scheduler.
            raise ConnectionLost from error
        log.exception("The task of a farm failed")
        message = f"The worker failed with {type(error).__name__}: {error}; check its log, and report this."
        return {"status": "error", "error": {"code": "internal", "message": message}}
