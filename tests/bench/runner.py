"""Runs the measurements of this directory and prints one table.

A measurement is a module `bench_*` below this directory with `async def measure(playwright) -> list[Row]`, which starts
what it needs itself (see tests/harness).
"""

from __future__ import annotations

import asyncio
import importlib
import math
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import async_playwright

from ..tools.steps import Stop, say

HERE = Path(__file__).resolve().parent
PREFIX = "bench_"


@dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        name: what was measured.
        value: the measured value.
        unit: of value, e.g. "ms" or "x" for a ratio.
        limit: the maximum (the minimum if `at_least`) in the same unit; None for information only.
        compared: a note on what it was compared with.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    compared: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is within its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def ratio(name: str, mine: float, bare: float, limit: float | None, *, unit: str = "ms", at_least: bool = False) -> Row:
    """Return a row with `mine` divided by `bare`; both are shown, in `unit`."""
    return Row(name, mine / bare, "x", limit, at_least, f"{mine:.4g} {unit} to {bare:.4g} {unit}")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)) - 1, 0)]


def names() -> list[str]:
    """Return the names of all measurements, as `dev.py bench` takes them."""
    return sorted(path.stem.removeprefix(PREFIX) for path in HERE.rglob(f"{PREFIX}*.py"))


def main(wanted: Sequence[str]) -> int:
    """Run the named measurements, or all, print the table and return 1 if a limit is broken."""
    available = names()
    unknown = [name for name in wanted if name not in available]
    if unknown:
        raise Stop(f"Unknown measurement {unknown[0]}; choose from: {', '.join(available) or 'none yet'}.")
    rows: list[Row] = []
    stopped = 0
    for name in wanted or available:
        started = time.monotonic()
        say(f"  {name} ...")
        try:
            rows += asyncio.run(_measured(f"{PREFIX}{name}"))
        except Stop as stop:
            # The other results are kept if a program is missing or one measurement fails.
            say(f"  {name}: {stop}")
            stopped += 1
        except Exception:
            say(traceback.format_exc())
            stopped += 1
        say(f"  {name}: {time.monotonic() - started:.1f} s")
    say("")
    for line in table(rows):
        say(line)
    broken = sum(not row.holds for row in rows)
    say(f"\n{len(rows) - broken} passed, {broken + stopped} failed")
    return 1 if broken + stopped else 0


async def _measured(module: str) -> list[Row]:
    async with async_playwright() as playwright:
        [path] = HERE.rglob(f"{module}.py")
        name = ".".join(path.relative_to(HERE).with_suffix("").parts)
        rows: list[Row] = await importlib.import_module(f".{name}", __package__).measure(playwright)
        return rows


def table(rows: Iterable[Row]) -> list[str]:
    """Return the rows as aligned lines of text."""
    cells = [("measured", "figure", "limit", "", "compared with")]
    for row in rows:
        limit = "" if row.limit is None else f"{'>=' if row.at_least else '<='} {row.limit:g} {row.unit}"
        verdict = "" if row.limit is None else ("holds" if row.holds else "BROKEN")
        cells.append((row.name, f"{row.value:.4g} {row.unit}", limit, verdict, row.compared))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
