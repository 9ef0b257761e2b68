"""NaN and Infinity in a workflow: ComfyUI writes them into its pictures, JSON lacks them, and the page reads null."""

from __future__ import annotations

import math
from typing import Any

from pydantic_core import from_json


def read_as_the_page_does(text: str | bytes) -> Any:
    """JSON with NaN and Infinity in the workflows of requests, as null; None for what is no such JSON.

    Elsewhere they stand for a value that somebody asks for, and null would be another one.
    """
    try:
        value = from_json(text)
    except ValueError:
        return None
    for request in value if isinstance(value, list) else [value]:
        # A request over HTTP, or the frame of one.
        for data in (request, request.get("data")) if isinstance(request, dict) else ():
            if isinstance(data, dict) and "workflow" in data:
                data["workflow"] = finite(data["workflow"])
    return value if is_finite(value) else None


def finite(value: Any) -> Any:
    """A value of JSON with None for every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value if is_finite(value) else None


def is_finite(value: Any) -> bool:
    """Whether all numbers in a value of JSON are finite."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
