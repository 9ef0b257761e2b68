"""The subcommands about runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from .app import Ctx, OptionalWrites, WorkflowFile, app
from .arguments import outputs_for, target_of, writes_of


@app.command(name="run")
def run_(
    ctx: Ctx,
    write: OptionalWrites = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File or FOLDER/ to save the outputs to.")
    ] = None,
    workflow: WorkflowFile = None,
    count: Annotated[int, typer.Option(help="Number of runs.", min=1, max=100)] = 1,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for the results (default: one hour).")] = None,
) -> None:
    """Set fields, run the open workflow, and save its outputs."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    target = None if output is None else target_of(output)
    with terminal.running() as progress:
        done = client.run(
            writes_of(write) if write else None,
            workflow=workflow,
            batch_count=count if count > 1 else None,
            timeout=timeout,
            fetch=output is not None,
            on_event=progress,
        )
    saved = [] if target is None else outputs_for(done, target)
    result = {**done.answer, "saved": [str(path) for path in saved]}
    took = "" if done.execution_time is None else f" in {done.execution_time:.2f} s"
    lines = [f"Saved {path}" for path in saved] or [client.url + file.url for file in done.files]
    lines += [f"{text.node_title or text.node_type or 'Text'}: {text}" for text in done.texts]
    failure = done.failure()
    end = [] if failure else [f"Done{took}."]
    terminal.show(result, lambda: terminal.say("\n".join([*lines, *end])))
    for warning in _left_out(done.answer.get("node_errors") or {}):
        terminal.warn(warning)
    if failure is not None:
        raise failure


def _left_out(node_errors: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each node that ComfyUI did not run, with ComfyUI's reasons."""
    for node_id, entry in node_errors.items():
        reasons = [": ".join(filter(None, (one.get("message"), one.get("details")))) for one in entry.get("errors", ())]
        yield f"#{node_id} ({entry.get('class_type')}) was not run: {'; '.join(reasons) or 'no reason given'}"
