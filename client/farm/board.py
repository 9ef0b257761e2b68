"""The memory of a farm's scheduler: which ComfyUI began each prompt, input files, and which sweeps were abandoned."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.core import Status
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from ..common.tasks import end
from .machine import cancel

if TYPE_CHECKING:
    from distributed import Scheduler

# Prompts that are remembered, so that one whose worker was lost is not run a second time, and abandoned sweeps.
MAX_CLAIMS, MAX_ABANDONED = 50_000, 1000
# Seconds in which a sweep may be back whose connection was lost, before its prompts are removed from every ComfyUI.
GRACE = 1.0
# Seconds for the workers to remove them.
CANCEL_TIMEOUT = 10.0


class Board(SchedulerPlugin):  # type: ignore[misc]
    """The plugin. Its methods are called by workers and clients as commands of the scheduler, such as uiapi_claim."""

    name = "uiapi-board"

    def __init__(self) -> None:
        self._claims: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._files: dict[str, dict[str, bytes]] = {}
        # By client, the sweep and the number of its connection; by abandoned sweep, the number of its last connection.
        self._sweeps: dict[str, tuple[str, int]] = {}
        self._abandoned: OrderedDict[str, int] = OrderedDict()
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self, scheduler: Scheduler) -> None:
        """Add the commands to the scheduler."""
        commands = (self.begin, self.claimed, self.claim, self.lose, self.settle)
        files = (self.put_file, self.get_file, self.drop_files)
        scheduler.handlers.update({f"uiapi_{command.__name__}": command for command in (*commands, *files)})

        async def machines() -> dict[str, str]:
            """Returns the addresses of the workers, each with a name that stays while its own does not."""
            return {one.address: f"{str(one.name).partition(' ')[0]} {one.host}" for one in scheduler.workers.values()}

        scheduler.handlers["uiapi_machines"] = machines

    async def close(self) -> None:
        """Stop waiting for sweeps to be back."""
        await end(self._leaving)

    # -- sweeps ---------------------------------------------------------------------------------------------

    async def begin(self, client: str, sweep_id: str, connection: int) -> None:
        """Note the sweep of a client, and which of its connections this is."""
        self._sweeps[client] = (sweep_id, connection)

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """Expect input files of a client."""
        self._files[client] = {}

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Drop the input files of a client that has left, and soon its prompts too, unless its sweep is back."""
        self._files.pop(client, None)
        sweep = self._sweeps.pop(client, None)
        if sweep is not None and scheduler.status == Status.running:
            leaving = asyncio.create_task(self._abandon(scheduler, *sweep), name="uiapi farm sweep without a client")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _abandon(self, scheduler: Scheduler, sweep_id: str, connection: int) -> None:
        await asyncio.sleep(GRACE)
        if sweep_id in (known for known, _ in self._sweeps.values()):
            return
        self._abandoned[sweep_id] = max(connection, self._abandoned.get(sweep_id, 0))
        while len(self._abandoned) > MAX_ABANDONED:
            self._abandoned.popitem(last=False)
        # A later connection of the sweep may still come, and its prompts are not concerned.
        arguments = {"args": dumps((sweep_id, connection)), "kwargs": dumps({}), "wait": True}
        message = {"op": "run", "function": dumps(cancel), **arguments}
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(scheduler.broadcast(msg=message, on_error="ignore"), CANCEL_TIMEOUT)

    def _is_abandoned(self, sweep_id: str, connection: int) -> bool:
        return connection <= self._abandoned.get(sweep_id, 0)

    # -- prompts --------------------------------------------------------------------------------------------

    async def claimed(self, prompt_id: str) -> dict[str, Any] | None:
        """Returns who has begun a prompt, as {url, host, by, sweep, lost, age, abandoned}; None for nobody.

        `by` is the task, `lost` the number of ComfyUIs that were lost with the prompt, `age` the seconds since, and
        `abandoned` whether it was removed there because its sweep seemed to have ended.
        """
        claim = self._claims.get(prompt_id)
        if claim is None:
            return None
        age, abandoned = time.monotonic() - claim["age"], self._is_abandoned(*claim["sweep"])
        return {**claim, "lost": len(claim["lost"]), "age": age, "abandoned": abandoned}

    async def claim(
        self, prompt_id: str, url: str, host: str, by: str, before: str | None, sweep: tuple[str, int]
    ) -> str:
        """Note which ComfyUI begins a prompt, and returns "mine", unless that is not to be done.

        Returns "taken" if another task has begun it since `before` did: one whose client was lost may still prepare the
        prompt that another task prepares for the new client. "abandoned": the `sweep`, its ID and the number of its
        connection, has left meanwhile.
        """
        known = self._claims.get(prompt_id)
        if self._is_abandoned(*sweep):
            return "abandoned"
        # A worker asks again if it has not heard the answer.
        if (known["by"] if known else None) not in (before, by):
            return "taken"
        lost = known["lost"] if known else set()
        self._claims[prompt_id] = {
            **{"url": url, "host": host, "by": by, "sweep": tuple(sweep), "lost": lost},
            "age": time.monotonic(),
        }
        self._claims.move_to_end(prompt_id)
        while len(self._claims) > MAX_CLAIMS:
            self._claims.popitem(last=False)
        return "mine"

    async def lose(self, prompt_id: str, by: str) -> None:
        """Note that a task has lost its ComfyUI with a prompt, which is therefore no longer on its way there."""
        if prompt_id in self._claims:
            self._claims[prompt_id]["lost"].add(by)
            self._claims[prompt_id]["age"] = -math.inf

    async def settle(self, prompt_id: str, by: str) -> None:
        """Note that the prompt of a task was refused, and is therefore not on its way."""
        if prompt_id in self._claims and self._claims[prompt_id]["by"] == by:
            self._claims[prompt_id]["age"] = -math.inf

    # -- input files ----------------------------------------------------------------------------------------

    async def put_file(self, client: str, name: str, content: bytes) -> None:
        """Keep an input file for the workers, unless its client has left meanwhile."""
        if client in self._files:
            self._files[client][name] = content

    async def get_file(self, name: str) -> bytes | None:
        """Returns an input file, None if nobody needs it any more."""
        return next((files[name] for files in self._files.values() if name in files), None)

    async def drop_files(self, client: str, names: list[str]) -> None:
        """Forget input files."""
        files: dict[str, Any] = self._files.get(client, {})
        for name in names:
            files.pop(name, None)
