"""The subcommand doctor, which shows what a workflow lacks and does what needs no person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .app import Ctx, app, workflow_in
from .model_commands import TOPIC, AcceptFound, Search
from .terminal import Terminal, bytes_shown

# The exit code if something is missing.
LACKING = 8


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi doctor portrait.json")
def doctor(
    ctx: Ctx,
    workflow: Annotated[Path | None, typer.Argument(help="Workflow file; the open workflow if left out.")] = None,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="First do what needs no person: relink models, download those with a known URL."),
    ] = False,
    search: Search = False,
    accept_found: AcceptFound = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a download is cancelled.")] = None,
) -> None:
    """Show what the workflow lacks before it can run, and the next step for each; exits with 8 if it lacks anything."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    given = workflow_in(workflow)
    with terminal.patient(), terminal.downloading() as progress:
        found = client.doctor(
            given,
            fix=fix,
            search=search,
            accept="found" if accept_found else None,
            on_progress=progress,
            timeout=timeout,
        )
    terminal.show(found, lambda: _show(terminal, found))
    if not found["ready"]:
        raise typer.Exit(LACKING)


def _show(terminal: Terminal, found: dict[str, Any]) -> None:
    if found["nodes"]:
        nodes = [[node["type"] or "(no type)", node["count"], node["next"]] for node in found["nodes"]]
        terminal.table(["missing node", "count", "next step"], nodes, "")
    if found["models"]:
        models = [
            [model["name"], model["directory"], model["state"], _size(model), model["next"]]
            for model in found["models"]
        ]
        terminal.table(["model", "folder", "state", "size", "next step"], models, "")
    for disk in found["disks"]:
        if disk["next"]:
            terminal.say(disk["next"])
    for failure in (found.get("search") or {}).get("failures") or []:
        terminal.say(f"Not everything was searched: {failure['message']}")
    for failure in found.get("failures", ()):
        terminal.warn(failure)
    terminal.say(_summary(found))


def _size(model: dict[str, Any]) -> str:
    return "" if model["size"] is None else bytes_shown(model["size"])


def _summary(found: dict[str, Any]) -> str:
    if found["ready"]:
        return "Nothing is missing."
    parts = []
    if fixed := sum(model["fix"] is not None for model in found["models"]):
        parts.append(f"{fixed} can be fixed with uiapi doctor --fix")
    if found["left"]:
        parts.append(f"{found['left']} need{'s' if found['left'] == 1 else ''} a person")
    return f"Missing: {', '.join(parts)}."
