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

from uiapi import Client, UiapiError


def sweep(client: Client, path: str, values: Iterable[Any], folder: Path) -> list[Path]:
    """Saves a picture for each value, named after it, and restores the field at the end; returns the paths."""
    before = client[path]
    pictures = []
    try:
        for value in values:
            done = client.run({path: value})
            pictures.append(done.image.save(folder / f"{path}={value}.png".replace("/", "_").replace("\\", "_")))
    finally:
        client.set(path, before)
    return pictures


def sheet(pictures: list[Path], target: Path) -> None:
    """Save all pictures side by side; needs Pillow."""
    from PIL import Image

    images = []
    for picture in pictures:
        with Image.open(picture) as opened:
            images.append(opened.convert("RGB"))
    whole = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width
    whole.save(target)


def main(path: str, *values: str) -> None:
    """Save the pictures to the folder `sweep` in the working directory."""
    folder = Path("sweep")
    folder.mkdir(exist_ok=True)
    with Client(name="sweep") as client:
        try:
            pictures = sweep(client, path, [json.loads(value) for value in values], folder)
        except UiapiError as error:
            sys.exit(str(error))
    sheet(pictures, folder / "sheet.png")
    sys.stdout.write("".join(f"{picture}\n" for picture in [*pictures, folder / "sheet.png"]))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("Usage: python sweep.py PATH VALUE [VALUE ...], such as Sampler.cfg 4 6 8 10")
    main(*sys.argv[1:])
