"""The subcommands about the server: connections, commands, events and agents."""

from __future__ import annotations

import fnmatch
import os
import secrets
import sys
from typing import Annotated

import typer

from ..client import Client
from ..common.command_table import event_names, route, routes
from ..common.errors import UiapiError
from .app import Ctx, app, names
from .arguments import json_value, nearest, text_of
from .terminal import duration, shown

TOPIC = "Server"


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi status --json")
def status(ctx: Ctx) -> None:
    """Show connections, requests and downloads."""
    client, terminal = ctx.obj.client, ctx.obj.terminal
    found = client.status()
    connected = client.webuis() if found["webui_connected"] and not terminal.as_json else []
    lines = [["ComfyUI", f"{client.url}, running for {duration(found.get('server_uptime') or 0)}"]]
    if versions := "" if terminal.as_json else _versions(client):
        lines.append(["versions", versions])
    for tab in connected:
        facts = [tab["browser"], tab["frontend_version"] and f"frontend {tab['frontend_version']}"]
        named = f"{tab['workflow_name'] or 'no workflow'} ({', '.join(filter(None, facts))})"
        lines.append([f"tab {tab['id']}", f"{named}, the main tab" if tab["is_main"] else named])
    lines.append(["requests", f"{found['pending_requests']} in progress"])
    lines.append(["downloads", f"{found.get('active_downloads') or 0} in progress"])
    if waiting := found.get("pending_downloads"):
        lines.append(["", f"{waiting} waiting for the person at the tab to enter a URL"])

    def people() -> None:
        terminal.table(["", ""], lines, "")
        if not connected:
            terminal.say(f"No tab is connected: open {client.url} in a browser.")

    terminal.show(found, people)


def _versions(client: Client) -> str:
    """Returns the versions of ComfyUI and of its extension; empty if the person or an older extension refuses."""
    try:
        known = client.system()
    except UiapiError:
        return ""
    named = {"ComfyUI": known.get("comfyui_version"), "uiapi": known.get("extension_version")}
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi webuis")
def webuis(ctx: Ctx) -> None:
    """List the connected tabs."""
    found = ctx.obj.client.webuis()
    columns = ["id", "browser", "platform", "frontend_version", "workflow_name", "is_main"]
    rows = [[tab[column] for column in columns] for tab in found]
    ctx.obj.terminal.show(found, lambda: ctx.obj.terminal.table(columns, rows, "No tab is connected."))


@app.command(rich_help_panel=TOPIC, epilog='Example: uiapi watch "execution_*" output')
def watch(
    ctx: Ctx,
    event: Annotated[
        list[str] | None, typer.Argument(help="Event names or prefixes such as 'webui_*' (default: all).")
    ] = None,
    count: Annotated[int | None, typer.Option(help="End after this number of events.", min=1)] = None,
    timeout: Annotated[float | None, typer.Option(help="End after this number of seconds.")] = None,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    terminal = ctx.obj.terminal
    for name in event or ():
        if not fnmatch.filter(event_names(), name):
            sentence = f"There is no event {name!r}.{nearest(name, event_names())} The events are "
            raise UiapiError("invalid", f"{sentence}{', '.join(event_names())}.")
    for number, happened in enumerate(ctx.obj.client.events(*(event or ()), timeout=timeout), 1):
        line = {"event": happened.name, "data": happened.data}
        terminal.show(line, lambda: terminal.say(f"{happened.name}  {shown(happened.data)}"))  # noqa: B023 - at once
        sys.stdout.flush()
        if number == count:
            return


@app.command(rich_help_panel=TOPIC, epilog='Example: uiapi call node_info \'{"type": "KSampler"}\'')
def call(
    ctx: Ctx,
    command: Annotated[str, typer.Argument(help="Command name; uiapi commands lists them.", autocompletion=names)],
    data: Annotated[str, typer.Argument(help="Parameters as a JSON object, or - for standard input.")] = "{}",
) -> None:
    """Send any command to the server."""
    parameters = json_value(text_of(data) if data == "-" else data)
    if not isinstance(parameters, dict):
        raise typer.BadParameter("the parameters must be a JSON object")
    try:
        answer = ctx.obj.client.call(command, parameters)
    except UiapiError as error:
        # The server may have commands that this client does not know, but it does not have this one.
        if error.code != "unknown_command" and (error.code != "no_extension" or command in routes()):
            raise
        sentence = f"Unknown command {command!r}; uiapi commands lists all commands.{nearest(command, routes())}"
        raise UiapiError("unknown_command", sentence, status=404) from None
    ctx.obj.terminal.show(answer)


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi commands set_fields")
def commands(ctx: Ctx, name: Annotated[str, typer.Argument(autocompletion=names)] = "") -> None:
    """List the commands of the server, or the parameters of one command."""
    terminal = ctx.obj.terminal
    if name:
        known = route(name)
        if name not in routes():
            raise UiapiError(
                "unknown_command",
                f"Unknown command {name!r}; uiapi commands lists all commands.{nearest(name, routes())}",
                status=404,
            )
        rows = [[key, schema.get("description")] for key, schema in known.request["properties"].items()]
        terminal.show(known.request, lambda: terminal.table([name, known.doc], rows, ""))
        return
    rows = [[known.name, known.doc] for known in routes().values()]
    terminal.show([known.name for known in routes().values()], lambda: terminal.table(["command", ""], rows, ""))


@app.command(rich_help_panel=TOPIC, epilog="Example: uiapi mcp --http 127.0.0.1:8765")
def mcp(
    ctx: Ctx,
    http: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Serve over HTTP instead, for agents on other machines.")
    ] = "",
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="With --http: a TLS certificate.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="With --http: the certificate's key.")] = None,
) -> None:
    """Serve the open workflow to agents: Model Context Protocol on standard input and output, or over HTTP.

    Over HTTP agents need a bearer token: UIAPI_MCP_TOKEN, or else a new one that is printed.
    """
    client = ctx.obj.client
    try:
        if http:
            from ..mcp.http_server import Place, serve_http

            host, port = _host_and_port(http)
            given = os.environ.get("UIAPI_MCP_TOKEN")
            place = Place(host, port, given or secrets.token_urlsafe(24), tls_cert, tls_key)
            sentence = f"Serving agents at {place.url}" + ("" if given else f" with the token {place.secret}")
            serve_http(client.url, client.token, client.webui, place, lambda: ctx.obj.terminal.note(sentence))
        else:
            from ..mcp.server import serve

            serve(client.url, client.token, client.webui)
    except ModuleNotFoundError as error:
        if error.name not in ("mcp", "uvicorn"):
            raise
        sys.exit('This command needs mcp: pip install "comfyui-uiapi[mcp]", or pip install mcp.')


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UiapiError("invalid", f"--http takes HOST:PORT, such as 127.0.0.1:8765, not {text!r}.")
    return host.strip("[]") or "127.0.0.1", int(port)
