"""Reads, writes, reads back and undoes the widgets of real workflows, for the tests with template workflows."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from comfyui_uiapi.common.shorten import cut

from ...tools import build
from .tab import Tab

# Nodes of the frontend, without a definition in ComfyUI.
FRONTEND_NODES = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})

# The page gives a workflow without an id a new one at each load; the last ids count everything ever created.
NAMES = frozenset({"id", "last_node_id", "last_link_id"})

Json = dict[str, Any]
# An undo step by the person, and the page's own Undo.
UNDO = """async () => {
    const history = app.extensionManager.workflow.activeWorkflow.changeTracker
    app.rootGraph.add(LiteGraph.createNode('EmptyImage'))
    history.captureCanvasState ? history.captureCanvasState() : history.checkState()
    await history.undo()
}"""

# Sends one command with its data and returns the response of the envelope.
Send = Callable[..., Awaitable[Any]]


def templates(known: set[str]) -> list[Path]:
    """The template workflows whose nodes are all known, by name.

    Args:
        known: the types of nodes that ComfyUI has.
    """
    folder = build.TEMPLATES / "templates"
    return [path for path in sorted(folder.glob("*.json")) if _types(path) <= known | FRONTEND_NODES]


def workflow_of(path: Path) -> Json:
    """A template workflow in UI format."""
    workflow: Json = json.loads(path.read_text("utf-8"))
    return workflow


def _types(path: Path) -> set[str]:
    """The types of a workflow's nodes, those inside its subgraphs included; an unknown one if it is not a workflow."""
    try:
        workflow = json.loads(path.read_text("utf-8"))
    except ValueError:
        return {""}
    if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
        return {""}
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    own = {subgraph["id"] for subgraph in subgraphs}
    return {node["type"] for part in [workflow, *subgraphs] for node in part["nodes"]} - own


def sample(paths: list[Path], count: int) -> list[Path]:
    """This many of the paths, evenly spread."""
    if len(paths) <= count:
        return paths
    return [paths[index * len(paths) // count] for index in range(count)]


async def sweep(send: Send, tab: Tab, workflow: Json) -> list[str]:
    """Load a workflow into a tab, read every widget, write one in each node, read it back and undo it.

    Returns:
        What was not as it should be, in words; empty if all was.
    """
    wrong: list[str] = []
    await send("load_workflow", workflow=workflow)
    await tab.drawn()
    nodes = (await send("query_fields"))["nodes"]
    before = content((await send("get_workflow"))["workflow"])
    fields = {field_path(node, widget): widget["value"] for node in nodes for widget in node["widgets"]}
    read = await send("get_fields", fields=list(fields))
    for name, value in fields.items():
        if read[name] != value:
            wrong.append(f"{name} reads {read[name]!r}, but is listed with {value!r}")

    writes = list(_writes(nodes))
    if writes:
        written = await send("set_fields", fields=writes)
        again = await send("get_fields", fields=[name for name, _ in writes])
        for name, value in writes:
            held = written[name]["value"]
            # Responses only contain the beginning of a long text.
            if held != cut(value) and not written[name]["warnings"]:
                wrong.append(f"{name} holds {held!r} instead of {value!r} without a word")
            if cut(again[name]) != held:
                wrong.append(f"{name} reads {again[name]!r} after it was answered to hold {held!r}")
        done = await send("undo")
        if done["done"] != 1:
            wrong.append(f"{done['done']} steps were undone instead of 1")
    after = content((await send("get_workflow"))["workflow"])
    if after != before and after == await _undone_by_the_page(send, tab, workflow):
        return wrong
    return wrong + [f"after undo: {line}" for line in differences(before, after)]


async def _undone_by_the_page(send: Send, tab: Tab, workflow: Json) -> Json:
    """The result of the page's own Undo in a workflow without writes.

    1.32 puts the promoted inputs of some subgraphs in another order whenever it loads what it saved itself, and makes
    room for a picture in a node that has none.
    """
    await send("load_workflow", workflow=workflow)
    await tab.page.evaluate(UNDO)
    return content((await send("get_workflow"))["workflow"])


def field_path(node: Json, widget: Json) -> str:
    """A path that names a widget, whatever its name."""
    name = widget["name"].replace("\\", "\\\\").replace('"', '\\"')
    return f'#{node["id"]}."{name}"'


def first_writes(nodes: list[Json], count: int) -> list[list[Any]]:
    """The first of the writes that the tests make, as a request has them."""
    return [[path, value] for path, value in list(_writes(nodes))[:count]]


def _writes(nodes: list[Json]) -> Iterator[tuple[str, Any]]:
    """One numeric or text widget of each node, with another value."""
    for node in nodes:
        for widget in node["widgets"]:
            value, kind = widget["value"], widget["type"]
            if kind in ("number", "slider") and isinstance(value, (int, float)) and not isinstance(value, bool):
                yield field_path(node, widget), value - 1 if value >= 1 else value + 1
                break
            if kind in ("text", "customtext", "string") and isinstance(value, str):
                yield field_path(node, widget), f"{value} and more"
                break


def content(answer: Json) -> Json:
    """A workflow without its id and view.

    Nor where the nodes inside a subgraph come in its order of execution: the page counts that anew at every load.
    """
    workflow: Json = {key: value for key, value in answer["workflow"].items() if key not in NAMES}
    extra = {key: value for key, value in workflow.get("extra", {}).items() if key != "ds"}
    for subgraph in workflow.get("definitions", {}).get("subgraphs", []):
        for node in subgraph["nodes"]:
            node.pop("order", None)
    return {**workflow, "extra": extra, "nodes": sorted(workflow["nodes"], key=lambda node: str(node["id"]))}


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """The places where two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{where}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{where}[{index}]")
    elif before != after:
        yield f"{where}: {json.dumps(before)[:80]} became {json.dumps(after)[:80]}"
