"""Finds the output nodes to which a run without a tab is limited; web/graph/targets.js does so in the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...common.errors import UiapiError
from .adapter import names_of
from .api_prompts import is_output, named

# Nodes that an error names.
NAMED = 5


def output_targets(prompt: Mapping[str, Any], node_classes: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    """Return the ids of output nodes in an API-format workflow by their ids, titles or types.

    Raises:
        UiapiError: `unknown_node`, `ambiguous_path`, and `invalid` for a node that is no output node.
    """
    return [*dict.fromkeys(_output(prompt, node_classes, path) for path in paths)]


def _output(prompt: Mapping[str, Any], node_classes: Mapping[str, Any], path: str) -> str:
    node_id = _find(prompt, path)
    if is_output(prompt[node_id].get("class_type"), node_classes):
        return node_id
    nearest = _behind(prompt, node_classes, node_id)
    advice = "no output node lies behind it, so link it to one, such as PreviewImage or PreviewAny"
    if nearest:
        advice = f"use an output node behind it: {named(prompt, nearest)}"
    details = {"target": path, "nearest": [f"#{found}" for found in nearest]}
    raise UiapiError("invalid", f"{path} is no output node; {advice}.", details)


def _find(prompt: Mapping[str, Any], path: str) -> str:
    word = path.strip()
    if word.removeprefix("#") in prompt:
        return word.removeprefix("#")
    folded = word.strip('"').lower()
    counted = re.fullmatch(r"(.+)\[(\d+)\]", folded)
    for which in (0, 1):
        names = {node_id: (names_of(node)[which] or "").lower() for node_id, node in prompt.items()}
        found = [node_id for node_id, name in names.items() if name == folded]
        if not found and counted:
            found = [node_id for node_id, name in names.items() if name == counted[1]][int(counted[2]) :][:1]
        if len(found) > 1:
            candidates = [f"#{node_id}" for node_id in found]
            sentence = f"{path!r} matches {len(found)} nodes: {', '.join(candidates[:8])}; use one of these."
            raise UiapiError("ambiguous_path", sentence, {"path": path, "candidates": candidates})
        if found:
            return found[0]
    near = [f"#{node_id}" for node_id in prompt][:NAMED]
    raise UiapiError(
        "unknown_node",
        f"The workflow has no node {path!r}; use the id or title of one.",
        {"node": path, "nearest": near},
    )


def _behind(prompt: Mapping[str, Any], node_classes: Mapping[str, Any], node_id: str) -> list[str]:
    """Return the output nodes that use a node's outputs, the nearest first."""
    reached, seen = {node_id}, {node_id}
    found: list[str] = []
    while reached and len(found) < NAMED:
        users = [own for own, node in prompt.items() if own not in seen and reached.intersection(_origins(node))]
        seen.update(users)
        reached = set(users)
        found += [own for own in users if is_output(prompt[own].get("class_type"), node_classes)]
    return found[:NAMED]


def _origins(node: Mapping[str, Any]) -> Iterable[str]:
    inputs = node.get("inputs")
    values = inputs.values() if isinstance(inputs, dict) else ()
    return (str(value[0]) for value in values if isinstance(value, list) and len(value) == 2)
