"""The samples of the reference: a request of each command, in curl, Python and JavaScript.

The address is written as BASE, which the page's script replaces with the server's own.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

# ComfyUI's default address, which stands in every example.
BASE = "http://127.0.0.1:8188"

Json = dict[str, Any]


def sample(schema: Json, components: Json) -> Any:
    """Return the smallest value that fits a schema, with a placeholder for each field that is required."""
    if "$ref" in schema:
        return sample(components[schema["$ref"].rpartition("/")[2]], components)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema or "oneOf" in schema:
        return sample((schema.get("anyOf") or schema["oneOf"])[0], components)
    if "prefixItems" in schema:
        return [sample(item, components) for item in schema["prefixItems"]]
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: sample(fields[name], components) for name in schema.get("required", ()) if name in fields}
    if kind == "array":
        return [sample(schema["items"], components)] if schema.get("minItems") else []
    return {"string": "…", "integer": 1, "number": 1.0, "boolean": True}.get(str(kind))


def curl(method: str, path: str, sent: Json) -> str:
    """Return the request as a command of a POSIX shell."""
    if method == "GET":
        return f"curl {_quoted(BASE + path + _query(sent))}"
    return f"curl {BASE}{path} --json {_quoted(json.dumps(sent, ensure_ascii=False))}"


def python(name: str, sent: Json) -> str:
    """Return the request as a Python program that uses the client."""
    data = f", {_literal(sent)}" if sent else ""
    return f'from uiapi import Client\n\nwith Client("{BASE}") as client:\n    print(client.call("{name}"{data}))\n'


def javascript(method: str, path: str, sent: Json) -> str:
    """Return the request as a JavaScript module, for Node.js and for browsers."""
    if method == "GET":
        asked = f'const response = await fetch("{BASE}{path}{_query(sent)}");\n'
    else:
        body = json.dumps(sent, indent=2, ensure_ascii=False).replace("\n", "\n  ")
        asked = (
            f'const response = await fetch("{BASE}{path}", {{\n  method: "POST",\n'
            f'  headers: {{ "Content-Type": "application/json" }},\n  body: JSON.stringify({body}),\n}});\n'
        )
    return (
        f"{asked}const answer = await response.json();\n"
        'if (answer.status === "error") throw new Error(answer.error);\nconsole.log(answer);\n'
    )


def _query(sent: Json) -> str:
    return f"?{urlencode(sent)}" if sent else ""


def _quoted(text: str) -> str:
    """Quote a word for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _literal(value: Any) -> str:
    """Write decoded JSON as Python does, with double quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
