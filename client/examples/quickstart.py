"""Reads and sets a field of the open workflow, runs the workflow and saves the picture.

Usage:
    python quickstart.py Canvas.width 640 picture.png
"""

from __future__ import annotations

import json
import sys

from uiapi import Client


def main(path: str, value: str, picture: str) -> None:
    """Set the field at `path` to a JSON value, run the workflow, and save the first picture to the file `picture`."""
    with Client(name="quickstart") as client:
        before = client[path]
        client[path] = json.loads(value)
        sys.stdout.write(f"{path}: {before} is now {client[path]}\n")
        done = client.run()
        sys.stdout.write(f"{done.image.save(picture)}\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("Usage: python quickstart.py PATH VALUE PICTURE, such as Canvas.width 640 picture.png")
    main(*sys.argv[1:])
