"""The last graph that a tab reported, to be read while no tab is connected; answers from it are marked stale."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from time import time
from typing import Any

from ...common.errors import UiapiError
from ..protocol.codec import decode_object, decode_objects

# The commands a snapshot can answer.
READABLE = frozenset({"get_workflow", "get_workflow_api", "get_fields", "query_fields"})
# The keys of a node in a snapshot: those that are always returned, and all.
ALWAYS_RETURNED = frozenset({"id", "type", "title", "inputs", "outputs"})
RETURNED = ALWAYS_RETURNED | {"widgets", "path", "mode", "subgraph"}

# The parts of a snapshot and the type of each.
FORMS = {"workflow": dict, "output": dict, "nodes": list}
# Bytes of JSON text that are searched at a time, and those of them that the next piece repeats.
PIECE, OVERLAP = 1 << 20, 1 << 12

# A node and a widget of it.
Place = tuple[dict[str, Any], dict[str, Any]]


class Snapshot:
    """One tab's graph.

    Args:
        workflow: the workflow, as JSON that is decoded when it is first read: most graphs are never read from here, and
            decoding a large one would delay everything else. Decoded from a page that sends it so. Likewise:
        output: the API format.
        nodes: the nodes as query_fields lists them.
        workflow_name: the name of the workflow, if any.
        taken: in seconds of Unix time.
    """

    def __init__(self, workflow: Any, output: Any, nodes: Any, workflow_name: str | None, taken: float) -> None:
        self._parts = {"workflow": workflow, "output": output, "nodes": nodes}
        self.workflow_name = workflow_name
        self.taken = taken

    @classmethod
    def of(cls, data: dict[str, Any]) -> Snapshot | None:
        """Return the snapshot that a tab sent, or None if it is invalid."""
        parts = {key: data.get(key) for key in FORMS}
        if not all(isinstance(part, str) or _is_valid(key, part) for key, part in parts.items()):
            return None
        kept = {key: part.encode() if isinstance(part, str) else part for key, part in parts.items()}
        name = data.get("workflow_name")
        return cls(**kept, workflow_name=name if isinstance(name, str) else None, taken=time())

    @property
    def workflow(self) -> dict[str, Any]:
        """The workflow. UiapiError `tab_failed` if the tab sent an invalid one, as for the other parts."""
        found: dict[str, Any] = self._read("workflow")
        return found

    @property
    def output(self) -> dict[str, Any]:
        """The API format."""
        found: dict[str, Any] = self._read("output")
        return found

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as query_fields lists them."""
        found: list[dict[str, Any]] = self._read("nodes")
        return found

    def texts(self) -> Iterator[Any]:
        """Yield its parts: decoded JSON, or pieces of JSON text that overlap by more than a file name's length."""
        for part in [*self._parts.values()]:
            if not isinstance(part, bytes):
                yield part
                continue
            for start in range(0, len(part), PIECE):
                yield part[start : start + PIECE + OVERLAP].decode(errors="replace")

    def _read(self, key: str) -> Any:
        part = self._parts[key]
        if isinstance(part, bytes):
            try:
                part = decode_objects(part) if FORMS[key] is list else decode_object(part)
            except UiapiError as error:
                raise _unusable(error.message.rstrip(".")) from None
            if not _is_valid(key, part):
                raise _unusable(f"its {key} has another form")
            self._parts[key] = part
        return part

    def answer(self, command: str, data: dict[str, Any]) -> Any:
        """Return the answer that the tab would have given to a command of READABLE."""
        if command == "get_workflow":
            return {"workflow": {"workflow": self.workflow, "output": self.output}}
        if command == "get_workflow_api":
            return {"output": self.output}
        if command == "query_fields":
            return _pieces(self.nodes, **data)
        return {path: self.fields.find(path)[1].get("value") for path in data["fields"]}

    @cached_property
    def fields(self) -> Fields:
        """Its fields by their paths."""
        return Fields(self.nodes)


def _is_valid(key: str, part: Any) -> bool:
    if key == "nodes" and isinstance(part, list):
        return all(isinstance(node, dict) and "id" in node for node in part)
    return isinstance(part, FORMS[key])


