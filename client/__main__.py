"""The command `uiapi`, also as `python -m uiapi`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what it lacks."""
    try:
        from .cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line needs typer and rich: install this package with [cli], or pip install typer rich.")
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
