"""Commands that run the open graph: `execute` presses Run; `run` also sets fields and returns the results."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ...common.errors import UiapiError
from ..app.dispatch import Call
from ..comfyui.adapter import names_of
from ..comfyui.api_prompts import is_api_node, left_out, unknown_needed, without_idle
from ..comfyui.input_images import Pictures
from ..comfyui.node_catalog import takes_uploads
from ..comfyui.outputs import TextRoom, inline_files
from ..comfyui.run_results import Ended, answer_of_all, failure_of_all, outputs_of_all
from ..comfyui.targets import output_targets
from ..protocol.command_spec import (
    GRAPH_TIMEOUT,
    MAX_TIMEOUT,
    TAB_COMMAND_CODES,
    Kind,
    Request,
    Risk,
    command,
)
from ..protocol.lazy_types import LazyModule
from ..tabs.graph_snapshot import Fields
from .editing import NodePath
from .fields import FORMATS, WRITES, Workflow, Write

schemas = LazyModule("..protocol.schemas", __package__)

# The default timeout of a run in seconds: long enough for a video.
RUN_TIMEOUT = 3600.0

Outputs = Literal["urls", "base64"]
TARGETS = (
    "Run only these output nodes and what they need; a path of each, such as Result or #12. A subgraph stands for the "
    "output nodes inside of it."
)
Targets = Annotated[list[NodePath], Field(min_length=1, max_length=1000)]
OUTPUTS = "Whether to return each file's URL or its content."
BATCH = "How many times to press Run."
# Error codes of waiting for a run and of reading its files.
RUN_CODES = frozenset({"execution_interrupted", "result_lost", "storage_failed", "forbidden", "too_large"})


class Execute(Request):
    """The options of pressing Run."""

    wait: bool = Field(False, description="Wait until ComfyUI is done, and return the created files.")
    batch_count: int = Field(1, ge=1, le=100, description=BATCH)
    targets: Targets | None = Field(None, description=TARGETS)
    outputs: Outputs = Field("urls", description=OUTPUTS)


class RunRequest(Request):
    """The fields or workflow to use, and the options of the run."""

    subjects = ("fields",)
    fields: list[Write] | None = Field(None, max_length=10_000, description=WRITES)
    workflow: Workflow | None = Field(None, description=f"The workflow to open in the tab before the run. {FORMATS}")
    wait: bool = Field(True, description="Wait until ComfyUI is done, and return the created files.")
    batch_count: int = Field(1, ge=1, le=100, description=BATCH)
    targets: Targets | None = Field(None, description=TARGETS)
    outputs: Outputs = Field("urls", description=OUTPUTS)
    timeout: float | None = Field(None, gt=0, le=MAX_TIMEOUT, description="Seconds to wait for the results.")

    def kinds(self) -> frozenset[Kind]:
        """Change for setting fields, and load for opening a workflow."""
        wanted = {Kind.CHANGE: self.fields, Kind.LOAD: self.workflow}
        return frozenset(kind for kind, value in wanted.items() if value)

    def writes(self) -> list[Write]:
        """The fields it sets."""
        return self.fields or []


@command(
    "execute",
    response=schemas.Ran,
    tab_response=schemas.Queued,
    errors=RUN_CODES,
    risk=Risk.DRIVE,
    kind=Kind.RUN,
    tab=True,
)
async def execute(call: Call, request: Execute) -> dict[str, Any]:
    """Press Run in the open tab; with wait, return the results."""
    nothing = call.pictures()
    return await _execute(call, request, {}, nothing)


@command(
    "run",
    response=schemas.Ran,
    errors=RUN_CODES | TAB_COMMAND_CODES,
    example=(
        {"fields": [["Canvas.width", 640]]},
        {
            "prompt_id": "0f8f7d52-6ed5-4f0b-a5a5-9a2f3c1a4d11",
            "number": 3,
            "node_errors": {},
            "status": "success",
            "outputs": [
                {
                    "node_id": "3",
                    "title": "Result",
                    "node_type": "SaveImage",
                    "kind": "images",
                    "filename": "uiapi_00001_.png",
                    "subfolder": "",
                    "type": "output",
                    "url": "/view?filename=uiapi_00001_.png&subfolder=&type=output",
                }
            ],
            "execution_time": 0.021,
        },
    ),
    risk=Risk.DRIVE,
    kind=Kind.RUN,
    timeout=RUN_TIMEOUT,
)
async def run(call: Call, request: RunRequest) -> dict[str, Any]:
    """Load a workflow and set fields if given, run it, and return all files it created."""
    try:
        call.webui()
    except UiapiError as error:
        if error.code != "no_webui" or not can_run_alone(call, request.workflow):
            raise
        return await _run_alone(call, request)
    warnings: list[str] = []
    if request.workflow is not None:
        loaded = await call.tab("load_workflow", {"workflow": request.workflow}, _step_timeout(call))
        warnings += loaded.get("warnings") or []
    async with call.pictures() as pictures:
        writes = await pictures.data(request.fields) if request.fields else {}
        ran = await _execute(call, request, writes, pictures)
        return {**ran, "warnings": [*warnings, *ran.get("warnings", [])]} if warnings else ran


async def _run_alone(call: Call, request: RunRequest) -> dict[str, Any]:
    """Queue without a tab: the given API-format workflow, or the last main tab's snapshot."""
    async with call.pictures() as pictures:
        given = await prompt_alone(call, request.workflow, request.fields or [], pictures)
        prompt, idle = without_idle(given, call.bridge.comfy.node_classes)
        refusal = unknown_needed(prompt)
        if refusal is not None:
            raise refusal
        warnings = left_out(given, idle)
        targets = None
        if request.targets is not None:
            targets = output_targets(prompt, call.bridge.comfy.node_classes, request.targets)

        async def queue() -> dict[str, Any]:
            queued: list[dict[str, Any]] = []
            try:
                for _ in range(request.batch_count):
                    queued.append(await call.bridge.comfy.queue_prompt(prompt, targets))
            except UiapiError as error:
                if not queued:
                    raise
                raise UiapiError(error.code, error.message, {**error.details, "prompt_ids": _ids(queued)}) from None
            finally:
                if queued:
                    await pictures.keep()
            return {**queued[0], "prompt_ids": _ids(queued), "warnings": warnings}

        if not request.wait:
            return await queue()
        return await _follow(call, queue, request.batch_count, request.outputs)


