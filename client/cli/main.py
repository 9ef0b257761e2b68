"""Runs `uiapi`, the command line for people and scripts."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence

import typer

from ..common.command_table import routes
from ..common.errors import UiapiError, UiapiWarning
from .app import app
from .arguments import hoisted, subcommand
from .terminal import Terminal, exit_code

# Subcommands that scripts call often, with their modules. Nothing else is imported for them, which halves their start.
QUICK = {
    **dict.fromkeys(("get", "set", "query"), "graph_commands"),
    **dict.fromkeys(("load", "save"), "workflow_commands"),
    "run": "run_commands",
    "status": "server_commands",
}


def add_subcommands(name: str = "") -> None:
    """Import the module of a subcommand, which adds it to the app; unless it is a quick one, import all of them."""
    if name in QUICK:
        importlib.import_module(f".{QUICK[name]}", __package__)
        return
    from . import (  # noqa: F401
        comfyui_commands,
        farm_commands,
        graph_commands,
        model_commands,
        run_commands,
        server_commands,
        sweep_command,
        tab_command,
        workflow_commands,
    )


def run(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with its exit code."""
    words = hoisted(arguments)
    terminal = Terminal("--json" in words)
    name = subcommand(words)
    add_subcommands(name)
    if name not in QUICK and name in routes() and name not in typer.main.get_group(app).commands:
        typer.echo(f"{name} is a command of the server; use: uiapi call {name}", err=True)
        sys.exit(2)
    try:
        with warnings.catch_warnings():
            # The terminal prints the warnings of a response.
            warnings.simplefilter("ignore", UiapiWarning)
            # Without the name, its help would name the file that was started.
            app(words, prog_name="uiapi")
    except UiapiError as error:
        terminal.fail(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
