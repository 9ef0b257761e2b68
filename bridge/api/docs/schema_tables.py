"""Schemas of requests and answers as HTML tables, with what lies inside a field behind a button of its own row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]
# Levels that are shown inside one another; deeper ones are named only.
DEPTH = 5
# Values of an enumeration that are listed.
CHOICES = 12


def table(schema: Json, components: Json, inside: tuple[str, ...] = ()) -> Iterator[str]:
    """Write the fields of an object; `inside` are the components it is shown in."""
    full = resolved(schema, components)
    fields = full.get("properties", {})
    if not fields:
        yield f'<p class="soft">{escape(full.get("description") or "Nothing.")}</p>'
        return
    required = full.get("required", ())
    yield '<table class="fields"><tbody>'
    for name, field in fields.items():
        mark = "" if name in required else '<span class="soft"> optional</span>'
        yield f'<tr><th scope="row"><code>{escape(name)}</code>{mark}</th><td><code class="soft">'
        yield f"{escape(kind_of(field, components))}</code>{_limits(field)}"
        if field.get("description"):
            yield f"<p>{escape(field['description'])}</p>"
        yield from _inner(field, components, inside)
        yield "</td></tr>"
    yield "</tbody></table>"


def _inner(field: Json, components: Json, inside: tuple[str, ...]) -> Iterator[str]:
    for name in _named(field):
        if name in inside or len(inside) >= DEPTH or not components[name].get("properties"):
            continue
        yield f"<details><summary>{escape(name)}</summary>"
        yield from table(components[name], components, (*inside, name))
        yield "</details>"


def _named(schema: Json) -> list[str]:
    """Return the components that a field's value consists of, without those inside them."""
    if "$ref" in schema:
        return [schema["$ref"].rpartition("/")[2]]
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("prefixItems", ())]
    parts += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    return list(dict.fromkeys(name for part in parts for name in _named(part)))


def resolved(schema: Json, components: Json) -> Json:
    """Return the component that a schema refers to; any other schema as it is."""
    found: Json = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def kind_of(schema: Json, components: Json) -> str:
    """Return a schema's type on one line, in JSON's terms."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return name if components[name].get("properties") else kind_of(components[name], components)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(kind_of(choice, components) for choice in choices))
    if "const" in schema or "enum" in schema:
        words = [schema["const"]] if "const" in schema else schema["enum"]
        return " or ".join(map(json.dumps, words)) if len(words) <= CHOICES else "one of the error codes"
    if "prefixItems" in schema:
        return "[" + ", ".join(kind_of(item, components) for item in schema["prefixItems"]) + "]"
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}), components)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind_of(schema['additionalProperties'], components)}"
    return str(schema.get("type", "any"))


LIMITS = {
    "minimum": "at least {:,}",
    "exclusiveMinimum": "more than {:,}",
    "maximum": "at most {:,}",
    "maxLength": "at most {:,} characters",
    "maxItems": "at most {:,} items",
}


def _limits(schema: Json) -> str:
    """Return a field's default and bounds as HTML."""
    # The items of a fixed list are its type already.
    parts = [part for part in (schema, *schema.get("anyOf", ())) if "prefixItems" not in part]
    found = [text.format(part[key]) for part in parts for key, text in LIMITS.items() if key in part]
    if schema.get("default") is not None:
        found.insert(0, f"default {json.dumps(schema['default'])}")
    return f'<span class="soft"> · {escape("; ".join(found))}</span>' if found else ""
