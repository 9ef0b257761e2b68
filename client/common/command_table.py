"""The table of the server's commands and errors that the package carries, and a callable for each command.

commands.json is written from the server's declarations (`python3 dev.py generate` in a checkout).
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
    """One command: where it is asked for, how long it may take in seconds, and its request's JSON schema.

    `flat` ones answer beside `status` instead of under `response`; `risk` is read, drive or write-disk; `own` are its
    parameters beside those of every command; `older` are spellings of them that are still taken, {older: name}.
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
        """Parameters with their older spellings replaced."""
        return {self.older.get(name, name): value for name, value in data.items()}


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files(__package__).joinpath("commands.json").read_text("utf-8"))
    return table


@cache
def routes() -> dict[str, Route]:
    """Every command this client knows, by name."""
    return {name: Route(name=name, **entry) for name, entry in _table()["commands"].items()}


@cache
def route(name: str) -> Route:
    """The command of that name; one that a newer server may have is taken to be like most of them."""
    known = routes().get(name)
    nothing: dict[str, Any] = {"properties": {}, "required": []}
    return known or Route(name, "", "POST", f"/uiapi/{name}", False, "drive", 300.0, [], nothing)


def version() -> str:
    """The version of this package."""
    return str(_table()["version"])


def error_codes() -> dict[str, int]:
    """The HTTP status of every error code."""
    codes: dict[str, int] = _table()["errors"]
    return codes


def batchable() -> list[str]:
    """The commands that a batch may hold."""
    names: list[str] = _table()["batchable"]
    return names


def component(name: str) -> dict[str, Any]:
    """A schema that others refer to by name."""
    schema: dict[str, Any] = _table()["components"][name]
    return schema


def bound(known: Route, call: Callable[[str, dict[str, Any]], Any]) -> Callable[..., Any]:
    """The command as a function of its parameters that passes its name and what was given on to `call`.

    What it requires is taken by position or name, the rest by name; None leaves a parameter out. Raises TypeError
    for a parameter that it does not have.
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
