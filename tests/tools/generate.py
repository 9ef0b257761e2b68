"""Writes what the installed client knows of the server: its table of commands and the types of their methods.

Both are made from the declarations in bridge/ and downloads/ (`python3 dev.py generate`), and a test holds them
equal, so that a command is described in one place although the client is installed without the server. `Client` is
made along with them, from `AsyncClient`, and the version in the code is copied from pyproject.toml.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomllib

from ... import server  # noqa: F401 - importing declares every command
from ...bridge.api.openapi import REFERENCE, document, document_path
from ...bridge.commands.editing import BATCHABLE
from ...bridge.protocol.command_spec import COMMANDS, Command, Request
from ...common.errors import STATUS
from . import unasync

ROOT = Path(__file__).resolve().parents[2]
COMMON = ROOT / "client" / "common"
TABLE, STUB = COMMON / "commands.json", COMMON / "commands.pyi"
SERVER_VERSION = ROOT / "common" / "version.py"
# What every request may hold for the sake of older clients.
LEGACY = {"client_id", "verbose"}
# What a caller of a method may say beside the command's own parameters.
STEERING = [name for name in Request.model_fields if name not in LEGACY]

HEADER = '''"""The types of commands.py, a method for each command, as `python3 dev.py generate` writes them."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict
'''


def main() -> None:
    """Write every file that is made."""
    TABLE.write_text(table())
    STUB.write_text(stub())
    unasync.MADE.write_text(unasync.made())
    SERVER_VERSION.write_text(server_version())


def version() -> str:
    """The version that pyproject.toml gives this package; the one place it is written by hand."""
    project: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["version"]


def server_version() -> str:
    """common/version.py with that version."""
    return re.sub(r'(?m)^VERSION = ".*"$', f'VERSION = "{version()}"', SERVER_VERSION.read_text())


def table() -> str:
    """The table, as JSON."""
    commands = {command.name: _entry(command) for command in _declared()}
    errors = dict(sorted(STATUS.items()))
    components = document()["components"]["schemas"]
    needed = {name: components[name] for name in sorted(_references(commands, components))}
    whole = {
        "version": version(),
        "errors": errors,
        "commands": commands,
        "batchable": sorted(BATCHABLE),
        "components": needed,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def stub() -> str:
    """The types, as a Python stub file."""
    types = Types(document()["components"]["schemas"])
    signatures = [(command, *_signature(command, types)) for command in _declared()]
    lines = [HEADER, *types.classes()]
    for name, define, called in (("Commands", "def", "Any"), ("AsyncCommands", "async def", "Awaitable[Any]")):
        lines.append(f"class {name}:")
        lines.append(f"    def __init__(self, call: Callable[[str, dict[str, Any]], {called}]) -> None: ...")
        for command, parameters, answer in signatures:
            lines.append(f"    {define} {command.name}(")
            lines += [f"        {parameter}," for parameter in parameters]
            lines += [f"    ) -> {answer}:", f"        {_quoted(command.doc)}", ""]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _declared() -> list[Command]:
    return [command for command in COMMANDS.values() if command.route]


def _entry(command: Command) -> dict[str, Any]:
    return {
        "doc": command.doc,
        "method": command.method,
        "path": document_path(command),
        "flat": command.flat,
        "risk": command.risk.value,
        "timeout": command.timeout,
        "own": command.own_fields,
        "request": _request(command),
        **({"older": dict(command.request.older)} if command.request.older else {}),
    }


def _request(command: Command) -> dict[str, Any]:
    """The schema of what a caller may send, required parameters first."""
    operation = document()["paths"][document_path(command)][command.method.lower()]
    if command.method == "GET":
        parameters = operation.get("parameters", [])
        schema: dict[str, Any] = {
            "properties": {
                one["name"]: {**one["schema"], **({"description": one["description"]} if "description" in one else {})}
                for one in parameters
            },
            "required": [one["name"] for one in parameters if one["required"]],
        }
    else:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = document()["components"]["schemas"][reference.rpartition("/")[2]]
    names = [*command.own_fields]
    if "no_webui" in command.codes:
        names += [name for name in STEERING if name not in names]
    required = schema.get("required", [])
    names.sort(key=lambda name: (name in STEERING, name not in required))
    return {"properties": {name: schema["properties"][name] for name in names}, "required": required}


def _references(part: Any, components: dict[str, Any]) -> set[str]:
    """The components that a part refers to, at any depth."""
    found: set[str] = set()
    left = [part]
    while left:
        for name in re.findall(REFERENCE.format(model=r"(\w+)"), json.dumps(left.pop())):
            if name not in found:
                found.add(name)
                left.append(components[name])
    return found


def _signature(command: Command, types: Types) -> tuple[list[str], str]:
    """A method's parameters and the type of its answer."""
    request = _request(command)
    required = {name: types.of(request["properties"][name], "Sequence") for name in request["required"]}
    parameters = ["self", *(f"{name}: {text}" for name, text in required.items())]
    optional = {name: schema for name, schema in request["properties"].items() if name not in required}
    if optional:
        parameters.append("*")
    for name, schema in optional.items():
        text = types.of(schema, "Sequence")
        takes_none = text == "Any" or text.endswith(" | None")
        parameters.append(f"{name}: {text if takes_none else f'{text} | None'} = ...")
    answers = document()["paths"][document_path(command)][command.method.lower()]["responses"]["200"]
    answer = answers["content"]["application/json"]["schema"]
    if not command.flat:
        answer = types.components[_name(answer)]["properties"]["response"]
    return parameters, types.of(answer)


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _quoted(text: str) -> str:
    return '"""' + text.replace("\\", "\\\\") + '"""'


class Types:
    """JSON schemas as Python annotations.

    Args:
        components: the schemas that others refer to by name.
    """

    def __init__(self, components: dict[str, Any]) -> None:
        self.components = components
        self._wanted: dict[str, None] = {}

    def of(self, schema: dict[str, Any], sequence: str = "list") -> str:
        """The annotation for a schema; arrays as `sequence`. Objects with known keys become classes."""
        if "$ref" in schema:
            return self._class(_name(schema))
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self.of(choice, sequence) for choice in schema["anyOf"]))
        if "const" in schema or "enum" in schema:
            words = [schema["const"]] if "const" in schema else schema["enum"]
            return f"Literal[{', '.join(json.dumps(word) for word in words)}]"
        kind = schema.get("type")
        if kind == "array":
            # A pair has no type of its own here: a caller may send a list or a tuple.
            inner = "Any" if "prefixItems" in schema else self.of(schema.get("items", {}), sequence)
            return f"{sequence}[{inner}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self.of(values, sequence) if isinstance(values, dict) else 'Any'}]"
        simple = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
        return simple.get(str(kind), "Any")

    def _class(self, name: str) -> str:
        schema = self.components[name]
        if schema.get("properties"):
            self._wanted[name] = None
            return name
        return self.of({key: value for key, value in schema.items() if key != "$ref"})

    def classes(self) -> Iterator[str]:
        """A TypedDict for every object that an annotation named, and for what these name in turn."""
        written: set[str] = set()
        while left := [name for name in self._wanted if name not in written]:
            for name in left:
                written.add(name)
                yield self._typed_dict(name, self.components[name])

    def _typed_dict(self, name: str, schema: dict[str, Any]) -> str:
        required = schema.get("required", ())
        fields = {
            key: self.of(field) if key in required else f"NotRequired[{self.of(field)}]"
            for key, field in schema["properties"].items()
        }
        if all(key.isidentifier() and not keyword.iskeyword(key) for key in fields):
            return "\n".join([f"class {name}(TypedDict):", *(f"    {key}: {text}" for key, text in fields.items()), ""])
        pairs = [f"        {json.dumps(key)}: {text}," for key, text in fields.items()]
        return "\n".join([f"{name} = TypedDict(", f'    "{name}",', "    {", *pairs, "    },", ")", ""])
