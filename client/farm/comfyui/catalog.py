"""The node types, models and input files that a prompt needs, looked up in ComfyUI's /object_info."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# The files of models. Other values that a list lacks are left to ComfyUI's own validation.
MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")


@dataclass(frozen=True)
class Lack:
    """Something that a prompt needs and a ComfyUI lacks.

    Attributes:
        node_type: the missing node type, or the type of the node that names a model.
        input: the input that names the model; empty for a node type.
        name: the name of the model.
    """

    node_type: str
    input: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"the model {self.name}" if self.name else f"the node type {self.node_type}"

    def concerns(self, prompt: Mapping[str, Any]) -> bool:
        """Returns whether a prompt needs it."""
        for _, node_type, inputs in nodes_of(prompt):
            if node_type == self.node_type and (not self.name or inputs.get(self.input) == self.name):
                return True
        return False


class Catalog:
    """The node types of a ComfyUI, with the values that their inputs list."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._listed: dict[str, dict[str, frozenset[str]]] = {
            node_type: {
                name: frozenset(value for value in values if isinstance(value, str))
                for name, spec in inputs_of(info)
                if (values := _values(spec)) is not None and not is_file(spec)
            }
            for node_type, info in object_info.items()
        }

    def lacks(self, prompt: Mapping[str, Any]) -> list[Lack]:
        """Returns what a prompt needs that this ComfyUI lacks."""
        found: dict[Lack, None] = {}
        for _, node_type, inputs in nodes_of(prompt):
            listed = self._listed.get(node_type)
            if listed is None:
                found[Lack(node_type)] = None
                continue
            for name, value in inputs.items():
                is_model = isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)
                if is_model and name in listed and value not in listed[name]:
                    found[Lack(node_type, name, value)] = None
        return [*found]


def nodes_of(prompt: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields the ID, the type and the inputs of each node."""
    for node_id, node in prompt.items():
        if isinstance(node, Mapping) and isinstance(node.get("class_type"), str):
            inputs = node.get("inputs")
            yield node_id, node["class_type"], inputs if isinstance(inputs, Mapping) else {}


def inputs_of(info: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name and the description of each input in a node type's entry of /object_info."""
    groups = info.get("input") if isinstance(info, Mapping) else None
    for group in ("required", "optional"):
        inputs = groups.get(group) if isinstance(groups, Mapping) else None
        yield from inputs.items() if isinstance(inputs, Mapping) else ()


def is_file(spec: Any) -> bool:
    """Returns whether an input names a file that people upload, by its options such as image_upload."""
    options = spec[1] if isinstance(spec, list) and len(spec) > 1 else None
    return isinstance(options, Mapping) and any(key.endswith("upload") and options[key] for key in options)


def _values(spec: Any) -> list[Any] | None:
    """Returns the values that an input lists, or None if it lists none."""
    if not isinstance(spec, list) or not spec:
        return None
    if isinstance(spec[0], list):
        return spec[0]
    options = spec[1] if len(spec) > 1 else None
    listed = options.get("options") if spec[0] == "COMBO" and isinstance(options, Mapping) else None
    return listed if isinstance(listed, list) else None
