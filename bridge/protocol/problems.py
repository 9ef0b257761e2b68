"""The error for a request that is not what its command takes, with the problems of each field."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ...common.errors import UiapiError

# Problems with one request that are reported, and characters of a field's name in each.
MAX_PROBLEMS = 20
MAX_FIELD = 200


def refusal(name: str, error: ValidationError) -> UiapiError:
    """Return the error for an invalid request of the command `name`."""
    problems = [
        {"field": ".".join(str(part)[:MAX_FIELD] for part in item["loc"]), "message": _message(item)}
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_PROBLEMS]
    ]
    first = problems[0]
    where = first["field"] or "request"
    details: dict[str, Any] = {"problems": problems}
    if error.error_count() > MAX_PROBLEMS:
        details["problems_total"] = error.error_count()
    return UiapiError("invalid", f"{name}: {where}: {first['message']}.", details)


def _message(item: Any) -> str:
    """Return the message of a problem; those of our own checks without the words that pydantic puts before them."""
    message: str = item["msg"]
    return message.removeprefix("Value error, ") if item["type"] == "value_error" else message


def kind_of(value: Any) -> str:
    """Return what a decoded JSON value is, with its article."""
    if value is None:
        return "null"
    words = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return words.get(type(value), type(value).__name__)
