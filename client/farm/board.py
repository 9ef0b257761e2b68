"""The memory of a farm's scheduler: which ComfyUI began each prompt, and the input files of those to come."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed import Scheduler

# Prompts that are remembered, so that one whose worker was lost is not run a second time.
MAX_CLAIMS = 50_000


class Board(SchedulerPlugin):  # type: ignore[misc]
    """The plugin. Its methods are called by workers and clients as commands of the scheduler, such as uiapi_claim."""

    name = "uiapi-board"

    def __init__(self) -> None:
        self._claims: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._files: dict[str, dict[str, bytes]] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Add the commands to the scheduler."""
        commands = (self.claimed, self.claim, self.lose, self.settle, self.put_file, self.get_file, self.drop_files)
        scheduler.handlers.update({f"uiapi_{command.__name__}": command for command in commands})

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """Expect input files of a client."""
        self._files[client] = {}

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Drop the input files of a client that has left."""
        self._files.pop(client, None)

    async def claimed(self, prompt_id: str) -> dict[str, Any] | None:
        """Returns who has begun a prompt, as {url, host, by, lost, age}; None for nobody.

        `by` is the task, `lost` the number of ComfyUIs that were lost with the prompt, and `age` the seconds since.
        """
        claim = self._claims.get(prompt_id)
        return None if claim is None else {**claim, "age": time.monotonic() - claim["age"]}

    async def claim(self, prompt_id: str, url: str, host: str, by: str, before: str | None) -> bool:
        """Note which ComfyUI begins a prompt, and returns True, unless another task has begun it since `before` did.

        A task whose client was lost may still prepare the prompt that another task prepares for the new client.
        """
        known = self._claims.get(prompt_id)
        if (known["by"] if known else None) != before:
            return False
        lost = known["lost"] if known else 0
        self._claims[prompt_id] = {"url": url, "host": host, "by": by, "lost": lost, "age": time.monotonic()}
        self._claims.move_to_end(prompt_id)
        while len(self._claims) > MAX_CLAIMS:
            self._claims.popitem(last=False)
        return True

    async def lose(self, prompt_id: str) -> None:
        """Note that a ComfyUI was lost with a prompt, which is therefore no longer on its way there."""
        if prompt_id in self._claims:
            self._claims[prompt_id]["lost"] += 1
            self._claims[prompt_id]["age"] = -math.inf

    async def settle(self, prompt_id: str) -> None:
        """Note that a prompt was refused, and is therefore not on its way."""
        if prompt_id in self._claims:
            self._claims[prompt_id]["age"] = -math.inf

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
