"""Commands that run many variations of the open graph, or export them to be run elsewhere."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import from_json

from ...common.errors import UiapiError, web_app_refused
from ..app.dispatch import Call
from ..comfyui.outputs import MAX_INLINE, inline_files
from ..protocol.codec import encode
from ..protocol.command_spec import GRAPH_TIMEOUT, TAB_COMMAND_CODES, Kind, Request, Risk, command
from ..protocol.lazy_types import LazyModule
from ..protocol.summaries import summary_of
from ..sweeps.exports import Export, Reader, error_of_page
from ..sweeps.sweep import MAX_RESULTS, Sweep, Wish, described
from .execution import OUTPUTS, RUN_CODES, RUN_TIMEOUT, Outputs
from .fields import WRITES, Path, Write

schemas = LazyModule("..protocol.sweep_schemas", __package__)

# Prompts of one sweep, prompts of one variation, and fields of one variation.
MAX_PROMPTS = 10_000
MAX_SEEDS = 100
MAX_WRITES = 1000
# Milliseconds for which the page exports before it answers: little at first, so that ComfyUI begins soon, and each time
# GROWTH times as long as before, up to PART. Before the next request the page may draw for longer than that.
FIRST_PART, GROWTH, PART = 5, 5, 250
# Variations, and bytes of their JSON, in one request to the page.
MAX_PART = 100
MAX_PART_BYTES = 8 * 2**20
# Prompts, and bytes of their JSON, in one answer of export_prompts.
MAX_EXPORTED = 100
MAX_EXPORTED_BYTES = 16 * 2**20
# Seconds that sweep_cancel waits for a node that does not stop.
CANCEL_TIMEOUT = 10.0

SweepId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
OwnId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class Variations(Request):
    """The variations: `variations`, or `grid` for every combination of some values."""

    variations: list[Annotated[list[Write], Field(max_length=MAX_WRITES)]] | None = Field(
        None, min_length=1, max_length=MAX_PROMPTS, description=f"The fields of each variation. {WRITES}"
    )
    grid: dict[Path, Annotated[list[Any], Field(min_length=1, max_length=MAX_PROMPTS)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_WRITES,
        description="The values of each field; every combination is a variation, and the first path varies slowest.",
    )
    seeds: int = Field(
        1,
        ge=1,
        le=MAX_SEEDS,
        description="How many prompts each variation has; in between the page's own seed controls act as after a run.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Variations:
        if (self.variations is None) == (self.grid is None):
            raise ValueError("send variations as [[[path, value], …], …], or grid as {path: [value, …], …}")
        if self.count * self.seeds > MAX_PROMPTS:
            raise ValueError(f"send at most {MAX_PROMPTS:,} variations, each counted as often as it has seeds")
        return self

    @property
    def count(self) -> int:
        """How many variations there are."""
        if self.variations is not None:
            return len(self.variations)
        return math.prod(len(values) for values in (self.grid or {}).values())

    def variation(self, index: int) -> list[tuple[str, Any]]:
        """Return the writes of one variation."""
        if self.variations is not None:
            return [*self.variations[index]]
        writes = []
        for path, values in reversed((self.grid or {}).items()):
            index, at = divmod(index, len(values))
            writes.append((path, values[at]))
        return writes[::-1]

    def summary(self) -> str:
        """The paths that vary, and how many prompts there are."""
        return f"{summary_of([path for path, _ in self.writes()])}: {self.count * self.seeds}"

    def writes(self) -> list[tuple[str, Any]]:
        """Each path with all its values."""
        values: dict[str, list[Any]] = {}
        if self.grid is not None:
            values = dict(self.grid)
        for fields in self.variations or []:
            for path, value in fields:
                values.setdefault(path, []).append(value)
        return [*values.items()]


class SweepRequest(Variations):
    """The variations, and how to run them."""

    outputs: Outputs = Field("urls", description=OUTPUTS)
    on_error: Literal["continue", "stop"] = Field("continue", description="What to do when a variation fails.")
    wait: bool = Field(True, description="Wait for all results; otherwise answer once the first are exported.")
    sweep_id: OwnId | None = Field(
        None,
        description="A new ID of the program's choice, such as a UUID, with which it can cancel the sweep before the "
        "first answer; a random one if left out.",
    )


class ExportRequest(Variations):
    """The variations to export."""

    first: int = Field(0, ge=0, le=MAX_PROMPTS, description="The index of the first prompt to return.")

    def kinds(self) -> frozenset[Kind]:
        """Also read, since the prompts contain the whole graph."""
        return frozenset({Kind.READ})


class SweepStatus(Request):
    """The sweep, and the results to return."""

    sweep_id: SweepId
    first: int = Field(0, ge=0, le=MAX_PROMPTS, description="The index of the first result to return.")
    limit: int = Field(MAX_RESULTS, ge=0, le=MAX_RESULTS)


class SweepCancel(Request):
    """The sweep."""

    sweep_id: SweepId


EXAMPLE = {
    "sweep_id": "3f0c6d5c1f6e4b0f9a3a0d7d3b6f8a11",
    "total": 2,
    "done": 2,
    "failed": 0,
    "cancelled": 0,
    "exported": 2,
    "status": "finished",
    "results": [
        {
            "index": at,
            "variation": at,
            "repeat": 0,
            "fields": [{"path": "Canvas.width", "requested": width, "value": width, "warnings": []}],
            "prompt_id": f"0f8f7d52-6ed5-4f0b-a5a5-9a2f3c1a4d1{at}",
            "status": "success",
            "files": [
                {
                    "node_id": "3",
                    "title": "Result",
                    "node_type": "SaveImage",
                    "kind": "images",
                    "filename": f"uiapi_0000{at + 1}_.png",
                    "subfolder": "",
                    "type": "output",
                    "url": f"/view?filename=uiapi_0000{at + 1}_.png&subfolder=&type=output",
                }
            ],
            "error": None,
            "warnings": [],
            "execution_time": 0.021,
        }
        for at, width in enumerate((256, 512))
    ],
    "next": None,
    "warnings": [],
}


@command(
    "sweep",
    response=schemas.Swept,
    errors=RUN_CODES | TAB_COMMAND_CODES | {"cancelled"},
    example=({"grid": {"Canvas.width": [256, 512]}}, EXAMPLE),
    risk=Risk.DRIVE,
    kind=Kind.RUN,
    timeout=RUN_TIMEOUT,
)
async def sweep(call: Call, request: SweepRequest) -> dict[str, Any]:
    """Run many variations of the open graph, which stays as it is, and return the results."""
    _check_page(call)
    bridge = call.bridge
    wish = Wish(request.count, request.seeds, request.outputs, request.on_error == "stop")

    async def permission() -> None:
        await bridge.approvals.until_released(Kind.RUN, call.caller.program)

    async def exports() -> AsyncIterator[list[Export]]:
        revision: str | None = None
        async for part in _exports(call, request, range(request.count), permission):
            yield part
            if revision not in (None, call.revision):
                begun.warn(f"The graph was changed while it was exported; see the variations from {begun.exported} on.")
            revision = call.revision

    begun = bridge.sweeps.begin(call.caller.program, wish, exports, permission, request.sweep_id)
    begun.emit = call.caller.emit
    if call.caller.web_app:
        bridge.spawn(_while_allowed(call, begun), f"web app of sweep {begun.sweep_id}")
    timeout = request.timeout or RUN_TIMEOUT
    try:
        await asyncio.wait_for(_wait(begun, over=request.wait), timeout)
    except asyncio.TimeoutError:
        raise UiapiError(
            "timeout",
            f"The sweep did not end within {timeout:g} s and goes on; get its results with sweep_status.",
            {"sweep_id": begun.sweep_id, "delivered": True},
        ) from None
    except UiapiError:
        bridge.sweeps.forget(begun)
        raise
    finally:
        begun.emit = None
    return await _answer(call, begun)


@command(
    "sweep_status", response=schemas.Swept, errors=["unknown_sweep", "storage_failed", "forbidden"], risk=Risk.READ
)
async def sweep_status(call: Call, request: SweepStatus) -> dict[str, Any]:
    """Return the state of a sweep, and its results from an index on."""
    return await _answer(call, call.bridge.sweeps.find(request.sweep_id), request.first, request.limit)


@command(
    "sweep_cancel",
    response=schemas.Swept,
    errors=["unknown_sweep", "storage_failed", "forbidden"],
    risk=Risk.DRIVE,
    kind=Kind.RUN,
)
async def sweep_cancel(call: Call, request: SweepCancel) -> dict[str, Any]:
    """Stop a sweep: remove its prompts from ComfyUI's queue, and interrupt the one that runs."""
    ended = await call.bridge.sweeps.cancel(request.sweep_id, request.timeout or CANCEL_TIMEOUT)
    return await _answer(call, ended)


