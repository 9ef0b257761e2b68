"""The tools for agents: their descriptions and parameters.

Most are commands of the server, whose parameters come from the declarations; only the advice on when to use a tool is
written here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..common.command_table import batchable, component, route
from .calls import ANSWER_WITHIN

# Nodes that query_fields returns without a limit.
PAGE = 40
# Common parameters that agents may use in addition to those of each command.
STEERING = ("if_revision",)

INSTRUCTIONS = """These tools drive the ComfyUI workflow that a person has open in a browser tab; the person sees and
can undo your changes. Fields have paths such as "Title.widget", "#12.seed" or "Subgraph/Inner.text"; the error for an
unknown path suggests similar ones. Read the graph in pages with query_fields, test changes with batch and dry_run, make
them with batch (one undo step), then run and look at the picture. If the person may edit at the same time, pass the
revision of your last result as if_revision. A call that takes longer than 50 seconds goes on, and you get a ticket for
run_status."""

_WAIT = {
    "type": "number",
    "minimum": 0,
    "maximum": ANSWER_WITHIN,
    "description": f"Seconds to wait before you get a ticket instead of the result; default {ANSWER_WITHIN:g}.",
}


@dataclass(frozen=True)
class Tool:
    """A command as a tool: advice in addition to its declaration, and the parameters that agents do not get."""

    command: str
    advice: str = ""
    without: frozenset[str] = frozenset()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the tool, which is that of the command."""
        return self.command

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
        return _object({**properties, **self.more}, required)

    @property
    def reads_only(self) -> bool:
        """Whether the tool only reads."""
        return route(self.command).risk == "read"


@dataclass(frozen=True)
class OwnTool:
    """A tool that is not a command of the extension."""

    name: str
    description: str
    schema: dict[str, Any]
    reads_only: bool = True


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


RUN_STATUS = OwnTool(
    "run_status",
    "The state of a call that you got a ticket for, with a run's preview; its result once it has ended. Without a "
    "ticket: all calls that are known.",
    _object({"ticket": _text("From the answer of a call that goes on."), "wait": _WAIT}, []),
)
VIEW_OUTPUT = OwnTool(
    "view_output",
    "Show one output file of a run as a picture.",
    _object({"url": _text("The file's url in the result of the run, which begins with /view?.")}, ["url"]),
)
UPLOAD = OwnTool(
    "upload",
    "Upload a file, such as a picture, for a field that takes one, and set the field to it. Give one of path and data.",
    _object(
        {
            "field": _text('The field, such as "Load Image.image".'),
            "path": _text("A file on the machine of this tool; only for agents on that machine."),
            "data": _text("The content of the file in base64."),
        },
        ["field"],
    ),
    reads_only=False,
)
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("connection_status", "Use this first if there is no response.", frozenset({"client_id"})),
        Tool("list_tabs", "Commands apply to the active one."),
        Tool("switch_tab"),
        Tool("query_fields", f"Returns {PAGE} nodes if no limit is given; continue with offset."),
        Tool("get_fields"),
        Tool("batch", "With dry_run it returns the changes without making them."),
        Tool("undo"),
        Tool("run", "Returns the pictures themselves.", frozenset({"outputs", "wait"}), {"wait": _WAIT}),
        Tool(
            "sweep",
            "Returns a contact sheet of at most 100 pictures. Of a grid the last field makes the columns.",
            frozenset({"outputs", "wait", "sweep_id"}),
            {"wait": _WAIT},
        ),
        RUN_STATUS,
        VIEW_OUTPUT,
        UPLOAD,
        Tool("interrupt"),
        Tool("validate", "Use this before a run that ComfyUI may refuse."),
        Tool("screenshot", "Shows the graph as the person sees it."),
        Tool("search_nodes"),
        Tool("node_info"),
        Tool("get_workflow_api"),
        Tool("load_workflow", "It opens in a new workflow tab and replaces nothing."),
        Tool("list_templates", "Start from one of these instead of an empty graph."),
        Tool("open_template"),
        Tool("doctor", "Use this first if a workflow cannot run; send the commands in fixes."),
        Tool("download_models", "Follow the download with download_status."),
        Tool("download_status"),
        Tool("late_result", "The request_id is in the details of the error."),
    )
}


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
