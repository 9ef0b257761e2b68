"""The subcommands about models."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .app import Ctx, WorkflowFile, app, workflow_in
from .arguments import assignment, json_of
from .terminal import bytes_shown


@app.command()
def plan(ctx: Ctx, workflow: WorkflowFile = None) -> None:
    """Show the models of the workflow, and what uiapi download would do."""
    found = ctx.obj.client.plan(workflow=workflow_in(workflow))
    terminal = ctx.obj.terminal
    rows = [
        [model["name"], model["directory"], model["action"], bytes_shown(model.get("size")), _reason(model)]
        for model in found["models"]
    ]

    def people() -> None:
        terminal.table(["model", "folder", "", "size", ""], rows, "The workflow needs no models.")
        totals = found["totals"]
        terminal.say(f"{totals['download']} to download, {bytes_shown(totals['bytes'])}: {found['verdict']}.")

    terminal.show(found, people)


@app.command()
def download(
    ctx: Ctx,
    source: Annotated[list[str] | None, typer.Argument(help="NAME=URL for models without a known URL.")] = None,
    workflow: WorkflowFile = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which the download is cancelled.")] = None,
) -> None:
    """Download the missing models of the workflow."""
    table = dict(assignment(item) for item in source or ())
    terminal = ctx.obj.terminal
    with terminal.downloading() as progress:
        done = ctx.obj.client.download_models(
            {name: json_of(value) for name, value in table.items()} or None,
            workflow_in(workflow),
            on_progress=progress,
            timeout=timeout,
        )
    rows = [[name, model["status"], model["path"]] for name, model in done.items()]
    terminal.show(done, lambda: terminal.table(["model", "", "path"], rows, "No models are missing."))


def _reason(model: dict[str, Any]) -> str:
    reason = model.get("reason")
    return str(reason.get("message") if isinstance(reason, dict) else reason or "")
