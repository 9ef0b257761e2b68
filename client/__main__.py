"""The entry point of the command `uiapi`, also available as `python -m uiapi`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits with a sentence if one of its packages is missing."""
    try:
        from .cli.main import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit('The command line needs typer and rich: pip install "comfyui-uiapi[cli]", or pip install typer rich.')
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
