"""The command line application: its common options, and the parts that its subcommands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import Client
from ..common.command_table import routes, version
from ..common.errors import UiapiError
from ..protocol.address import DEFAULT_URL, Address
from ..protocol.inputs import workflow_of
from .terminal import EXIT_CODES, Terminal

ENDS = ", ".join(
    f"{code} {meaning}" for code, meaning in sorted({0: "success", 2: "usage error", **EXIT_CODES}.items())
)
app = typer.Typer(
    help="Drive the workflow that is open in ComfyUI's browser tab.",
    epilog=f"Example: uiapi run Canvas.width=640 -o picture.png\n\nExit codes: {ENDS}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Subcommands that say themselves what they wait for, or that wait until the user ends them.
REPORTING = frozenset({"run", "sweep", "download", "watch", "mcp", "tab", "farm"})

# Seconds for which a sweep keeps trying when ComfyUI cannot be reached.
SWEEP_RECONNECT = 30.0


class FindingClient(Client):
    """A client that prints which ComfyUI it found, unless that is at the usual address."""

    terminal: Terminal

    def _located(self) -> Address:
        was_default = self._address.is_default
        address = super()._located()
        if was_default and address.url != DEFAULT_URL:
            self.terminal.note(f"Using the ComfyUI at {address.url}.")
        return address


class Context:
    """The client and the terminal of a subcommand."""

    def __init__(self, client: Client, terminal: Terminal) -> None:
        self.client = client
        self.terminal = terminal


def paths(incomplete: str) -> list[str]:
    """Completes a field path of the open workflow; returns no paths if ComfyUI cannot be reached.

    Paths with characters that are special in a shell are left out, since some shells evaluate completions.
    """
    try:
        with Client(reconnect=0) as client:
            found = [
                f"{node['path']}.{widget['name']}" for node in client.nodes() for widget in node.get("widgets", ())
            ]
    except UiapiError:
        return []
    harmless = [path for path in found if re.fullmatch(r"[\w ./#\[\]-]+", path)]
    return [path for path in harmless if path.lower().startswith(incomplete.lower())]


def names(incomplete: str) -> list[tuple[str, str]]:
    """Completes the name of a command of the server."""
    return [(name, known.doc) for name, known in routes().items() if name.startswith(incomplete)]


Ctx = typer.Context
FieldPath = Annotated[
    list[str], typer.Argument(metavar="PATH", help="Field paths, for example Title.widget.", autocompletion=paths)
]
FieldWrites = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH=VALUE",
        help="The value is JSON or text; for a picture, sound, video or 3D model @FILE or @URL. - reads {path: value} "
        "from standard input.",
        autocompletion=paths,
    ),
]
OptionalFieldWrites = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATH=VALUE]", help="Fields to set first, as in uiapi set.", autocompletion=paths),
]
WorkflowFile = Annotated[
    Path | None, typer.Option("--workflow", "-w", help="Workflow file to use instead of the open workflow.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"uiapi {version()}")
        raise typer.Exit


@app.callback()
def common(
    ctx: Ctx,
    url: Annotated[
        str | None, typer.Option(help="URL of ComfyUI (default: the one found on this machine).", envvar="COMFYUI_URL")
    ] = None,
    token: Annotated[str | None, typer.Option(help="UIAPI_TOKEN of the server.", envvar="UIAPI_TOKEN")] = None,
    webui: Annotated[int | None, typer.Option(help="ID of the tab to use; uiapi webuis lists them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every subcommand, accepted in any position."""
    if url is not None and not url.strip():
        raise typer.BadParameter("--url needs a URL.")
    # A sweep may take hours, and outlives a connection.
    reconnect = SWEEP_RECONNECT if ctx.invoked_subcommand == "sweep" else 0
    client = FindingClient(url, token, webui=webui, name="uiapi command line", reconnect=reconnect)
    client.terminal = Terminal(as_json)
    ctx.obj = Context(client, client.terminal)
    ctx.call_on_close(client.close)
    if ctx.invoked_subcommand not in REPORTING:
        ctx.with_resource(ctx.obj.terminal.patient())


def workflow_in(workflow: Path | None) -> dict[str, Any] | None:
    """Returns the workflow in a file, None without a file. Raises UiapiError `invalid`."""
    return None if workflow is None else workflow_of(workflow)
