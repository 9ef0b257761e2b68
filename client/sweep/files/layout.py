"""Arranges the pictures of a sweep: which stand in which row and column, and what is written next to them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .names import plain, short_paths, shown

# Grids with more columns are wrapped, since nobody could read them.
MAX_COLUMNS = 16


@dataclass(frozen=True)
class Layout:
    """Pictures in rows and columns.

    Attributes:
        rows: the numbers of the pictures in each row, None for an empty place.
        columns: the label above each column; empty if every picture has its own.
        sides: the label to the left of each row; empty if there is none.
        labels: the label below each picture, by its number; empty with labels at the rows and columns.
    """

    rows: list[list[int | None]]
    columns: list[str]
    sides: list[str]
    labels: list[str]

    def parts(self, most: int) -> Iterator[Layout]:
        """Yields layouts with at most that many pictures each, or with one row if it has more."""
        count = max(1, most // max(1, len(self.rows[0])))
        for at in range(0, len(self.rows), count):
            yield Layout(self.rows[at : at + count], self.columns, self.sides[at : at + count], self.labels)


def arranged(fields: Sequence[dict[str, Any]], texts: Sequence[str] = ()) -> Layout:
    """Returns the layout for pictures with these fields.

    If they are the product of several lists, the last path makes the columns and the others the rows. One list, other
    variations, repeated ones and grids that are too wide are wrapped, with a label below each picture.

    Args:
        fields: {path: value} of each picture.
        texts: what is written below a picture in addition, such as "run 2".
    """
    axes = _axes(fields)
    varying = {path: values for path, values in axes.items() if len(values) > 1} or axes
    short = short_paths([*varying])
    if len(varying) > 1 and not any(texts) and len([*varying.values()][-1]) <= MAX_COLUMNS:
        product = math.prod(len(values) for values in varying.values())
        places = {_place(one, varying): number for number, one in enumerate(fields)}
        if len(places) == len(fields) == product:
            return _table(fields, varying, short, places)
    labels = [_label(one, [*varying], short) for one in fields]
    for number, text in enumerate(texts):
        labels[number] = "\n".join(filter(None, (labels[number], text)))
    # A little wider than high, like a screen.
    across = max(1, min(len(fields), MAX_COLUMNS, math.ceil(math.sqrt(len(fields) * 1.3))))
    if len(fields) <= 6:
        across = len(fields) or 1
    numbers: list[int | None] = [*range(len(fields))]
    numbers += [None] * (-len(numbers) % across)
    return Layout([numbers[at : at + across] for at in range(0, len(numbers), across)], [], [], labels)


def _axes(fields: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the values of each path that all of them have, by their form as text, in order of appearance."""
    axes: dict[str, dict[str, Any]] = {}
    for one in fields:
        for path, value in one.items():
            axes.setdefault(path, {}).setdefault(_form(value), value)
    return {path: values for path, values in axes.items() if all(path in one for one in fields)}


def _table(
    fields: Sequence[dict[str, Any]],
    axes: dict[str, dict[str, Any]],
    short: dict[str, str],
    places: dict[tuple[str, ...], int],
) -> Layout:
    *others, last = axes
    columns = [f"{short[last]}\n{shown(value)}" for value in axes[last].values()]
    rows: dict[tuple[str, ...], list[int | None]] = {}
    sides = {}
    for one in sorted(fields, key=lambda one: [[*axes[path]].index(_form(one[path])) for path in others]):
        begin = _place(one, {path: axes[path] for path in others})
        if begin not in rows:
            rows[begin] = [places.get((*begin, form)) for form in axes[last]]
            sides[begin] = _label(one, others, short)
    return Layout([*rows.values()], columns, [*sides.values()], [])


def _place(one: dict[str, Any], axes: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_form(one[path]) for path in axes)


def _label(one: dict[str, Any], paths: Sequence[str], short: dict[str, str]) -> str:
    return "\n".join(f"{short[path]}: {shown(one[path])}" for path in paths if path in one)


def _form(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True, default=str)
