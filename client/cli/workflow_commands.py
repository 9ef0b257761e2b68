"""The subcommands about workflows as a whole: opening, saving, and pictures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import Ctx, app
from .arguments import object_in


@app.command()
def load(
    ctx: Ctx,
    file: Annotated[str, typer.Argument(help="Workflow file in UI or API format, or - for standard input.")],
    name: Annotated[str | None, typer.Option(help="Name of the new workflow tab.")] = None,
) -> None:
    """Open a workflow in a new workflow tab."""
    source = object_in() if file == "-" else Path(file)
    loaded = ctx.obj.client.load(source, name)
    ctx.obj.terminal.show(loaded, lambda: ctx.obj.terminal.say(loaded["message"]))


@app.command()
def save(
    ctx: Ctx,
    file: Annotated[Path | None, typer.Argument(help="File to write (default: standard output).")] = None,
    api: Annotated[bool, typer.Option("--api", help="Save in API format instead of UI format.")] = False,
) -> None:
    """Save the open workflow to a local file."""
    workflow = ctx.obj.client.save(file, api=api)
    if file is None:
        ctx.obj.terminal.show(workflow)
    else:
        ctx.obj.terminal.show({"path": str(file)}, lambda: ctx.obj.terminal.say(f"Saved to {file}."))


@app.command()
def tabs(ctx: Ctx) -> None:
    """List the workflow tabs of the page."""
    found = ctx.obj.client.call("list_tabs")["tabs"]
    rows = [[tab["id"], tab["name"], "active" * tab["active"], "modified" * tab["modified"]] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(["id", "name", "", ""], rows, ""))


@app.command()
def shot(
    ctx: Ctx,
    file: Annotated[Path, typer.Argument(help="PNG file to write.")],
    node: Annotated[list[str] | None, typer.Argument(help="Node paths (default: the whole canvas).")] = None,
) -> None:
    """Save a picture of the canvas or of some nodes."""
    ctx.obj.client.screenshot(file, node)
    ctx.obj.terminal.show({"path": str(file)}, lambda: ctx.obj.terminal.say(f"Saved {file}"))
