"""Walks all nodes of a workflow, including those in subgraphs, with the values of their widgets.

In UI JSON a node whose type is the id of a definition in `definitions.subgraphs` is an instance of that graph, at any
depth and any number of times. Its own `widgets_values` are those of the definition's inputs that lead to widgets, in
order, and override the values of the inner widgets. Formats: the frontend's workflow schema 0.4 and 1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from ...common.errors import UiapiError

# LiteGraph's modes of a node that does not run.
_REASONS = {2: "muted", 4: "bypassed"}
# The most nodes of one workflow; a few nested subgraphs can unfold to more than can ever run.
MOST_NODES = 100_000
# The deepest nesting of subgraphs; each level costs the walk one of the interpreter's stack.
MOST_DEPTH = 64
# The origin id, inside a subgraph, of links that come from the subgraph's inputs.
_INPUT_NODE = "-10"
_LINK_KEYS = ("origin_id", "origin_slot", "target_id", "target_slot")


@dataclass(frozen=True)
class Placed:
    """A node at its place in the workflow.

    Attributes:
        id: its id, with those of the subgraph nodes around it: "12:3".
        type: its class name, None if the workflow does not give it.
        reason: why it does not run ("muted", "bypassed"), None if it does.
        widgets: its widget values, as a list in order or a dict by name.
        models: the entries of its `properties.models` that have a name.
        given: values by widget name, from the subgraph node around it.
        inputs: its inputs, as in the workflow.
    """

    id: str
    type: str | None
    reason: str | None
    widgets: Any
    models: list[dict[str, Any]]
    given: dict[str, str] | None = None
    inputs: Any = None

    def values(self, order: tuple[str | None, ...]) -> list[tuple[str | None, str]]:
        """Its string values with their widgets' names, None where unknown.

        Args:
            order: the names of its class's widgets in the order of `widgets_values`; empty for an unknown class.
        """
        given = self.given or {}
        if isinstance(self.widgets, dict):
            named = {**self.widgets, **given}
            return [(name, value) for name, value in named.items() if isinstance(value, str)]
        if not isinstance(self.widgets, list):
            return [*given.items()]
        texts: list[tuple[str | None, str]] = []
        for index, value in enumerate(self.widgets):
            name = order[index] if index < len(order) else None
            value = given.get(name, value) if name is not None else value
            if isinstance(value, str):
                texts.append((name, value))
        missing = [(name, value) for name, value in given.items() if name not in order]
        return texts + missing

    def rows(self) -> Iterator[tuple[str, bool]]:
        """The rows {lora, on} or {name, active} of nodes with a list of LoRAs: the name, and whether it is active."""
        held = self.widgets.values() if isinstance(self.widgets, dict) else self.widgets
        for value in held if isinstance(self.widgets, (dict, list)) else ():
            if isinstance(value, list):
                yield from _rows(value)
            elif isinstance(value, dict):
                # An API export wraps lists that are not links.
                wrapped = value.get("__value__")
                yield from _rows(wrapped if isinstance(wrapped, list) else [value])

    def is_fed(self, widget: str) -> bool:
        """Whether a link from another node overrides the widget's value."""
        if self.given and widget in self.given:
            return False
        return any(
            isinstance(slot, dict)
            and slot.get("link") is not None
            and isinstance(slot.get("widget"), dict)
            and slot["widget"].get("name") == widget
            for slot in (self.inputs if isinstance(self.inputs, list) else ())
        )


def walk(workflow: dict[str, Any]) -> Iterator[Placed]:
    """All nodes of UI JSON, depth first. UiapiError `too_large` if they are too many or nested too deeply."""
    definitions: dict[str, _Definition] = {}
    _collect(workflow, definitions, 0)
    budget = [MOST_NODES]
    yield from _walk(workflow["nodes"], definitions, "", None, {}, (), budget)


