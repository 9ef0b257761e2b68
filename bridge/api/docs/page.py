"""The HTML reference of all commands at /uiapi/docs, generated from the OpenAPI document.

It is a single file with its style and script inside, so that it works offline and under ComfyUI's content security
policy. Without the script it is still the whole reference; search, the server's own address in the examples and the
requests to try out need it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ...protocol.command_spec import COMMANDS, STEERING_KEYS, Command, Kind, Risk
from ..openapi import document
from .samples import curl, javascript, python, sample
from .schema_tables import Json, resolved, table
from .topics import TOPICS

RISKS = {
    Risk.READ: "reads only",
    Risk.DRIVE: "changes or runs the open graph",
    Risk.WRITE_DISK: "needs loopback or a token",
}
LANGUAGES = ("curl", "Python", "JavaScript")


@cache
def page() -> str:
    """Return the page as HTML."""
    return "".join(_page(document()))


def _page(doc: Json) -> Iterator[str]:
    title, version = escape(doc["info"]["title"]), escape(doc["info"]["version"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} commands</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Otherwise the browser would request one, which ComfyUI does not have.
    yield f'<link rel="icon" href="data:,"><style>{_part("page.css")}</style></head><body>'
    yield '<a class="skip" href="#main">Skip to the commands</a>'
    yield f'<header><h1>{title} <span class="soft">{version}</span></h1>'
    yield '<form id="access" class="script" hidden><label>Token <input id="token" type="password" autocomplete="off" '
    yield 'placeholder="if the server needs one"></label></form><a href="openapi.json">openapi.json</a></header>'
    yield from _navigation()
    yield f'<main id="main" tabindex="-1"><p>{escape(doc["info"]["description"])}</p>'
    for topic, names in TOPICS.items():
        yield f"<h2>{escape(topic)}</h2>"
        for name in names:
            yield from _command(doc, COMMANDS[name])
    yield '<h2 id="every-command">Parameters of every command</h2>'
    yield from table(_steering(doc), doc["components"]["schemas"])
    yield '<h2 id="errors">Errors</h2><p>Every error has this form; branch on <code>code</code>.</p>'
    yield from table(doc["components"]["schemas"]["Error"], doc["components"]["schemas"])
    yield f'</main><script type="module">{_part("page.js")}</script></body></html>\n'


def _part(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _navigation() -> Iterator[str]:
    yield '<nav aria-label="Commands"><search class="script" hidden>'
    yield '<input id="search" type="search" placeholder="Search ( / )" '
    yield 'aria-label="Search commands, fields and error codes"><p id="found" role="status" class="soft"></p></search>'
    for topic, names in TOPICS.items():
        yield f"<section><h2>{escape(topic)}</h2><ul>"
        for name in names:
            yield f'<li><a href="#{name}">{name}</a></li>'
        yield "</ul></section>"
    yield '<section><h2>For all</h2><ul><li><a href="#every-command">Parameters of every command</a></li>'
    yield '<li><a href="#errors">Errors</a></li></ul></section></nav>'


def _command(doc: Json, command: Command) -> Iterator[str]:
    components = doc["components"]["schemas"]
    path, operation = _operation(doc, command)
    asked = _asked(operation, components)
    own = {**asked, "properties": {name: asked["properties"][name] for name in command.own_fields}}
    sent, answer = _example(command, operation, own, components)
    yield f'<article id="{command.name}" data-method="{command.method}" data-path="{escape(path)}">'
    yield f'<h3><span class="method">{command.method}</span> <code>{escape(path)}</code></h3>'
    yield f"<p>{escape(command.doc)}</p><p>{''.join(_badges(command))}</p>"
    yield '<div class="columns"><div>'
    if own["properties"]:
        yield "<h4>Request</h4>"
        yield from table(own, components)
    yield "<h4>Answer</h4>"
    yield from table(operation["responses"]["200"]["content"]["application/json"]["schema"], components)
    yield "<h4>Errors</h4><table><tbody>"
    for status, response in operation["responses"].items():
        if status != "200":
            yield f'<tr><th scope="row">{status}</th><td><code>{escape(response["description"])}</code></td></tr>'
    yield '</tbody></table></div><div class="aside">'
    yield from _examples(command, path, sent, answer)
    yield from _try_out(command, own, sent)
    yield "</div></div></article>"


def _badges(command: Command) -> Iterator[str]:
    yield f'<span class="badge">{escape(RISKS[command.risk])}</span>'
    if command.kind is not Kind.TALK:
        yield f' <span class="badge">the person\'s rule: {escape(command.kind.value)}</span>'


def _operation(doc: Json, command: Command) -> tuple[str, Json]:
    for path, verbs in doc["paths"].items():
        for operation in verbs.values():
            if operation["operationId"] == command.name:
                return path, operation
    raise LookupError(f"{command.name} is not in the OpenAPI document")


def _asked(operation: Json, components: Json) -> Json:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        return resolved(body["schema"], components)
    parameters = operation["parameters"]
    return {
        "properties": {one["name"]: {**one["schema"], "description": one.get("description", "")} for one in parameters},
        "required": [one["name"] for one in parameters if one["required"]],
    }


def _example(command: Command, operation: Json, own: Json, components: Json) -> tuple[Json, Any]:
    """Return the declared example and its answer, or the smallest request and None."""
    if command.example is not None:
        return command.example[0], operation["responses"]["200"]["content"]["application/json"]["example"]
    return sample({"type": "object", **own}, components), None


def _examples(command: Command, path: str, sent: Json, answer: Any) -> Iterator[str]:
    texts = (
        curl(command.method, path, sent),
        python(command.name, sent),
        javascript(command.method, path, sent),
    )
    yield '<h4>Example</h4><div class="languages script" hidden>'
    for language in LANGUAGES:
        yield f'<button type="button" data-show="{language}">{language}</button>'
    yield '<button type="button" class="copy">Copy</button></div>'
    for language, text in zip(LANGUAGES, texts, strict=True):
        yield f'<pre tabindex="0" aria-label="{language}" data-language="{language}">{escape(text)}</pre>'
    if answer is not None:
        yield f'<h4>Its answer</h4><pre tabindex="0" aria-label="Answer">{escape(json.dumps(answer, indent=2))}</pre>'


def _try_out(command: Command, own: Json, sent: Json) -> Iterator[str]:
    yield '<form class="script" hidden><h4>Try it on this server</h4>'
    if command.method == "GET":
        for name in own["properties"]:
            needed = " required" if name in own["required"] else ""
            yield f'<label>{escape(name)} <input name="{escape(name)}"{needed}></label>'
    else:
        text = json.dumps(sent, indent=2, ensure_ascii=False)
        rows = min(12, text.count("\n") + 2)
        yield f'<label>Body <textarea name="body" rows="{rows}" spellcheck="false">{escape(text)}</textarea></label>'
    yield '<p><button>Send</button> <button type="button" class="stop" disabled>Stop</button></p>'
    yield '<p class="outcome soft" role="status"></p><pre class="answer" tabindex="0" aria-label="Answer" hidden></pre>'
    yield "</form>"


def _steering(doc: Json) -> Json:
    request = doc["components"]["schemas"]["Request"]
    return {"properties": {key: value for key, value in request["properties"].items() if key in STEERING_KEYS}}
