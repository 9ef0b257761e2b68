"""The methods of AsyncClient about sweeps.

blocking_methods.py is generated from this file: run `python3 dev.py generate` after a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from ..common.events import Listener
from ..common.results import OutputFile
from ..protocol.inputs import Fields
from ..protocol.requests import Asked, viewed, viewing
from .async_farmed import AsyncFarmSweep
from .async_sweep import AsyncSweep
from .farmed import Runner
from .frames import Frames
from .item import SweepItem
from .variations import Values, Variation, request_of, variations_of


class AsyncSweeping:
    """Sweeps and animations, for AsyncClient."""

    if TYPE_CHECKING:
        # Defined by AsyncClient and its base.
        _sweeps: WeakSet[AsyncSweep | AsyncFarmSweep]

        async def call(self, command: str, data: Mapping[str, Any] | None = None) -> Any: ...
        async def fetch(self, file: OutputFile) -> bytes: ...
        def on(self, events: str | Iterable[str], listener: Listener) -> Awaitable[Callable[[], None]]: ...
        def _addressed(self, command: str, data: Mapping[str, Any]) -> dict[str, Any]: ...
        def _runner(self, export: Any, read: Any, *arguments: Any, **options: Any) -> Runner: ...
        async def _exchange(self, sending: Asked, reconnect: float | None = None) -> tuple[int, bytes]: ...

    def sweep(
        self,
        values: Values,
        *,
        seeds: int = 1,
        ordered: bool = False,
        on_error: Literal["continue", "stop"] = "continue",
        timeout: float | None = None,
        fetch: bool = True,
        keep: bool = False,
        farm: str | Sequence[str] | None = None,
        shared: str | Path | None = None,
        on_note: Callable[[str], object] = lambda sentence: None,
    ) -> AsyncSweep | AsyncFarmSweep:
        """Run the open workflow with many values; iterate over the result for a SweepItem of each variation.

        The open workflow stays as it is. Leaving the loop early, or an exception in it, cancels the rest.

        Args:
            values: {path: values} for every combination, the last path changing fastest, or the fields of each run.
            seeds: how many times each is run; between them the page's seed controls act, as between runs.
            ordered: yield the results in the order of their index instead of as they come.
            on_error: "continue" with the others if one fails, whose result has the `error`, or "stop" and raise it.
            timeout: seconds for the whole sweep, after which it is cancelled.
            fetch: download the content of every output file; if False, call `fetch` for single files.
            keep: let the sweep continue when the loop is left; `follow` gets the rest.
            farm: run it on other ComfyUIs: the address of a running farm, or their URLs (docs/programs/farm.md).
            shared: a folder that all machines of the farm reach under this path, where they leave the files.
            on_note: called with sentences about the farm, such as that a machine is lost.
        """
        how: dict[str, Any] = {"ordered": ordered, "stop": on_error == "stop"}
        if farm is not None:
            wanted = [variation for variation in variations_of(values) for _ in range(seeds)]
            options = {"on_error": on_error, "timeout": timeout, "fetch": fetch, "shared": shared, "note": on_note}
            runner = self._runner(self._export, self._read, wanted, farm, **options)
            farmed = AsyncFarmSweep(runner, len(wanted), **how)
            self._sweeps.add(farmed)
            return farmed
        data = {**request_of(values), "seeds": seeds, "on_error": on_error}
        return self._swept(data, **how, timeout=timeout, fetch=fetch, keep=keep)

    def follow(
        self, sweep_id: str, *, ordered: bool = False, timeout: float | None = None, fetch: bool = True
    ) -> AsyncSweep:
        """Iterate over all results of a sweep that has started before. It continues when the loop is left."""
        return self._swept({"sweep_id": sweep_id}, ordered=ordered, timeout=timeout, fetch=fetch, keep=True)

    async def animate(
        self,
        frames: int | Iterable[Any],
        fields: Callable[[Any], Fields],
        folder: str | Path,
        *,
        timeout: float | None = None,
        on_frame: Callable[[SweepItem], object] | None = None,
    ) -> list[Path]:
        """Run the open workflow once for each frame and save the pictures as 0000.png, 0001.png and so on.

        Args:
            frames: their number, or the values with which `fields` is called.
            fields: returns {path: value} for a frame.
            folder: where the pictures are saved; created if it does not exist.
            timeout: seconds for all frames.
            on_frame: called with the result of each frame after it is saved.
        """
        shots = range(frames) if isinstance(frames, int) else [*frames]
        saved = Frames(folder, len(shots))
        save = saved.save
        async with self.sweep(map(fields, shots), ordered=True, on_error="stop", timeout=timeout) as sweep:
            async for item in sweep:
                await asyncio.to_thread(save, item)
                if on_frame is not None:
                    on_frame(item)
        return saved.paths

    def _swept(self, request: dict[str, Any], **how: Any) -> AsyncSweep:
        sweep = AsyncSweep(self, self._addressed("sweep", request), **how)
        self._sweeps.add(sweep)
        return sweep

    async def _export(self, variations: list[Variation]) -> list[dict[str, Any]]:
        """Returns the prompts of variations; the server sends them in parts."""
        prompts: list[dict[str, Any]] = []
        first: int | None = 0
        while first is not None:
            answer = await self.call("export_prompts", {"variations": variations, "first": first})
            prompts += answer["prompts"]
            first = answer["next"]
        return prompts

    async def _read(self, path: str) -> bytes:
        """Returns the content that ComfyUI serves at a path."""
        return viewed(*await self._exchange(viewing(path)), path)
