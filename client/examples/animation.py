"""Runs the open workflow 24 times while a field changes from one value to another, and saves the frames.

Usage:
    python animation.py Sampler.denoise 0.2 0.9
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

from uiapi import Client

FRAMES = 24


def eased(start: float, end: float, frames: int = FRAMES) -> list[float]:
    """Returns values from start to end, eased at both ends; they are integers if both ends are."""
    whole = float(start).is_integer() and float(end).is_integer()
    steps = [(1 - math.cos(math.pi * frame / (frames - 1))) / 2 for frame in range(frames)]
    values = [start + (end - start) * step for step in steps]
    return [round(value) if whole else value for value in values]


def main(path: str, start: str, end: str) -> None:
    """Save the frames to the folder `frames` in the working directory, and a GIF if Pillow is installed."""
    folder = Path("frames")
    began = time.monotonic()
    with Client(name="animation") as client:
        frames = client.animate(eased(float(start), float(end)), lambda value: {path: value}, folder)
    took = time.monotonic() - began
    sys.stdout.write(f"{len(frames)} frames in {took:.1f} s are in {folder}\n")
    try:
        from PIL import Image
    except ImportError:
        return
    images = []
    for frame in frames:
        with Image.open(frame) as image:
            images.append(image.convert("RGB"))
    first, *others = images
    first.save(folder / "all.gif", save_all=True, append_images=others, duration=1000 // 24, loop=0)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("Usage: python animation.py PATH START END, such as Sampler.denoise 0.2 0.9")
    main(*sys.argv[1:])