def _ids(queued: Sequence[dict[str, Any]]) -> list[str]:
    return [item["prompt_id"] for item in queued]


async def _execute(
    call: Call, request: Execute | RunRequest, writes: dict[str, Any], pictures: Pictures
) -> dict[str, Any]:
    webui = call.webui()
    queue_timeout = _step_timeout(call)
    batch_count = request.batch_count
    data: dict[str, Any] = {"batch_count": batch_count} if batch_count != 1 else {}
    if request.targets is not None:
        if "execute.targets" not in webui.capabilities:
            raise UiapiError("invalid", "The page cannot limit a run to targets; reload it, or leave targets out.")
        data["targets"] = request.targets
    if writes:
        if "execute.fields" in webui.capabilities:
            # The page sets and exports in one turn, so that no other program's write comes in between.
            data.update(writes)
        else:
            await pictures.keep(await call.tab("set_fields", writes, queue_timeout))

    async def queue() -> dict[str, Any]:
        try:
            queued: dict[str, Any] = await call.tab("execute", data, queue_timeout)
        except UiapiError as error:
            if error.details.get("prompt_ids"):
                await pictures.keep()
            raise
        await pictures.keep(queued)
        return queued

    return await _follow(call, queue, batch_count, request.outputs) if request.wait else await queue()


def _step_timeout(call: Call) -> float:
    """Return the timeout in seconds of each step before the wait, which is that of any graph command."""
    return call.request.timeout or GRAPH_TIMEOUT


