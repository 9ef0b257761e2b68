"""The tools for agents: the commands that are offered, their parameters, and the form of their results.

Parameters come from the declarations of the commands; only the advice on when to use a tool is written here.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..async_client import AsyncClient
from ..common.command_table import batchable, component, route
from ..common.errors import UiapiError
from ..common.results import not_fetched, run_of

# Nodes that query_fields returns without a limit.
PAGE = 40
# The most pictures in a result, and their longest side in pixels if Pillow is installed to scale them.
MAX_PICTURES, MAX_SIDE = 4, 1024
# The most characters of text in a result, so that it fits an agent's context.
MAX_TEXT = 40_000
# The picture formats that agents accept: file suffixes, and the first bytes with their media type.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_KINDS = {
    rb"\x89PNG": "image/png",
    rb"\xff\xd8": "image/jpeg",
    rb"GIF8": "image/gif",
    rb"RIFF.{4}WEBP": "image/webp",
}
_UNSEEN = "One of the files cannot be shown here as a picture; the person can see it in the browser."
# Common parameters that agents may use in addition to those of each command.
STEERING = ("if_revision",)

INSTRUCTIONS = """These tools drive the ComfyUI workflow that a person has open in a browser tab; the person sees and
can undo your changes. Fields have paths such as "Title.widget", "#12.seed" or "Subgraph/Inner.text"; the error for an
unknown path suggests similar ones. Read the graph in pages with query_fields, test changes with batch and dry_run, make
them with batch (one undo step), then run and look at the picture. If the person may edit at the same time, pass the
revision of your last result as if_revision."""


@dataclass(frozen=True)
class Tool:
    """A command as a tool: advice in addition to its declaration, and the parameters that agents do not get."""

    command: str
    advice: str = ""
    without: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        """The description of the tool."""
        advice = f" {self.advice}" if self.advice else ""
        edits = f"\nCommands: {_edits()}" if self.command == "batch" else ""
        return f"{route(self.command).doc}{advice}{edits}"

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        known = route(self.command)
        own = {name: one for name, one in known.request["properties"].items() if name in known.own or name in STEERING}
        properties = {name: plain(schema) for name, schema in own.items() if name not in self.without}
        if known.risk == "read":
            properties.pop("if_revision", None)
        required = [name for name in known.request["required"] if name not in self.without]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    @property
    def reads_only(self) -> bool:
        """Whether the tool only reads."""
        return route(self.command).risk == "read"


_OUTPUTS = frozenset({"outputs", "wait"})
TOOLS = {
    tool.command: tool
    for tool in (
        Tool("connection_status", "Use this first if there is no response.", frozenset({"client_id"})),
        Tool("list_tabs", "Commands apply to the active one."),
        Tool("switch_tab"),
        Tool("query_fields", f"Returns {PAGE} nodes if no limit is given; continue with offset."),
        Tool("get_fields"),
        Tool("batch", "With dry_run it returns the changes without making them."),
        Tool("undo"),
        Tool("run", "Returns the pictures themselves.", _OUTPUTS),
        Tool("interrupt"),
        Tool("validate", "Use this before a run that ComfyUI may refuse."),
        Tool("screenshot", "Shows the graph as the person sees it."),
        Tool("search_nodes"),
        Tool("node_info"),
        Tool("get_workflow_api"),
        Tool("load_workflow", "It opens in a new workflow tab and replaces nothing."),
        Tool("doctor", "Use this first if a workflow cannot run; send the commands in fixes."),
        Tool("plan_downloads", "Use this before download_models."),
        Tool("download_models", "Returns at once; follow the download with download_status."),
        Tool("download_status"),
    )
}

# A part of a result: a text, or the bytes of a picture with their media type.
Part = str | tuple[bytes, str]


async def carry_out(client: AsyncClient, name: str, arguments: Mapping[str, Any]) -> list[Part]:
    """Returns the result of a tool. Raises UiapiError; `advice_on` formats it for an agent."""
    tool = TOOLS.get(name)
    if tool is None:
        raise UiapiError("unknown_command", f"Unknown tool {name!r}; the tools are {', '.join(TOOLS)}.")
    data = dict(arguments)
    if name == "query_fields":
        data.setdefault("limit", PAGE)
    if name == "run":
        return await _run(client, data)
    answer = await client.call(name, data)
    if name == "screenshot":
        return [_picture(base64.b64decode(answer["png"]))]
    result = answer if isinstance(answer, dict) else {"answer": answer}
    if client.revision is not None and "if_revision" in route(name).request["properties"]:
        result = {**result, "revision": client.revision}
    return [_text(result)]


async def _run(client: AsyncClient, data: dict[str, Any]) -> list[Part]:
    done = run_of(await client.call("run", data))
    outputs = [{key: value for key, value in output.items() if value} for output in done.answer.get("outputs", ())]
    files = [output for output in outputs if "filename" in output]
    texts = [output for output in outputs if "filename" not in output]
    result = {"prompt_id": done.prompt_id, "execution_time": done.execution_time, "files": files}
    if texts:
        result["texts"] = texts
    result |= {key: done.answer[key] for key in ("status", "prompts") if done.prompts}
    parts: list[Part] = [_text(result)]
    # Some nodes list videos under "images"; they may be large, and agents cannot see them.
    pictures = [file for file in done.images if file.filename.lower().endswith(_SUFFIXES)]
    try:
        for file in pictures[:MAX_PICTURES]:
            parts.append(_picture(await client.fetch(file)))
    except UiapiError as error:
        raise not_fetched(done, error) from error
    if len(pictures) > MAX_PICTURES:
        parts.append(f"{len(pictures) - MAX_PICTURES} more pictures are not shown.")
    return parts


def advice_on(error: UiapiError) -> str:
    """Returns an error as text for an agent: the message, possible replacements, and other details."""
    lines = [f"{error.code}: {error.message}"]
    if error.candidates:
        lines.append(f"Try one of: {json.dumps(error.candidates, ensure_ascii=False)}")
    rest = {key: value for key, value in error.details.items() if key not in ("candidates", "nearest", "traceback")}
    if rest:
        lines.append(_text(rest))
    return "\n".join(lines)


def _picture(content: bytes) -> Part:
    mime = next((mime for pattern, mime in _KINDS.items() if re.match(pattern, content, re.DOTALL)), None)
    if mime is None:
        return _UNSEEN
    try:
        return small(content, mime)
    except Exception:
        # Pillow raises many types of exceptions for invalid files.
        return _UNSEEN


def small(picture: bytes, mime: str) -> tuple[bytes, str]:
    """Returns the picture, scaled down to MAX_SIDE if Pillow is installed."""
    try:
        from PIL import Image
    except ImportError:
        return picture, mime
    with Image.open(io.BytesIO(picture)) as image:
        if max(image.size) <= MAX_SIDE:
            return picture, mime
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
    return buffer.getvalue(), "image/png"


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]}… (cut: {len(text)} characters; ask for less, such as fewer nodes or one node's fields)"


def _edits() -> str:
    """Returns the commands that a batch may contain, with their parameters, one per line."""
    lines = []
    for name in batchable():
        known = route(name)
        names = [key if key in known.request["required"] else f"{key}?" for key in known.own]
        lines.append(f"- {name} {{{', '.join(names)}}}: {known.doc}")
    return "\n".join(["each {command, data}; data contains the parameters of the command:", *lines])


def plain(schema: Any) -> Any:
    """Returns a shorter schema: references are resolved, and null is removed where omission means the same."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(component(schema["$ref"].rpartition("/")[2]))
    kept = {key: plain(value) for key, value in schema.items() if not (key == "default" and value is None)}
    if "anyOf" in kept:
        choices = [choice for choice in kept.pop("anyOf") if choice != {"type": "null"}]
        kept = {**choices[0], **kept} if len(choices) == 1 else {**kept, "anyOf": choices}
    return kept
