"""The values of a sweep: a grid, which is a product of lists, or a list of variations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from ..common.errors import UiapiError
from ..protocol.inputs import Fields, pairs

# The writes of one variation, each [path, value].
Variation = list[list[Any]]
# The values of a sweep: {path: values}, or the fields of each variation.
Values = Mapping[str, Any] | Iterable[Fields]
# The most variations of a sweep; the server has the same limit.
MAX_VARIATIONS = 10_000


def grid_of(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns {path: list of values}; a single value, such as a text or a picture, becomes a list of one."""
    grid = {path: [*itertools.islice(_several(given), MAX_VARIATIONS + 1)] for path, given in values.items()}
    for path, given in grid.items():
        if not given:
            raise UiapiError("invalid", f"A sweep needs at least one value of {path}.")
    _check(math.prod(len(given) for given in grid.values()) if grid else 0)
    return grid


def listed(values: Iterable[Fields]) -> list[Variation]:
    """Returns the variations of a list."""
    variations = [pairs(one) for one in itertools.islice(values, MAX_VARIATIONS + 1)]
    _check(len(variations))
    return variations


def product(grid: Mapping[str, list[Any]]) -> list[Variation]:
    """Returns the variations of a grid; the values of the last path change fastest."""
    return [
        [[path, one] for path, one in zip(grid, values, strict=True)] for values in itertools.product(*grid.values())
    ]


def variations_of(values: Values) -> list[Variation]:
    """Returns every variation of a grid or a list. Raises UiapiError `invalid` for none or too many."""
    return product(grid_of(values)) if isinstance(values, Mapping) else listed(values)


def request_of(values: Values) -> dict[str, Any]:
    """Returns the parameters of the command `sweep` for a grid or a list; a grid sends each picture once."""
    return {"grid": grid_of(values)} if isinstance(values, Mapping) else {"variations": listed(values)}


def fields_at(request: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Returns the fields of one run of a sweep by the parameters of `sweep`; empty if they are not known."""
    index //= request.get("seeds") or 1
    if "variations" in request:
        return dict(request["variations"][index])
    fields = {}
    for path, values in reversed((request.get("grid") or {}).items()):
        index, at = divmod(index, len(values))
        fields[path] = values[at]
    return dict(reversed(fields.items()))


def _several(given: Any) -> Iterable[Any]:
    # A picture may be bytes, a path, or an array, which can be iterated over but is one value.
    single = isinstance(given, (str, bytes, bytearray, memoryview, Mapping, PurePath))
    if single or not isinstance(given, Iterable) or getattr(given, "ndim", 1) != 1:
        return [given]
    return given


def _check(count: int) -> None:
    if count == 0:
        raise UiapiError("invalid", "A sweep needs at least one variation.")
    if count > MAX_VARIATIONS:
        raise UiapiError("invalid", f"A sweep has at most {MAX_VARIATIONS} variations; split it into several.")