@command(
    "export_prompts",
    response=schemas.ExportedPrompts,
    tab_response=schemas.TabPrompts,
    risk=Risk.DRIVE,
    kind=Kind.RUN,
    timeout=120.0,
    tab=True,
)
async def export_prompts(call: Call, request: ExportRequest) -> dict[str, Any]:
    """Return the prompts of variations of the open graph without queueing them, to run them elsewhere."""
    _check_page(call)
    seeds, total = request.seeds, request.count * request.seeds
    last = min(total, request.first + MAX_EXPORTED)
    wanted = range(request.first // seeds, -(-last // seeds))
    index = wanted.start * seeds
    prompts: list[dict[str, Any]] = []
    size = 0

    async def permission() -> None:
        """The request itself was allowed."""

    async for part in _exports(call, request, wanted, permission):
        for export in part:
            body = b"" if export.error is not None else export.body()
            if request.first <= index < last and (not prompts or size + len(body) <= MAX_EXPORTED_BYTES):
                prompts.append(_exported(index, seeds, export, body))
                size += len(body)
            else:
                # In order, so that nothing follows what has no room.
                last = min(last, max(index, request.first))
            index += 1
            # Decoding all of them at once would block ComfyUI's loop.
            await asyncio.sleep(0)
        if index >= last:
            break
    following = request.first + len(prompts)
    return {"prompts": prompts, "total": total, "next": following if following < total else None}


def _check_page(call: Call) -> None:
    """Raise UiapiError if there is no tab, or its page cannot export variations."""
    webui = call.webui()
    if webui is not call.bridge.webuis.lobby and "sweep" not in webui.capabilities:
        raise UiapiError("tab_failed", "The page cannot export variations; reload it.")


@dataclass(eq=False)
class _Ending:
    """Stops a sweep when its web app is no longer allowed."""

    call: Call
    sweep: Sweep

    def close(self, code: int, reason: str) -> None:
        """Stop it."""
        with suppress(UiapiError):
            self.call.bridge.sweeps.stop(self.sweep.sweep_id, web_app_refused())


async def _while_allowed(call: Call, sweep: Sweep) -> None:
    """Let a sweep of a web app go on for as long as the person allows that, also when nobody waits for it."""
    with call.bridge.web_apps.connected(call.caller.program, _Ending(call, sweep)):
        await sweep.over.wait()


async def _wait(sweep: Sweep, *, over: bool) -> None:
    await asyncio.shield(sweep.started)
    if over:
        await sweep.over.wait()


async def _answer(call: Call, sweep: Sweep, first: int = 0, limit: int = MAX_RESULTS) -> dict[str, Any]:
    """Return the state of a sweep; with the files' content if the program has asked for that."""
    answer = sweep.answer(first, limit)
    if sweep.wish.outputs != "base64":
        return answer
    results: list[dict[str, Any]] = []
    taken = 0
    for result in answer["results"]:
        try:
            files = await inline_files(call.bridge.comfy, result["files"], 0)
        except UiapiError as error:
            # The other results must not be lost because of one file.
            files = result["files"]
            result["warnings"].append(error.message)
        size = sum(len(file.get("base64", "")) for file in files)
        if results and taken + size > MAX_INLINE // 2:
            return {**answer, "results": results, "next": result["index"]}
        taken += size
        results.append({**result, "files": files})
    return {**answer, "results": results}


async def _exports(
    call: Call, request: Variations, wanted: Sequence[int], permission: Any
) -> AsyncIterator[list[Export]]:
    """Yield the exports of these variations as the page makes them. Raises UiapiError when it cannot go on."""
    reader, within = Reader(), FIRST_PART
    left = deque(wanted)
    part: list[dict[str, Any]] = []
    sizes: list[int] = []
    async with call.pictures() as pictures:
        while left or part:
            await permission()
            until = monotonic() + within / 1000
            while left and len(part) < MAX_PART and (not part or (sum(sizes) < MAX_PART_BYTES and monotonic() < until)):
                part.append(await pictures.data(request.variation(left.popleft())))
                sizes.append(len(encode(part[-1])))
            data = {"variations": part, "seeds": request.seeds, "within": within}
            answer = await call.tab("export_prompts", data, GRAPH_TIMEOUT * request.seeds)
            exports = reader.read(answer)
            whole, rest = divmod(len(exports), request.seeds)
            part, sizes = part[whole:], sizes[whole:]
            await pictures.keep(answer, undecided=part)
            if exports:
                yield exports
            stopped = answer.get("stopped")
            if stopped is not None:
                raise error_of_page(stopped)
            if not whole or rest:
                raise UiapiError("tab_failed", "The tab returned an incomplete export; reload the page.")
            within = min(PART, GROWTH * within)


def _exported(index: int, seeds: int, export: Export, body: bytes) -> dict[str, Any]:
    content = from_json(body) if body else {}
    variation, repeat = divmod(index, seeds)
    extra = content.get("extra_data") or {}
    return {
        "index": index,
        "variation": variation,
        "repeat": repeat,
        "fields": export.fields,
        "prompt": content.get("prompt"),
        "workflow": (extra.get("extra_pnginfo") or {}).get("workflow"),
        "warnings": export.warnings,
        "error": None if export.error is None else described(export.error),
    }
