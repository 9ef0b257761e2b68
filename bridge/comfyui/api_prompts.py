"""API-format prompts as ComfyUI's frontend exports them, with nodes whose type was not installed there.

Such a node has the class_type null (or, when it is taken from the open page, none at all). What it was cannot be told
from the export, so that it can't run; what does not need it can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...common.errors import UiapiError


def is_api_node(node: Any) -> bool:
    """Whether it is a node of an API export, of a known type or not."""
    if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
        return False
    if "class_type" in node:
        return isinstance(node["class_type"], (str, type(None)))
    return isinstance(node.get("inputs"), dict) and isinstance(node.get("_meta"), dict)


def untyped(prompt: Mapping[str, Any]) -> list[str]:
    """The ids of the nodes of unknown type."""
    return [node_id for node_id, node in prompt.items() if node.get("class_type") is None]


def without_idle(prompt: dict[str, Any], node_classes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The prompt without the nodes of unknown type that no output needs, and the ids of those."""
    unknown = untyped(prompt)
    if not unknown:
        return prompt, []
    needed = _needed(prompt, node_classes)
    idle = [node_id for node_id in unknown if node_id not in needed]
    return {node_id: node for node_id, node in prompt.items() if node_id not in idle}, idle


def unknown_needed(prompt: Mapping[str, Any]) -> UiapiError | None:
    """Why a prompt that is left with a node of unknown type cannot run."""
    unknown = untyped(prompt)
    if not unknown:
        return None
    sentence = (
        f"The run needs {named(prompt, unknown[:1])}, whose type was not installed where this workflow was exported; "
        "install its nodes there and export it again."
    )
    return UiapiError("invalid", sentence, {"nodes": unknown})


def left_out(prompt: Mapping[str, Any], idle: Collection[str]) -> list[str]:
    """What to say of nodes that were left out of a run."""
    return [f"Left out, since its type is unknown and no output needs it: {named(prompt, idle)}."] if idle else []


def named(prompt: Mapping[str, Any], ids: Collection[str]) -> str:
    """Nodes by id and title."""
    return ", ".join(f"node #{node_id}{_title(prompt[node_id])}" for node_id in ids)


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return f' "{title[:100]}"' if isinstance(title, str) and title else ""


def _needed(prompt: Mapping[str, Any], node_classes: Mapping[str, Any]) -> set[str]:
    """The nodes that an output node is linked to, at any distance."""
    outputs = {node_id for node_id, node in prompt.items() if _is_output(node.get("class_type"), node_classes)}
    needed, ahead = set(outputs), [*outputs]
    while ahead:
        inputs = prompt[ahead.pop()].get("inputs")
        for value in inputs.values() if isinstance(inputs, dict) else ():
            origin = str(value[0]) if isinstance(value, list) and len(value) == 2 else ""
            if origin in prompt and origin not in needed:
                needed.add(origin)
                ahead.append(origin)
    return needed


def _is_output(kind: Any, node_classes: Mapping[str, Any]) -> bool:
    node_class = node_classes.get(kind) if isinstance(kind, str) else None
    return getattr(node_class, "OUTPUT_NODE", False) is True
