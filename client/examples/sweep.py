"""Runs the open workflow once for each value of a field and saves the pictures and a contact sheet.

Usage:
    python sweep.py Sampler.cfg 4 6 8 10
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uiapi import Client, UiapiError, contact_sheet


def sweep(client: Client, path: str, values: Iterable[Any], folder: Path) -> list[Path]:
    """Saves a picture for each value, named after it, and a sheet with all of them; returns the paths."""
    items = []
    pictures = []
    for item in client.sweep({path: [*values]}, ordered=True, on_error="stop"):
        name = f"{path}={item.fields[path]}.png".replace("/", "_").replace("\\", "_")
        pictures.append(item.image.save(folder / name))
        items.append(item)
    # Needs Pillow.
    return [*pictures, *contact_sheet(items, folder / "sheet.png")]


def main(path: str, *values: str) -> None:
    """Save the pictures to the folder `sweep` in the working directory."""
    folder = Path("sweep")
    folder.mkdir(exist_ok=True)
    with Client(name="sweep") as client:
        try:
            saved = sweep(client, path, [json.loads(value) for value in values], folder)
        except UiapiError as error:
            sys.exit(str(error))
    sys.stdout.write("".join(f"{picture}\n" for picture in saved))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("Usage: python sweep.py PATH VALUE [VALUE ...], such as Sampler.cfg 4 6 8 10")
    main(*sys.argv[1:])
