"""The OpenAPI 3.1 document of every command, made from the declarations alone and served at /uiapi/openapi.json.

Format: https://spec.openapis.org/oas/v3.1.0; schemas are JSON Schema 2020-12, as pydantic writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from ...common.errors import STATUS
from ...common.version import VERSION
from ..protocol.command_spec import COMMANDS, Command, Risk
from ..protocol.schemas import Told

REFERENCE = "#/components/schemas/{model}"
DESCRIPTION = (
    "Reads, changes and runs the workflow that is open in ComfyUI's browser tab. Every command can also be sent over "
    "the websocket /uiapi/ws, as {type: request, id, command, data}; the answers are the same. The project's docs/ "
    "describe field paths, the websocket and what to do about each error."
)
RISKS = {
    Risk.READ: "Reads only.",
    Risk.DRIVE: "Changes or runs the open graph, as the person at the browser could.",
    Risk.WRITE_DISK: "Writes to the disk of the server; needs loopback or a token.",
}


class Schemas(GenerateJsonSchema):
    """Without titles that only repeat a field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """See GenerateJsonSchema."""
        return False


@cache
def document_text() -> str:
    """The document as it is served."""
    return json.dumps(document(), indent=1)


@cache
def document() -> dict[str, Any]:
    """The document, as decoded JSON; not to be changed. Takes some 100 ms the first time."""
    commands = [command for command in COMMANDS.values() if command.route]
    schemas, components = _schemas(commands)
    components["Error"] = _error_schema()
    paths: dict[str, Any] = {}
    for command in commands:
        place = paths.setdefault(document_path(command), {})
        place[command.method.lower()] = _operation(command, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ComfyUI-uiapi",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": risk.value, "description": text} for risk, text in RISKS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The operator's UIAPI_TOKEN, if any."}
            },
        },
    }


def document_path(command: Command) -> str:
    """Where a command is, with its parameters as {name}."""
    return "/uiapi/" + re.sub(r"{(\w+):[^}]*}", r"{\1}", command.path)


def _schemas(commands: list[Command]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Request and response schemas by (command, "request" or "response"), and the components they refer to."""
    wanted: list[Any] = []
    for command in commands:
        wanted.append(((command.name, "request"), "validation", TypeAdapter(command.request)))
        # As validated: what a model may leave out is left out of plain data too.
        wanted.append(((command.name, "response"), "validation", TypeAdapter(command.response)))
    wanted.append((("", ""), "validation", TypeAdapter(dict[str, Told])))
    found, rest = TypeAdapter.json_schemas(wanted, ref_template=REFERENCE, schema_generator=Schemas)
    return {key: schema for (key, _), schema in found.items()}, dict(rest.get("$defs", {}))


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Any refusal or failure.",
        "properties": {
            "status": {"const": "error"},
            "error": {"type": "string", "description": "One sentence that says what to do."},
            "code": {"type": "string", "enum": list(STATUS), "description": "What to branch on."},
            "details": {"type": "object", "description": "Facts for programs: candidates, limits, node errors."},
        },
        "required": ["status", "error", "code"],
    }


def _operation(command: Command, schemas: dict[tuple[str, str], Any], components: dict[str, Any]) -> dict[str, Any]:
    request = schemas[command.name, "request"]
    operation: dict[str, Any] = {
        "operationId": command.name,
        "summary": command.doc,
        "tags": [command.risk.value],
        "responses": {"200": _answer(command, schemas[command.name, "response"], components), **_errors(command)},
    }
    if command.method == "GET":
        operation["parameters"] = [*_parameters(command, _resolved(request, components))]
    else:
        media: dict[str, Any] = {"schema": request}
        if command.example is not None:
            media["example"] = command.example[0]
        needed = bool(_resolved(request, components).get("required"))
        operation["requestBody"] = {"required": needed, "content": {"application/json": media}}
    return operation


def _answer(command: Command, schema: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The answer with its envelope, as a component of its own, since generated clients name their classes by it."""
    ok = {"const": "ok"}
    if command.flat:
        inner = _resolved(schema, components)
        properties = {"status": ok, **inner.get("properties", {})}
        required = ["status", *(key for key in inner.get("required", ()) if key != "status")]
    else:
        properties, required = {"status": ok, "response": schema}, ["status", "response"]
    if "no_webui" in command.codes:
        properties = {**properties, **components["Told"]["properties"]}
    envelope = {"type": "object", "properties": properties, "required": required}
    name = "".join(word.capitalize() for word in command.name.split("_")) + "Answer"
    components[name] = envelope
    media: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model=name)}}
    if command.example is not None:
        answer = command.example[1]
        media["example"] = {"status": "ok", **answer} if command.flat else {"status": "ok", "response": answer}
    return {"description": "Done.", "content": {"application/json": media}}


def _errors(command: Command) -> dict[str, Any]:
    codes: dict[int, list[str]] = {}
    for code in sorted(command.codes):
        codes.setdefault(STATUS[code], []).append(code)
    # One schema for all: a generated client would make a class of each that says which codes it is for.
    content = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}}
    return {
        str(status): {"description": ", ".join(names), "content": content} for status, names in sorted(codes.items())
    }


def _parameters(command: Command, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    in_path = re.findall(r"{(\w+)", command.path)
    for name, schema in request.get("properties", {}).items():
        place = "path" if name in in_path else "query"
        described = {key: value for key, value in schema.items() if key != "description"}
        parameter = {"name": name, "in": place, "required": name in in_path, "schema": _without_null(described)}
        if "description" in schema:
            parameter["description"] = schema["description"]
        yield parameter


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query can leave a parameter out, but not send null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default") or value is not None}
    if not choices:
        return rest
    rest.pop("anyOf")
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """A schema that may be a mere reference, as what it refers to."""
    reference = schema.get("$ref")
    resolved: dict[str, Any] = components[reference.rpartition("/")[2]] if reference else schema
    return resolved
