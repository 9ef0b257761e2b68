"""The graph as a tab last told it, for reading when no tab is open; what is answered from it is marked as stale."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any

from .comfy import names_of
from .errors import UiapiError
from .images import Pictures

if TYPE_CHECKING:
    from .dispatch import Call

# The commands a snapshot can answer.
READABLE = frozenset({"get_workflow", "get_workflow_api", "get_fields", "query_fields"})


@dataclass(frozen=True)
class Snapshot:
    """One tab's graph; `taken` in seconds of Unix time, `nodes` as query_fields lists them."""

    workflow: dict[str, Any]
    output: dict[str, Any]
    nodes: list[dict[str, Any]]
    workflow_name: str | None
    taken: float

    @classmethod
    def of(cls, data: dict[str, Any]) -> Snapshot | None:
        """What a tab sent, or None if it does not have the form of a snapshot."""
        workflow, output, nodes = (data.get(key) for key in ("workflow", "output", "nodes"))
        if not isinstance(workflow, dict) or not isinstance(output, dict) or not isinstance(nodes, list):
            return None
        name = data.get("workflow_name")
        return cls(workflow, output, nodes, name if isinstance(name, str) else None, time())

    def answer(self, command: str, data: dict[str, Any]) -> Any:
        """What the tab would have answered to one of READABLE."""
        if command == "get_workflow":
            return {"workflow": {"workflow": self.workflow, "output": self.output}}
        if command == "get_workflow_api":
            return {"output": self.output}
        if command == "query_fields":
            return {"nodes": self.nodes}
        return {path: find_widget(self.nodes, path)[1]["value"] for path in data["fields"]}


def can_run_alone(call: Call, workflow: dict[str, Any] | None) -> bool:
    """Whether there is something to run without a tab: an API-format workflow, or a snapshot the caller takes."""
    if workflow is None:
        return call.snapshot() is not None
    return bool(workflow) and all(isinstance(node, dict) and "class_type" in node for node in workflow.values())


async def prompt_alone(
    call: Call, workflow: dict[str, Any] | None, fields: list[tuple[str, Any]], pictures: Pictures
) -> dict[str, Any]:
    """What to run without a tab, with those fields set and their pictures stored. UiapiError for a wrong path."""
    snapshot = call.snapshot() if workflow is None else None
    prompt = copy.deepcopy(workflow if snapshot is None else snapshot.output) or {}
    if snapshot is not None:
        call.told.update(stale=True, snapshot_time=snapshot.taken)
    nodes = api_nodes(prompt) if snapshot is None else snapshot.nodes
    # Every path is resolved before a picture is stored.
    places = [find_widget(nodes, path) for path, _ in fields]
    stored = await pictures.store(fields)
    for (node, widget), (path, value) in zip(places, stored, strict=True):
        target = prompt.get(str(node["id"]))
        if target is None:
            details = {"path": path, "nearest": []}
            raise UiapiError("unknown_path", f"{path} belongs to a node that does not run.", details)
        target["inputs"][widget["name"]] = value
    return prompt


def api_nodes(prompt: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of an API-format workflow in the form query_fields lists them; links are no widgets."""
    nodes = []
    for node_id, node in prompt.items():
        title, kind = names_of(node)
        inputs = node.get("inputs")
        values = inputs.items() if isinstance(inputs, dict) else ()
        widgets = [{"name": name, "value": value} for name, value in values if not isinstance(value, list)]
        nodes.append({"id": node_id, "type": kind, "title": title or kind, "widgets": widgets})
    return nodes


def find_widget(nodes: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The node and widget a field path stands for among nodes as query_fields lists them.

    The forms that need no graph: title, type or #id of a node (with [n] for the n-th of that name, from 0) and the
    name of a widget of it. UiapiError `unknown_path` or `ambiguous_path`.
    """
    lower = path.strip().lower()
    for names in (_own_path, _title, _type):
        found = [pair for node in nodes for pair in _widgets(node, names(node), lower)]
        counted = re.fullmatch(r"(.+)\[(\d+)\](\.[^.]+)", lower)
        if not found and counted:
            same = [pair for node in nodes for pair in _widgets(node, names(node), counted[1] + counted[3])]
            found = same[int(counted[2]) :][:1]
        if len(found) > 1:
            candidates = [f"#{node['id']}.{widget['name']}" for node, widget in found]
            raise UiapiError(
                "ambiguous_path",
                f"{path!r} fits {len(candidates)} fields: {', '.join(candidates[:8])}; use one of these paths.",
                {"path": path, "candidates": candidates},
            )
        if found:
            return found[0]
    near = [f"{node.get('path') or '#' + str(node['id'])}.{widget['name']}" for node in nodes for widget in _all(node)]
    word = lower.rpartition(".")[2]
    raise UiapiError(
        "unknown_path",
        f"The snapshot has no field {path!r}; open the workflow in a browser or use one that query_fields lists.",
        {"path": path, "nearest": sorted(near, key=lambda other: word not in other.lower())[:5]},
    )


def _all(node: dict[str, Any]) -> list[dict[str, Any]]:
    widgets = node.get("widgets")
    return widgets if isinstance(widgets, list) else []


def _widgets(
    node: dict[str, Any], names: list[str], lower: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [
        (node, widget) for widget in _all(node) if any(lower == f"{name}.{widget['name']}".lower() for name in names)
    ]


def _own_path(node: dict[str, Any]) -> list[str]:
    return [f"#{node['id']}", *([str(node["path"])] if node.get("path") else [])]


def _title(node: dict[str, Any]) -> list[str]:
    return [str(node.get("title") or "")]


def _type(node: dict[str, Any]) -> list[str]:
    return [str(node.get("type") or "")]
