"""A ComfyUI whose queue the test advances by hand, and exports of a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from comfyui_uiapi.bridge.comfyui.run_tracker import Run
from comfyui_uiapi.bridge.sweeps.exports import Export, Reader
from comfyui_uiapi.bridge.sweeps.registry import Sweeps
from comfyui_uiapi.bridge.sweeps.sweep import Sweep, Wish
from comfyui_uiapi.common.errors import UiapiError


class Line:
    """ComfyUI's queue, as the adapter and the run tracker show it."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.bodies: list[Any] = []
        self.refused: set[int] = set()
        self._ends: dict[str, asyncio.Future[list[Run]]] = {}
        self.most = 0
        self.changed = asyncio.Event()

    # -- the adapter ------------------------------------------------------------------------------------------

    async def queue_body(self, body: bytes) -> dict[str, Any]:
        content = json.loads(body)
        self.bodies.append(content)
        if content["prompt"]["1"]["inputs"]["v"] in self.refused:
            raise UiapiError("execution_failed", "ComfyUI refused the workflow: no outputs.")
        prompt_id = f"p{len(self.bodies)}"
        self.waiting.append(prompt_id)
        self.most = max(self.most, len(self.waiting) + len(self.running))
        self.changed.set()
        return {"prompt_id": prompt_id, "number": len(self.bodies), "node_errors": {}}

    def cancel(self, prompt_id: str) -> bool:
        if prompt_id not in self.waiting:
            return False
        self.waiting.remove(prompt_id)
        error = UiapiError("execution_interrupted", "The prompt was removed from ComfyUI's queue before it ran.")
        self._end(Run(prompt_id, error=error))
        return True

    def interrupt_only(self, prompt_ids: Collection[str]) -> bool:
        mine = [prompt_id for prompt_id in self.running if prompt_id in prompt_ids]
        for prompt_id in mine:
            self.finish(prompt_id, "interrupted")
        return bool(mine)

    def queued(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return [{"prompt_id": item} for item in self.running], [{"prompt_id": item} for item in self.waiting]

    def queued_ids(self) -> set[str]:
        return {*self.running, *self.waiting}

    def directory_of(self, kind: str) -> None:
        return None

    # -- the run tracker --------------------------------------------------------------------------------------

    @contextmanager
    def expecting(self) -> Iterator[None]:
        yield

    def wait(self, prompt_ids: list[str], emit: Any, timeout: float) -> asyncio.Future[list[Run]]:
        [prompt_id] = prompt_ids
        self._ends[prompt_id] = asyncio.get_running_loop().create_future()
        return self._ends[prompt_id]

    # -- what the test does ---------------------------------------------------------------------------------------

    def start(self) -> str:
        """Start the next prompt."""
        prompt_id = self.waiting.pop(0)
        self.running.append(prompt_id)
        return prompt_id

    def finish(self, prompt_id: str, how: str = "success") -> None:
        """End a running prompt."""
        self.running.remove(prompt_id)
        messages = {"error": [["execution_error", {"exception_message": "too dark", "node_id": "1"}]]}
        if how == "interrupted":
            messages["interrupted"] = [["execution_interrupted", {"node_id": "1"}]]
        entry = {
            "prompt": [1, prompt_id, {"1": {"class_type": "T"}}],
            "outputs": {"1": {"images": [{"filename": f"{prompt_id}.png"}]}} if how == "success" else {},
            "status": {"status_str": "success" if how == "success" else "error", "messages": messages.get(how, [])},
        }
        self._end(Run(prompt_id, started=1.0, ended=2.0, entry=entry))

    def clear(self) -> None:
        """Clear the queue, as the person can."""
        for prompt_id in [*self.waiting]:
            self.cancel(prompt_id)

    async def one(self, how: str = "success") -> None:
        """Carry out the next prompt, once there is one."""
        while not self.waiting:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 60)
        self.finish(self.start(), how)
        await turns()

    def _end(self, run: Run) -> None:
        ending = self._ends.get(run.prompt_id)
        if ending is not None and not ending.done():
            ending.set_result([run])


async def turns(count: int = 50) -> None:
    """Let everything happen that can."""
    for _ in range(count):
        await asyncio.sleep(0)


def prompt(value: int) -> list[str]:
    """The pieces of a prompt with this value."""
    return ['{"prompt":{', f'"1":{{"class_type":"T","inputs":{{"v":{value}}}}}', '},"client_id":"tab"}']


def answer(values: list[int], whole: bool = True) -> dict[str, Any]:
    """A page's answer with these values; only the first is sent as a whole."""
    prompts: list[dict[str, Any]] = []
    for at, value in enumerate(values):
        written = [{"path": "T.v", "requested": value, "value": value, "warnings": []}]
        content = {"texts": prompt(value)} if at == 0 and whole else {"changes": [[1, prompt(value)[1]]]}
        prompts.append({"fields": written, "warnings": [], **content})
    return {"prompts": prompts}


@pytest.fixture
def line() -> Line:
    return Line()


class Lab:
    """Begins sweeps on a line and collects their events."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.events: list[dict[str, Any]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.permitted = asyncio.Event()
        self.permitted.set()
        comfy: Any = line
        self.sweeps = Sweeps(comfy, comfy, lambda event, data: self.events.append(data), lambda: None, self._spawn)

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.create_task(work, name=name))
        return self.tasks[-1]

    def begin(
        self, answers: list[Any], total: int, seeds: int = 1, between: Callable[[], Any] | None = None, **wish: Any
    ) -> Sweep:
        """Begin a sweep whose page answers like this; an answer may be an error."""

        async def exports() -> AsyncIterator[list[Export]]:
            reader = Reader()
            for one in answers:
                if isinstance(one, UiapiError):
                    raise one
                yield reader.read(one)
                if between is not None:
                    await between()

        async def permission() -> None:
            await self.permitted.wait()

        return self.sweeps.begin("render.py", Wish(total // seeds, seeds, **wish), exports, permission)


@pytest.fixture
async def lab(line: Line) -> Any:
    lab = Lab(line)
    yield lab
    lab.sweeps.close()
    for task in lab.tasks:
        task.cancel()
    await asyncio.gather(*lab.tasks, return_exceptions=True)


__all__ = ["Lab", "Line", "answer", "prompt", "turns"]
