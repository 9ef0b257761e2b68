"""The subcommands about models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..common.errors import UiapiError
from .app import Ctx, WorkflowFile, app, workflow_in
from .arguments import assignment, json_of, nearest
from .terminal import Terminal, bytes_shown

GOES_ON = "The download goes on in ComfyUI; uiapi call downloads shows it, and uiapi call download_cancel {} ends it."

TOPIC = "Models"

Search = Annotated[bool, typer.Option("--search", help="Search Hugging Face and CivitAI for models without a URL.")]
AcceptFound = Annotated[
    bool, typer.Option("--accept-found", help="Search, and use what is found where only one file can be meant.")
]


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi plan --workflow portrait.json")
def plan(ctx: Ctx, workflow: WorkflowFile = None, search: Search = False, accept_found: AcceptFound = False) -> None:
    """Show the models of the workflow, and what uiapi download would do."""
    found = ctx.obj.client.plan(workflow=workflow_in(workflow), search=search, accept="found" if accept_found else None)
    terminal = ctx.obj.terminal
    rows = [
        [
            *(model["name"], model["directory"], model["action"]),
            *(bytes_shown(model.get("size")), model.get("origin"), _reason(model)),
        ]
        for model in found["models"]
    ]
    files = [
        [model["name"], one["url"], bytes_shown(one.get("size")), one.get("licence") or "", one["why"]]
        for model in found["models"]
        if model["action"] == "no_url"
        for one in model.get("candidates") or []
    ]

    def people() -> None:
        terminal.table(["model", "folder", "", "size", "from", ""], rows, "The workflow needs no models.")
        if files:
            terminal.table(["found for", "URL", "size", "licence", ""], files, "")
        for failure in (found.get("search") or {}).get("failures") or []:
            terminal.say(f"Not everything was searched: {failure['message']}")
        totals = found["totals"]
        terminal.say(f"{totals['download']} to download, {bytes_shown(totals['bytes'])}: {found['verdict']}.")

    terminal.show(found, people)


@app.command(
    rich_help_panel=TOPIC,
    epilog="Example: uiapi download upscaler.safetensors=https://example.com/upscaler.safetensors",
)
def download(
    ctx: Ctx,
    source: Annotated[list[str] | None, typer.Argument(help="NAME=URL for models without a known URL.")] = None,
    workflow: WorkflowFile = None,
    search: Search = False,
    accept_found: AcceptFound = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which the download is cancelled.")] = None,
    url: Annotated[list[str] | None, typer.Option("--url", help="NAME=URL, as the argument.")] = None,
) -> None:
    """Download the missing models of the workflow."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    table = {name: json_of(value) for name, value in map(assignment, [*(source or ()), *(url or ())])}
    read = workflow_in(workflow)
    if table:
        _check_names(table, client.call("analyze_workflow", {} if read is None else {"workflow": read})["models"])
    query: dict[str, Any] = {"download_id": "ID"}

    with terminal.downloading() as progress:

        def follow(state: dict[str, Any]) -> None:
            query["download_id"] = state.get("download_id", "ID")
            progress(state)

        try:
            done = client.download_models(
                table or None,
                read,
                search=search,
                accept="found" if accept_found else None,
                on_progress=follow,
                timeout=timeout,
            )
        except KeyboardInterrupt:
            terminal.note(GOES_ON.format(f"'{json.dumps(query)}'"))
            raise
    rows = [[name, model["status"], model["path"]] for name, model in done.items()]
    terminal.show(done, lambda: terminal.table(["model", "", "path"], rows, "No models are missing."))


def _check_names(table: Iterable[str], models: list[dict[str, Any]]) -> None:
    """Raise UiapiError `unknown_model` for a name that the workflow does not need."""
    known = {
        key
        for model in models
        for key in (model["name"], model["name"].rpartition("/")[2], f"{model['directory']}/{model['name']}")
    }
    for name in table:
        if name.replace("\\", "/") not in known:
            needed = ", ".join(model["name"] for model in models) or "no models"
            sentence = f"The workflow does not need {name!r}.{nearest(name, known)} It needs {needed}."
            raise UiapiError("unknown_model", sentence, status=404)


def _reason(model: dict[str, Any]) -> str:
    reason = model.get("reason")
    return str(reason.get("message") if isinstance(reason, dict) else reason or "")


# The exit code if something is missing.
LACKING = 8


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi doctor portrait.json")
def doctor(
    ctx: Ctx,
    workflow: Annotated[Path | None, typer.Argument(help="Workflow file; the open workflow if left out.")] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="First make the repairs that need no person: relink models, download those with a known URL."
        ),
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
