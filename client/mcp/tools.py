"""The open workflow as tools for an agent: which commands they are, what they take, and how their answers are told.

What a tool takes is the command's own declaration; only the words about when to use it are written here.
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
from ..common.results import not_brought, run_of

# Nodes that a reading answers when no limit is asked for.
PAGE = 40
# Pictures an answer holds at the most, and their longest side in pixels where Pillow can make them smaller.
MAX_PICTURES, MAX_SIDE = 4, 1024
# Characters of an answer's text; an agent's attention is not for ever.
MAX_TEXT = 40_000
# The kinds of pictures that agents take: what they are called, and how they begin.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_KINDS = {
    rb"\x89PNG": "image/png",
    rb"\xff\xd8": "image/jpeg",
    rb"GIF8": "image/gif",
    rb"RIFF.{4}WEBP": "image/webp",
}
_UNSEEN = "One of the files is no picture that can be shown here; the person sees it in the browser."
# What an agent may say beside a command's own parameters.
STEERING = ("if_revision",)

INSTRUCTIONS = """These tools drive the ComfyUI workflow that a person has open in a browser tab; the person sees and
can undo what you do. Fields have paths such as "Title.widget", "#12.seed" or "Subgraph/Inner.text"; an unknown path is
answered with the nearest ones. Read in pieces with query_fields, try changes with batch and dry_run, make them with
batch (one undo step), then run and look at the picture. If the person may edit meanwhile, pass the revision of your
last reading as if_revision."""


@dataclass(frozen=True)
class Tool:
    """A command as a tool: what to know of it beyond its declaration, and which parameters are not for agents."""

    command: str
    advice: str = ""
    without: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        """What the tool is for."""
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
        """Whether it changes nothing."""
        return route(self.command).risk == "read"


_OUTPUTS = frozenset({"outputs", "wait"})
TOOLS = {
    tool.command: tool
    for tool in (
        Tool("connection_status", "Ask this first when something does not answer.", frozenset({"client_id"})),
        Tool("list_tabs", "Commands go to the active one."),
        Tool("switch_tab"),
        Tool("query_fields", f"Answers {PAGE} nodes if no limit is given; go on with offset."),
        Tool("get_fields"),
        Tool("batch", "With dry_run nothing changes and the answer tells what would."),
        Tool("undo"),
        Tool("run", "Answers the pictures themselves.", _OUTPUTS),
        Tool("interrupt"),
        Tool("validate", "Ask before a run that may be refused."),
        Tool("screenshot", "Shows how the graph looks to the person."),
        Tool("search_nodes"),
        Tool("node_info"),
        Tool("get_workflow_api"),
        Tool("load_workflow", "Replaces nothing: it opens in a tab of its own."),
        Tool("plan_downloads", "Ask before download_models."),
        Tool("download_models", "Answers at once; follow it with download_status."),
        Tool("download_status"),
    )
}

# A part of an answer: a text, or the bytes of a picture with their type.
Part = str | tuple[bytes, str]


async def carry_out(client: AsyncClient, name: str, arguments: Mapping[str, Any]) -> list[Part]:
    """The answer of a tool. UiapiError says what went wrong; `advice_on` tells it to an agent."""
    tool = TOOLS.get(name)
    if tool is None:
        raise UiapiError("unknown_command", f"There is no tool {name!r}; there are {', '.join(TOOLS)}.")
    data = dict(arguments)
    if name == "query_fields":
        data.setdefault("limit", PAGE)
    if name == "run":
        return await _run(client, data)
    answer = await client.call(name, data)
    if name == "screenshot":
        return [_picture(base64.b64decode(answer["png"]))]
    told = answer if isinstance(answer, dict) else {"answer": answer}
    if client.revision is not None and "if_revision" in route(name).request["properties"]:
        told = {**told, "revision": client.revision}
    return [_text(told)]


async def _run(client: AsyncClient, data: dict[str, Any]) -> list[Part]:
    done = run_of(await client.call("run", data))
    outputs = [{key: value for key, value in output.items() if value} for output in done.answer.get("outputs", ())]
    files = [output for output in outputs if "filename" in output]
    texts = [output for output in outputs if "filename" not in output]
    told = {"prompt_id": done.prompt_id, "execution_time": done.execution_time, "files": files}
    if texts:
        told["texts"] = texts
    told |= {key: done.answer[key] for key in ("status", "prompts") if done.prompts}
    parts: list[Part] = [_text(told)]
    # Nodes name their videos "images" too, which may be large, and which an agent cannot see.
    pictures = [file for file in done.images if file.filename.lower().endswith(_SUFFIXES)]
    try:
        for file in pictures[:MAX_PICTURES]:
            parts.append(_picture(await client.fetch(file)))
    except UiapiError as error:
        raise not_brought(done, error) from error
    if len(pictures) > MAX_PICTURES:
        parts.append(f"{len(pictures) - MAX_PICTURES} more pictures were made and are not shown.")
    return parts


def advice_on(error: UiapiError) -> str:
    """An error as an agent can act on it: the sentence, what would work, and what else is known."""
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
        # Whatever Pillow has against it.
        return _UNSEEN


def small(picture: bytes, mime: str) -> tuple[bytes, str]:
    """A picture no larger than an agent needs, where Pillow is there to make it so."""
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
    """The commands that a batch may hold, with their parameters, one a line."""
    lines = []
    for name in batchable():
        known = route(name)
        names = [key if key in known.request["required"] else f"{key}?" for key in known.own]
        lines.append(f"- {name} {{{', '.join(names)}}}: {known.doc}")
    return "\n".join(["each {command, data}; data is the command's parameters:", *lines])


def plain(schema: Any) -> Any:
    """A schema without what only makes it longer: references, and null where leaving out says the same."""
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
