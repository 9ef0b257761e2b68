"""Runs `uiapi`, the command line for people and scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from ..common.command_table import routes
from ..common.errors import UiapiError

# Imported for the subcommands that they add.
from . import (  # noqa: F401
    graph_commands,
    model_commands,
    model_doctor,
    run_commands,
    server_commands,
    tab_command,
    workflow_commands,
)
from .app import app
from .arguments import hoisted, subcommand
from .terminal import Terminal, exit_code


def run(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with its exit code."""
    words = hoisted(arguments)
    terminal = Terminal("--json" in words)
    name = subcommand(words)
    if name in routes() and name not in typer.main.get_group(app).commands:
        typer.echo(f"{name} is a command of the server; use: uiapi call {name}", err=True)
        sys.exit(2)
    try:
        app(words)
    except UiapiError as error:
        terminal.fail(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