async def _follow(
    call: Call, queue: Callable[[], Awaitable[dict[str, Any]]], batch_count: int, outputs: Outputs
) -> dict[str, Any]:
    """Queue the prompts, wait until they have ended, and return the results."""
    timeout = call.request.timeout or RUN_TIMEOUT
    runs = call.bridge.runs
    with runs.expecting():
        queued, stopped = await _queue_some(queue)
        prompt_ids = queued.get("prompt_ids") or [queued["prompt_id"]]
        ending = runs.wait(prompt_ids, call.caller.emit, timeout)
    # From here on the tab is not needed any more.
    room = TextRoom()
    ends = [Ended.of(run, timeout, room) for run in await ending]
    if stopped is not None:
        ends += [Ended(None, stopped)] * (batch_count - len(ends))
    failure = failure_of_all(ends, timeout)
    if failure is not None:
        raise failure
    brought = outputs_of_all(ends)
    if outputs == "base64":
        brought = await inline_files(call.bridge.comfy, brought, room.taken)
    return {**queued, **answer_of_all(ends, brought)}


async def _queue_some(queue: Callable[[], Awaitable[dict[str, Any]]]) -> tuple[dict[str, Any], UiapiError | None]:
    """Return what was queued, and the error that kept the rest of a batch from being queued.

    Raises UiapiError if nothing was queued.
    """
    try:
        return await queue(), None
    except UiapiError as error:
        named = error.details.get("prompt_ids")
        prompt_ids = [item for item in named if isinstance(item, str)] if isinstance(named, list) else []
        # After a timeout the page goes on queueing, so the ids are not complete.
        if not prompt_ids or error.code == "timeout":
            raise
        rest = {key: value for key, value in error.details.items() if key != "prompt_ids"}
        queued: dict[str, Any] = {"prompt_id": prompt_ids[0], "number": None, "node_errors": {}}
        return {**queued, "prompt_ids": prompt_ids}, UiapiError(error.code, error.message, rest)


def can_run_alone(call: Call, workflow: dict[str, Any] | None) -> bool:
    """Whether it can run without a tab: with an API-format workflow, or a snapshot if the request accepts one."""
    if workflow is None:
        return call.snapshot() is not None
    # ComfyUI refuses nodes of any other form.
    nodes = [node for node in workflow.values() if isinstance(node, dict)]
    return 0 < len(nodes) == len(workflow) and all(is_api_node(node) or "class_type" in node for node in nodes)


async def prompt_alone(
    call: Call, workflow: dict[str, Any] | None, fields: list[tuple[str, Any]], pictures: Pictures
) -> dict[str, Any]:
    """Return the prompt to run without a tab, with the fields set and their pictures stored.

    Raises UiapiError for an invalid path.
    """
    snapshot = call.snapshot() if workflow is None else None
    prompt = copy.deepcopy(workflow if snapshot is None else snapshot.output) or {}
    if snapshot is not None:
        call.snapshot_time = snapshot.taken
    known = Fields(api_nodes(prompt)) if snapshot is None else snapshot.fields
    # All paths are resolved before a picture is stored.
    places = [known.find(path) for path, _ in fields]

    def takes_picture(at: int) -> bool:
        node, widget = places[at]
        return takes_uploads(call.bridge.comfy.node_classes.get(str(node.get("type"))), widget["name"])

    stored = await pictures.store(fields, takes_picture)
    for (node, widget), (path, value) in zip(places, stored, strict=True):
        target = prompt.get(str(node["id"]))
        if target is None:
            details = {"path": path, "nearest": []}
            raise UiapiError(
                "unknown_path", f"{path} belongs to a node that does not run; use a field of a node that runs.", details
            )
        target["inputs"][widget["name"]] = value
    return prompt


def api_nodes(prompt: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of an API-format workflow as query_fields does; links are not listed as widgets."""
    nodes = []
    for node_id, node in prompt.items():
        title, kind = names_of(node)
        inputs = node.get("inputs")
        values = inputs.items() if isinstance(inputs, dict) else ()
        widgets = [{"name": name, "value": value} for name, value in values if not isinstance(value, list)]
        nodes.append({"id": node_id, "type": kind, "title": title or kind or "", "widgets": widgets})
    return nodes
