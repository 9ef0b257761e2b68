"""The subcommands about the server: connections, commands, events and agents."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..common.command_table import route, routes
from ..common.errors import UiapiError
from .app import Ctx, app, names
from .arguments import json_value, text_of
from .terminal import shown


@app.command()
def status(ctx: Ctx) -> None:
    """Show connections, requests and downloads."""
    found = ctx.obj.client.status()
    terminal = ctx.obj.terminal
    rows = [[key.replace("_", " "), value] for key, value in found.items() if key not in ("status", "server_time")]
    terminal.show(found, lambda: terminal.table(["", ""], rows, ""))


@app.command()
def webuis(ctx: Ctx) -> None:
    """List the connected tabs."""
    found = ctx.obj.client.webuis()
    columns = ["id", "browser", "platform", "frontend_version", "workflow_name", "is_main"]
    rows = [[tab[column] for column in columns] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(columns, rows, "No tab is connected."))


@app.command()
def watch(
    ctx: Ctx,
    event: Annotated[
        list[str] | None, typer.Argument(help="Event names or prefixes such as 'webui_*' (default: all).")
    ] = None,
    count: Annotated[int | None, typer.Option(help="End after this number of events.", min=1)] = None,
    timeout: Annotated[float | None, typer.Option(help="End after this number of seconds.")] = None,
) -> None:
    """Print events as they happen."""
    terminal = ctx.obj.terminal
    for number, happened in enumerate(ctx.obj.client.events(*(event or ()), timeout=timeout), 1):
        line = {"event": happened.name, "data": happened.data}
        terminal.show(line, lambda: terminal.say(f"{happened.name}  {shown(happened.data)}"))  # noqa: B023 - at once
        sys.stdout.flush()
        if number == count:
            return


@app.command()
def call(
    ctx: Ctx,
    command: Annotated[str, typer.Argument(help="Command name; uiapi commands lists them.", autocompletion=names)],
    data: Annotated[str, typer.Argument(help="Parameters as a JSON object, or - for standard input.")] = "{}",
) -> None:
    """Send any command to the server."""
    parameters = json_value(text_of(data) if data == "-" else data)
    if not isinstance(parameters, dict):
        raise typer.BadParameter("the parameters must be a JSON object")
    ctx.obj.terminal.show(ctx.obj.client.call(command, parameters))


@app.command()
def commands(ctx: Ctx, name: Annotated[str, typer.Argument(autocompletion=names)] = "") -> None:
    """List the commands of the server, or the parameters of one command."""
    terminal = ctx.obj.terminal
    if name:
        known = route(name)
        if name not in routes():
            raise UiapiError(
                "unknown_command", f"Unknown command {name!r}; uiapi commands lists all commands.", status=404
            )
        rows = [[key, schema.get("description")] for key, schema in known.request["properties"].items()]
        terminal.show(known.request, lambda: terminal.table([name, known.doc], rows, ""))
        return
    rows = [[known.name, known.doc] for known in routes().values()]
    terminal.show([known.name for known in routes().values()], lambda: terminal.table(["command", ""], rows, ""))


@app.command()
def mcp(ctx: Ctx) -> None:
    """Serve the open workflow to agents: Model Context Protocol on standard input and output."""
    try:
        from ..mcp.server import serve
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        sys.exit('This command needs mcp: pip install "comfyui-uiapi[mcp]", or pip install mcp.')
    client = ctx.obj.client
    serve(client.url, client.token, client.webui)
