"""The subcommands about runs and ComfyUI's queue."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import typer

from ..common.errors import UiapiError
from ..common.notices import not_run
from ..common.results import Run
from .app import Ctx, OptionalFieldWrites, WorkflowFile, app, workflow_in
from .arguments import Writes, outputs_for, target_of

GOES_ON = "ComfyUI finishes what it has begun; uiapi queue shows it, and uiapi stop stops it."

TOPIC = "Runs"


@app.command(rich_help_panel=TOPIC, name="run", epilog="Example: uiapi run Sampler.seed=7 -o pictures/")
def run_(
    ctx: Ctx,
    write: OptionalFieldWrites = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File or FOLDER/ to save the outputs to.")
    ] = None,
    workflow: WorkflowFile = None,
    count: Annotated[int, typer.Option(help="Number of runs.", min=1, max=100)] = 1,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", help="Output node to run, with what it needs; may be repeated (default: all)."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for the results (default: one hour).")] = None,
) -> None:
    """Set fields, run the open workflow, and save its outputs."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    target = None if output is None else target_of(output)
    # A repeated request must not open the workflow again.
    opened = itertools.chain([workflow_in(workflow)], itertools.repeat(None))
    with terminal.running() as progress:

        def send(fields: list[list[Any]]) -> Run:
            made: Run = client.run(
                fields or None,
                workflow=next(opened),
                batch_count=count if count > 1 else None,
                targets=targets or None,
                timeout=timeout,
                fetch=output is not None,
                on_event=progress,
            )
            return made

        try:
            done = Writes(write or ()).send(send)
        except KeyboardInterrupt:
            terminal.note(GOES_ON)
            raise
    saved = [] if target is None else outputs_for(done, target, terminal.warn)
    result = {**done.answer, "saved": [str(path) for path in saved]}
    took = "" if done.execution_time is None else f" in {done.execution_time:.2f} s"
    lines = [f"Saved {path}" for path in saved] or [client.url + file.url for file in done.files]
    lines += [f"{text.node_title or text.node_type or 'Text'}: {text}" for text in done.texts]
    failure = done.failure()
    end = [] if failure else [f"Done{took}."]
    terminal.show(result, lambda: terminal.say("\n".join([*lines, *end])))
    for warning in not_run(done.answer.get("node_errors") or {}):
        terminal.warn(warning)
    if failure is not None:
        raise failure


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi validate --workflow api.json")
def validate(ctx: Ctx, workflow: WorkflowFile = None) -> None:
    """Validate a workflow in ComfyUI without running it; the file must be in API format."""
    terminal = ctx.obj.terminal
    read = workflow_in(workflow)
    found = ctx.obj.client.call("validate", {} if read is None else {"workflow": read})
    missing = [f"The node type {name} is not installed." for name in found["missing_node_types"]]
    problems = [*missing, *not_run(found["node_errors"])]
    if not found["valid"] and not problems:
        error = found["error"]
        problems = [str(error.get("message") if isinstance(error, dict) else error)]
    terminal.show(found, lambda: terminal.say("\n".join(problems) or "The workflow is valid."))
    if not found["valid"]:
        raise UiapiError("execution_failed", "ComfyUI would not run this workflow.", found)


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi queue")
def queue(ctx: Ctx) -> None:
    """Show what ComfyUI runs and what waits in its queue."""
    found = ctx.obj.client.call("queue")
    rows = [[state, item["prompt_id"], item["nodes"]] for state in ("running", "waiting") for item in found[state]]
    ctx.obj.terminal.show(
        found, lambda: ctx.obj.terminal.table(["", "prompt id", "nodes"], rows, "Nothing runs and nothing waits.")
    )


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi stop --all")
def stop(
    ctx: Ctx, all_: Annotated[bool, typer.Option("--all", help="Also remove all waiting runs from the queue.")] = False
) -> None:
    """Stop the run that is in progress."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    # The queue is cleared first, so that no further run starts.
    removed = client.call("queue_clear")["cancelled"] if all_ else []
    stopped = client.call("interrupt")["interrupted"]
    lines = [f"Removed {item} from the queue." for item in removed] + [f"Stopping {item}." for item in stopped]
    terminal.show(
        {"interrupted": stopped, "cancelled": removed},
        lambda: terminal.say("\n".join(lines) or "Nothing runs."),
    )
