"""The table of the server's commands and error codes, and a callable for each command.

commands.json is generated from the server's declarations (`python3 dev.py generate` in a checkout).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Route:
    """One command: its HTTP method and path, its time-out in seconds, and the JSON schema of its request.

    `flat` commands return their values next to `status` instead of under `response`; `risk` is read, drive or
    write-disk; `own` lists the parameters that are not common to all commands; `older` maps older spellings of
    parameters, which are still accepted, to their names.
    """

    name: str
    doc: str
    method: str
    path: str
    flat: bool
    risk: str
    timeout: float
    own: list[str]
    request: dict[str, Any]
    older: dict[str, str] = field(default_factory=dict)

    def renamed(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters with older spellings replaced."""
        return {self.older.get(name, name): value for name, value in data.items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files(__package__).joinpath("commands.json").read_text("utf-8"))
    return table


@cache
def routes() -> dict[str, Route]:
    """Returns every command this client knows, by name."""
    return {name: Route(name=name, **entry) for name, entry in _table()["commands"].items()}


@cache
def route(name: str) -> Route:
    """Returns the command of that name; an unknown one, which a newer server may have, gets default values."""
    known = routes().get(name)
    nothing: dict[str, Any] = {"properties": {}, "required": []}
    return known or Route(name, "", "POST", f"/uiapi/{name}", False, "drive", 300.0, [], nothing)


def version() -> str:
    """Returns the version of this package."""
    return str(_table()["version"])


def error_codes() -> dict[str, int]:
    """Returns the HTTP status of every error code."""
    codes: dict[str, int] = _table()["errors"]
    return codes


def batchable() -> list[str]:
    """Returns the commands that a batch may contain."""
    names: list[str] = _table()["batchable"]
    return names


def event_names() -> list[str]:
    """Returns the names of all events that this client knows."""
    names: list[str] = _table()["events"]
    return names


def component(name: str) -> dict[str, Any]:
    """Returns the schema of this name, which other schemas refer to."""
    schema: dict[str, Any] = _table()["components"][name]
    return schema


def bound(known: Route, call: Callable[[str, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Returns the command as a function that passes its name and parameters to `call`.

    Required parameters are accepted by position or name, the others by name; None omits a parameter. The function
    raises TypeError for an unknown parameter.
    """

    def method(*positional: Any, **named: Any) -> Any:
        return call(known.name, _data(known, positional, named))

    method.__name__ = method.__qualname__ = known.name
    method.__doc__ = _help(known)
    return method


def _data(known: Route, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    required = known.request["required"]
    if len(positional) > len(required):
        raise TypeError(f"{known.name}() takes {', '.join(required) or 'nothing'} by position; name the rest")
    data = dict(zip(required, positional, strict=False))
    for given, value in named.items():
        name = known.older.get(given, given)
        if name in data or name not in known.request["properties"]:
            why = "is given twice" if name in data else "is not one of its parameters"
            raise TypeError(f"{known.name}(): {given} {why}; it takes {', '.join(known.request['properties'])}")
        data[name] = value
    missing = [name for name in required if name not in data]
    if missing:
        raise TypeError(f"{known.name}() needs {', '.join(missing)}")
    return {name: value for name, value in data.items() if value is not None or name in required}


def _help(known: Route) -> str:
    lines = [known.doc, ""]
    for name, schema in known.request["properties"].items():
        need = "" if name in known.request["required"] else " (optional)"
        lines.append(f"{name}{need}: {schema.get('description', '')}".rstrip(": "))
    return "\n".join(lines)
