"""Distinguishes the formats of workflows, and handles nodes of unknown type in API-format prompts.

The frontend exports a node whose type is not installed with the class_type null (or, from the open page, without one).
The node cannot run, but the outputs that do not need it can.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...common.errors import UiapiError


def is_api_node(node: Any) -> bool:
    """Whether it is a node in API format, of a known type or not."""
    if not isinstance(node, dict) or not isinstance(node.get("inputs", {}), dict):
        return False
    if "class_type" in node:
        return isinstance(node["class_type"], (str, type(None)))
    return isinstance(node.get("inputs"), dict) and isinstance(node.get("_meta"), dict)


def plain_workflow(workflow: Any) -> dict[str, Any]:
    """The workflow itself, unwrapped if it is a response of get_workflow ({workflow, output}). UiapiError `invalid`."""
    if isinstance(workflow, dict) and "nodes" not in workflow:
        inner = workflow.get("workflow")
        if isinstance(inner, dict) and isinstance(inner.get("nodes"), list):
            workflow = inner
        elif isinstance(workflow.get("output"), dict):
            workflow = workflow["output"]
        elif isinstance(workflow.get("prompt"), dict) and "class_type" not in workflow["prompt"]:
            workflow = workflow["prompt"]
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", "The workflow is not an object; send the JSON that ComfyUI saves or exports.")
    if "nodes" in workflow:
        if not isinstance(workflow["nodes"], list):
            raise UiapiError("invalid", "The workflow's nodes are not a list; send the JSON that ComfyUI saves.")
    elif not all(is_api_node(node) for node in workflow.values()):
        raise UiapiError(
            "invalid", "This is neither a saved workflow (nodes) nor an API export (class_type); send one of them."
        )
    return workflow


def untyped(prompt: Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes of unknown type."""
    return [node_id for node_id, node in prompt.items() if node.get("class_type") is None]


def without_idle(prompt: dict[str, Any], node_classes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the prompt without the nodes of unknown type that no output needs, and the ids of those."""
    unknown = untyped(prompt)
    if not unknown:
        return prompt, []
    needed = _needed(prompt, node_classes)
    idle = [node_id for node_id in unknown if node_id not in needed]
    return {node_id: node for node_id, node in prompt.items() if node_id not in idle}, idle


def unknown_needed(prompt: Mapping[str, Any]) -> UiapiError | None:
    """Return the error for a prompt that has nodes of unknown type, or None."""
    unknown = untyped(prompt)
    if not unknown:
        return None
    sentence = (
        f"The run needs {named(prompt, unknown[:1])}, whose type was not installed where this workflow was exported; "
        "install its nodes there and export it again."
    )
    return UiapiError("invalid", sentence, {"nodes": unknown})


def left_out(prompt: Mapping[str, Any], idle: Collection[str]) -> list[str]:
    """Return the warnings about nodes that were left out of a run."""
    return [f"Left out because the type is unknown and no output needs it: {named(prompt, idle)}."] if idle else []


def named(prompt: Mapping[str, Any], ids: Collection[str]) -> str:
    """Return a list of nodes by id and title, as text."""
    return ", ".join(f"node #{node_id}{_title(prompt[node_id])}" for node_id in ids)


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return f' "{title[:100]}"' if isinstance(title, str) and title else ""


def _needed(prompt: Mapping[str, Any], node_classes: Mapping[str, Any]) -> set[str]:
    """Return the nodes that an output node depends on, directly or indirectly."""
    outputs = {node_id for node_id, node in prompt.items() if is_output(node.get("class_type"), node_classes)}
    needed, ahead = set(outputs), [*outputs]
    while ahead:
        inputs = prompt[ahead.pop()].get("inputs")
        for value in inputs.values() if isinstance(inputs, dict) else ():
            origin = str(value[0]) if isinstance(value, list) and len(value) == 2 else ""
            if origin in prompt and origin not in needed:
                needed.add(origin)
                ahead.append(origin)
    return needed


def is_output(kind: Any, node_classes: Mapping[str, Any]) -> bool:
    """Whether nodes of a type are output nodes, which ComfyUI runs."""
    node_class = node_classes.get(kind) if isinstance(kind, str) else None
    return getattr(node_class, "OUTPUT_NODE", False) is True