def _unusable(why: str) -> UiapiError:
    return UiapiError("tab_failed", f"The last copy of the graph is invalid ({why}); open ComfyUI in a browser.")


def _pieces(
    nodes: list[dict[str, Any]],
    types: list[str] | None = None,
    titles: list[str] | None = None,
    depth: int | None = None,
    want: list[str] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    **other: Any,
) -> dict[str, Any]:
    """Return the nodes that query_fields asks for, by the same rules as web/graph/query.js.

    Raises UiapiError `invalid` for parameters that need a tab.
    """
    beyond = [key for key, value in other.items() if value is not None]
    beyond += [f"want: {name[:80]}" for name in want or () if name not in RETURNED]
    if beyond:
        raise UiapiError(
            "invalid", f"No tab is connected, and the snapshot has no data for {beyond[0]}; leave that out."
        )
    kinds, names = (None if words is None else {word.lower() for word in words} for words in (types, titles))
    fitting = [
        node
        for node in nodes
        if (kinds is None or str(node.get("type")).lower() in kinds)
        and (names is None or str(node.get("title") or "").lower() in names)
        and (depth is None or str(node["id"]).count(":") <= depth)
    ]
    start = offset or 0
    end = len(fitting) if limit is None else start + limit
    keys = None if want is None else {*ALWAYS_RETURNED, *want}
    entries = [node if keys is None else {key: node[key] for key in node if key in keys} for node in fitting[start:end]]
    answer = {"nodes": entries, "total": len(fitting)}
    return {**answer, "next_offset": end} if end < len(fitting) else answer


class Fields:
    """The fields of nodes as query_fields lists them, found by simple paths.

    A simple path is the title, type or #id of a node (with [n] for the n-th of that name, from 0) and the name of one
    of its widgets.
    """

    def __init__(self, nodes: list[dict[str, Any]]) -> None:
        self._nodes = nodes
        # One table for each way to name a node, in the order in which they are tried.
        self._known: list[dict[str, list[Place]]] = []
        for names in (_own_path, _title, _type):
            known: dict[str, list[Place]] = {}
            for node in nodes:
                for widget in _widgets(node):
                    # A node whose path equals its #id must be listed once.
                    for path in {f"{name}.{widget['name']}".lower() for name in names(node)}:
                        known.setdefault(path, []).append((node, widget))
            self._known.append(known)

    def find(self, path: str) -> Place:
        """Return the node and widget of a path. Raises UiapiError `unknown_path` or `ambiguous_path`."""
        lower = path.strip().lower()
        counted = re.fullmatch(r"(.+)\[(\d+)\](\.[^.]+)", lower)
        for known in self._known:
            found = known.get(lower, [])
            if not found and counted:
                found = known.get(counted[1] + counted[3], [])[int(counted[2]) :][:1]
            if len(found) > 1:
                candidates = [f"#{node['id']}.{widget['name']}" for node, widget in found]
                raise UiapiError(
                    "ambiguous_path",
                    f"{path!r} matches {len(candidates)} fields: {', '.join(candidates[:8])}; use one of these paths.",
                    {"path": path, "candidates": candidates},
                )
            if found:
                return found[0]
        near = [
            f"{node.get('path') or '#' + str(node['id'])}.{widget['name']}"
            for node in self._nodes
            for widget in _widgets(node)
        ]
        word = lower.rpartition(".")[2]
        raise UiapiError(
            "unknown_path",
            f"The snapshot has no field {path!r}; open the workflow in a browser or use one that query_fields lists.",
            {"path": path, "nearest": sorted(near, key=lambda other: word not in other.lower())[:5]},
        )


def _widgets(node: dict[str, Any]) -> list[dict[str, Any]]:
    widgets = node.get("widgets")
    if not isinstance(widgets, list):
        return []
    return [widget for widget in widgets if isinstance(widget, dict) and "name" in widget]


def _own_path(node: dict[str, Any]) -> list[str]:
    return [f"#{node['id']}", *([str(node["path"])] if node.get("path") else [])]


def _title(node: dict[str, Any]) -> list[str]:
    return [str(node.get("title") or "")]


def _type(node: dict[str, Any]) -> list[str]:
    return [str(node.get("type") or "")]