class _Definition:
    """A subgraph: its nodes, and which inner widgets its inputs lead to."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        nodes = data.get("nodes")
        self.nodes: list[Any] = nodes if isinstance(nodes, list) else []
        given = data.get("inputs")
        inputs = given if isinstance(given, list) else []
        count = len(inputs)
        # By (inner node's id, its input's name): the definition's input that feeds that widget.
        self.fed: dict[tuple[str, str], int] = {}
        by_id = {_text(node.get("id")): node for node in self.nodes if isinstance(node, dict)}
        for origin, origin_slot, target, target_slot in _links(data.get("links")):
            if origin != _INPUT_NODE or not 0 <= origin_slot < count:
                continue
            slots = by_id.get(target, {}).get("inputs")
            slot = slots[target_slot] if isinstance(slots, list) and 0 <= target_slot < len(slots) else None
            widget = slot.get("widget") if isinstance(slot, dict) else None
            if isinstance(widget, dict) and isinstance(widget.get("name"), str):
                self.fed[target, widget["name"]] = origin_slot
        self.names = [_text(item.get("name")) if isinstance(item, dict) else "" for item in inputs]
        self.widget_slots = sorted(set(self.fed.values()))

    def values_from(self, host: dict[str, Any], given: dict[str, str]) -> dict[int, str]:
        """The values that a host passes, by the index of the definition's input.

        Args:
            host: the node that is an instance of this subgraph.
            given: the values of the host's own inputs from the graph around it, by name.
        """
        values = host.get("widgets_values")
        found: dict[int, Any] = {}
        if isinstance(values, list) and len(values) == len(self.widget_slots):
            found = dict(zip(self.widget_slots, values, strict=True))
        elif isinstance(values, dict):
            found = {slot: values[self.names[slot]] for slot in self.widget_slots if self.names[slot] in values}
        for slot in self.widget_slots:
            if self.names[slot] in given:
                found[slot] = given[self.names[slot]]
        return {slot: value for slot, value in found.items() if isinstance(value, str)}


def _collect(graph: dict[str, Any], into: dict[str, _Definition], depth: int) -> None:
    _check_depth(depth)
    definitions = graph.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    for data in subgraphs if isinstance(subgraphs, list) else ():
        if isinstance(data, dict) and isinstance(data.get("id"), str) and data["id"] not in into:
            into[data["id"]] = _Definition(data)
            _collect(data, into, depth + 1)


def _walk(
    nodes: list[Any],
    definitions: dict[str, _Definition],
    prefix: str,
    reason: str | None,
    fed: dict[str, dict[str, str]],
    inside: tuple[str, ...],
    budget: list[int],
) -> Iterator[Placed]:
    _check_depth(len(inside))
    for node in nodes:
        if not isinstance(node, dict) or not isinstance(node.get("type"), (str, type(None))):
            continue
        budget[0] -= 1
        if budget[0] < 0:
            raise too_many_nodes()
        node_id, kind = _text(node.get("id")), cast("Any", node.get("type"))
        mode = node.get("mode")
        why = reason or (_REASONS.get(mode) if isinstance(mode, int) else None)
        given = fed.get(node_id, {})
        definition = definitions.get(kind)
        if definition is None:
            properties = node.get("properties")
            models = properties.get("models") if isinstance(properties, dict) else None
            held = node.get("widgets_values")
            yield Placed(prefix + node_id, kind, why, held, _entries(models), given, node.get("inputs"))
        elif kind not in inside:
            values = definition.values_from(node, given)
            inner: dict[str, dict[str, str]] = {}
            for (target, name), slot in definition.fed.items():
                if slot in values:
                    inner.setdefault(target, {})[name] = values[slot]
            below = f"{prefix}{node_id}:"
            yield from _walk(definition.nodes, definitions, below, why, inner, (*inside, kind), budget)


def too_many_nodes() -> UiapiError:
    """The error for a workflow of more than MOST_NODES nodes."""
    return UiapiError(
        "too_large", f"The workflow has more than {MOST_NODES} nodes, including those in subgraphs; simplify it."
    )


def _check_depth(depth: int) -> None:
    if depth > MOST_DEPTH:
        raise UiapiError("too_large", f"The workflow's subgraphs nest deeper than {MOST_DEPTH} levels; simplify it.")


def _text(value: Any) -> str:
    """An id or a name as text; empty for other types, whose text could be of any size."""
    return str(value) if isinstance(value, (str, int, float)) else ""


def _rows(values: list[Any]) -> Iterator[tuple[str, bool]]:
    for value in values:
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("lora"), str):
            yield value["lora"], value.get("on") is not False
        elif isinstance(value.get("name"), str) and isinstance(value.get("active"), bool):
            yield value["name"], value["active"]


def _entries(models: Any) -> list[dict[str, Any]]:
    if not isinstance(models, list):
        return []
    return [model for model in models if isinstance(model, dict) and isinstance(model.get("name"), str)]


def _links(links: Any) -> Iterator[tuple[str, int, str, int]]:
    """(origin node, origin slot, target node, target slot) of links, which may be objects or lists."""
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict):
            origin, slot, target, at = (link.get(key) for key in _LINK_KEYS)
        elif isinstance(link, list) and len(link) >= 5:
            origin, slot, target, at = link[1:5]
        else:
            continue
        if isinstance(slot, int) and isinstance(at, int):
            yield _text(origin), slot, _text(target), at
