"""Encodes and decodes the JSON of websocket frames and HTTP bodies, within limits."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json, to_json

from ...common.errors import UiapiError
from ...common.garbage import no_collection
from .nonfinite import read_as_the_page_does

# The largest frame or body in bytes, in both directions; a 4K image as base64 fits.
MAX_FRAME = 64 * 1024 * 1024


# Values in one frame or body. A picture is one value whatever its size, and a workflow of two thousand nodes has two
# hundred thousand. Decoding JSON with many more would block ComfyUI's loop for seconds.
MAX_VALUES = 1_000_000


def encode(value: Any) -> bytes:
    """Encode a value as JSON; what JSON cannot express, such as a tensor in an error event, becomes its text."""
    try:
        return to_json(value, fallback=str, inf_nan_mode="null")
    except ValueError:
        # Text that is not valid Unicode, such as a file name from another system.
        plain = json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=lambda word: None)
        return json.dumps(plain).encode()


def encode_event(event: str, data: dict[str, Any]) -> bytes:
    """Encode the frame of an event as JSON."""
    return encode({"type": "event", "event": event, "data": data})


def decode_object(text: str | bytes) -> dict[str, Any]:
    """Decode a JSON object. NaN and Infinity, which JSON does not have, become null in a workflow and are refused
    elsewhere.

    Raises UiapiError `malformed`.
    """
    value = _decode(text)
    if not isinstance(value, dict):
        raise UiapiError("malformed", "Send a JSON object.")
    return value


def decode_objects(text: str | bytes) -> list[dict[str, Any]]:
    """Decode a JSON object or an array of objects; otherwise as `decode_object`."""
    value = _decode(text)
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(value, dict) for value in values):
        raise UiapiError("malformed", "Send a JSON object.")
    return values


def _decode(text: str | bytes) -> Any:
    commas = text.count(b",") if isinstance(text, bytes) else text.count(",")
    if commas >= MAX_VALUES:
        raise UiapiError("too_large", f"A request may have at most {MAX_VALUES:,} values; send it in parts.")
    with no_collection():
        try:
            return from_json(text, allow_inf_nan=False)
        except ValueError as error:
            value = read_as_the_page_does(text)
            if value is None:
                raise UiapiError("malformed", f"Send valid JSON: {error}.") from None
            return value
