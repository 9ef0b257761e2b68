"""The HTML reference of all commands at /uiapi/docs, generated from the OpenAPI document.

It is a single file without scripts, pictures or external resources, so that it works offline and under any content
security policy of ComfyUI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from ..protocol.command_spec import COMMANDS, STEERING_KEYS
from .openapi import document

STYLE = """
:root { color-scheme: light dark; --soft: color-mix(in srgb, currentColor 60%, transparent);
  --line: color-mix(in srgb, currentColor 18%, transparent); --field: color-mix(in srgb, currentColor 6%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem } h3 { margin: 1rem 0 .3rem; font-size: 1rem }
code, pre { font: .875rem/1.5 ui-monospace, monospace }
pre { background: var(--field); padding: .8rem; overflow-x: auto; border-radius: .4rem; white-space: pre-wrap }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer } summary code { font-weight: 600 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-top: 1px solid var(--line) }
.soft { color: var(--soft) }
"""


@cache
def page() -> str:
    """Return the page as HTML."""
    return "".join(_page(document()))


def _page(doc: dict[str, Any]) -> Iterator[str]:
    title = escape(doc["info"]["title"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Otherwise the browser would request one, which ComfyUI does not have.
    yield '<link rel="icon" href="data:,">'
    yield f"<style>{STYLE}</style></head><body><h1>{title} {escape(doc['info']['version'])}</h1>"
    yield f"<p>{escape(doc['info']['description'])}</p>"
    yield '<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
    operations = [(path, method, item) for path, verbs in doc["paths"].items() for method, item in verbs.items()]
    for tag in doc["tags"]:
        chosen = [operation for operation in operations if tag["name"] in operation[2]["tags"]]
        if chosen:
            yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
        for operation in chosen:
            yield from _operation(doc, *operation)
    yield "<h2>Parameters of every command</h2>"
    yield from _table(doc, _steering(doc))
    yield "<h2>Errors</h2><p>Every error has this form; branch on <code>code</code>.</p>"
    yield from _table(doc, doc["components"]["schemas"]["Error"])
    yield "</body></html>\n"


def _operation(doc: dict[str, Any], path: str, method: str, item: dict[str, Any]) -> Iterator[str]:
    name = escape(item["operationId"])
    yield f'<details id="{name}"><summary><code>{method.upper()} {escape(path)}</code> '
    yield f"{escape(item['summary'])}</summary>"
    body = item.get("requestBody", {}).get("content", {}).get("application/json", {})
    answer = item["responses"]["200"]["content"]["application/json"]
    asked = _resolve(doc, body["schema"]) if body else _as_schema(item["parameters"])
    own = COMMANDS[item["operationId"]].own_fields
    asked = {**asked, "properties": {name: asked["properties"][name] for name in own}}
    if own:
        yield "<h3>Request</h3>"
        yield from _table(doc, asked)
    yield "<h3>Answer</h3>"
    yield from _table(doc, answer["schema"])
    if "example" in body:
        sent = json.dumps(body["example"])
        yield f"<h3>Example</h3><pre>curl http://127.0.0.1:8188{escape(path)} --json {escape(_quoted(sent))}</pre>"
        yield f"<pre>{escape(json.dumps(answer['example'], indent=2))}</pre>"
    yield "<h3>Errors</h3><table>"
    for status, response in item["responses"].items():
        if status != "200":
            yield f"<tr><td>{status}</td><td><code>{escape(response['description'])}</code></td></tr>"
    yield "</table></details>"


def _quoted(text: str) -> str:
    """Quote a word for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _as_schema(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "properties": {one["name"]: {**one["schema"], "description": one.get("description", "")} for one in parameters},
        "required": [one["name"] for one in parameters if one["required"]],
    }


def _steering(doc: dict[str, Any]) -> dict[str, Any]:
    request = doc["components"]["schemas"]["Request"]
    return {"properties": {key: value for key, value in request["properties"].items() if key in STEERING_KEYS}}


def _table(doc: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    full = _resolve(doc, schema)
    required = full.get("required", ())
    yield "<table>"
    for name, field in full.get("properties", {}).items():
        mark = "" if name in required else ' <span class="soft">optional</span>'
        yield f"<tr><td><code>{escape(name)}</code>{mark}</td>"
        yield f'<td class="soft">{escape(_type(doc, field))}</td><td>{escape(field.get("description", ""))}</td></tr>'
    yield "</table>"


def _resolve(doc: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    resolved: dict[str, Any] = doc["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema
    return resolved


def _type(doc: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return a schema's type on one line, in JSON's terms."""
    if "$ref" in schema:
        full = _resolve(doc, schema)
        return "{" + ", ".join(full["properties"]) + "}" if full.get("properties") else "object"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(doc, choice) for choice in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        words = [schema["const"]] if "const" in schema else schema["enum"]
        return " or ".join(json.dumps(word) for word in words) if len(words) <= 6 else "one of the codes"
    if "prefixItems" in schema:
        return "[" + ", ".join(_type(doc, item) for item in schema["prefixItems"]) + "]"
    if schema.get("type") == "array":
        return f"list of {_type(doc, schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(doc, schema['additionalProperties'])}"
    return str(schema.get("type", "any"))
