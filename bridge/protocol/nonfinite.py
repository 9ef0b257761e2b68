"""Reads NaN and Infinity in a workflow as null, as ComfyUI's page does; ComfyUI writes them into its pictures."""

from __future__ import annotations

import math
import sys
from typing import Any

from pydantic_core import from_json


def read_as_the_page_does(text: str | bytes) -> Any:
    """Parse JSON, with NaN and Infinity in the workflows of requests as null; returns None for any other invalid JSON.

    Outside a workflow they would be a value to write, and null would be a different value.
    """
    try:
        value = from_json(text)
    except ValueError:
        return None
    for request in value if isinstance(value, list) else [value]:
        # The body of an HTTP request, or a websocket frame with the request in `data`.
        for data in (request, request.get("data")) if isinstance(request, dict) else ():
            if isinstance(data, dict) and "workflow" in data:
                data["workflow"] = finite(data["workflow"])
    return value if is_finite(value) else None


def finite(value: Any) -> Any:
    """Return decoded JSON with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value if is_finite(value) else None


def is_finite(value: Any) -> bool:
    """Whether all numbers in decoded JSON are finite."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def fits_page(value: Any) -> bool:
    """Whether the page can read all numbers in decoded JSON: larger ones, such as 1e400, would become null there."""
    if isinstance(value, dict):
        return all(map(fits_page, value.values()))
    if isinstance(value, list):
        return all(map(fits_page, value))
    return not isinstance(value, (int, float)) or -sys.float_info.max <= value <= sys.float_info.max
