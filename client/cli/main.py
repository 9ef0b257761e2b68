"""Runs `uiapi`, the command line for people and scripts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..common.errors import UiapiError

# Imported for the subcommands that they add; uiapi --help lists these in this order.
from . import graph_commands, model_commands, run_commands, server_commands, workflow_commands  # noqa: F401
from .app import app
from .arguments import hoisted
from .terminal import Terminal, exit_code


def run(arguments: Sequence[str]) -> None:
    """Run a command line; raises SystemExit with its exit code."""
    words = hoisted(arguments)
    terminal = Terminal("--json" in words)
    try:
        app(words)
    except UiapiError as error:
        terminal.fail(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
