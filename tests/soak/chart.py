"""Draws the samples of the soak as a PNG: one line chart for each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 900, 170, 46
INK, LINE, WARM = (40, 40, 40), (30, 90, 200), (238, 238, 230)


def draw(times: Sequence[float], series: Mapping[str, Sequence[float]], warm_up: float, path: Path) -> None:
    """Write a PNG.

    Args:
        times: seconds since the beginning, ascending.
        series: values at these times by name, one panel each.
        warm_up: seconds at the beginning that are shaded; they are not evaluated.
        path: the PNG file.
    """
    picture = Image.new("RGB", (WIDTH, HEIGHT * len(series)), "white")
    pen = ImageDraw.Draw(picture)
    end = times[-1] or 1.0
    for number, (name, values) in enumerate(series.items()):
        top, bottom = number * HEIGHT + 24, (number + 1) * HEIGHT - 20
        most = max(values) * 1.1 or 1.0

        def at(time: float, value: float, top: int = top, bottom: int = bottom, most: float = most) -> tuple[int, int]:
            across = MARGIN + time / end * (WIDTH - MARGIN - 12)
            return int(across), int(bottom - value / most * (bottom - top))

        pen.rectangle((*at(0, most), *at(warm_up, 0)), fill=WARM)
        pen.line([at(0, most), at(0, 0), at(end, 0)], fill=INK)
        pen.line([at(*point) for point in zip(times, values, strict=True)], fill=LINE, width=2)
        pen.text((MARGIN, top - 18), f"{name}: {values[0]:.0f} at first, {values[-1]:.0f} at last", fill=INK)
        pen.text((4, top), f"{most:.0f}", fill=INK)
        pen.text((4, bottom - 10), "0", fill=INK)
        pen.text((WIDTH - 60, bottom + 4), f"{end / 60:.1f} min", fill=INK)
    picture.save(path, optimize=True)
