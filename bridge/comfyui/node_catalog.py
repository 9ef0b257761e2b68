"""The catalogue of ComfyUI's node types: search, and full descriptions.

Describing a class calls its code (INPUT_TYPES lists model directories), so this runs in a thread, and everything that
does not change while ComfyUI runs is cached.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("uiapi")

# Choices listed per input; of a longer list, the total is returned as well.
MAX_OPTIONS = 200


@dataclass(frozen=True)
class NodeType:
    """The searchable description of a node type."""

    name: str
    title: str
    category: str
    description: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_node: bool

    def brief(self) -> dict[str, Any]:
        """Return it for search_nodes."""
        return {
            "type": self.name,
            "title": self.title,
            "category": self.category,
            "description": self.description,
            "inputs": [*self.inputs],
            "outputs": [*self.outputs],
            "output_node": self.output_node,
        }


class Catalogue:
    """The node types of the running ComfyUI; a class that fails to describe itself is left out and logged once."""

    def __init__(self) -> None:
        # By name, together with the described class, which may be replaced; a class need not be hashable.
        self._types: dict[str, tuple[type, NodeType | None]] = {}

    def search(
        self,
        classes: Mapping[str, type],
        titles: Mapping[str, str],
        *,
        query: str = "",
        category: str = "",
        takes: str = "",
        gives: str = "",
    ) -> list[NodeType]:
        """Return the types that match all parameters; matches of name or title come before those of the description.

        `takes` and `gives` are types of inputs and outputs, such as "IMAGE"; case is ignored.
        """
        words = query.lower().split()
        found = []
        for kind in self._known(classes, titles):
            if category and not f"{kind.category.lower()}/".startswith(category.lower().strip("/") + "/"):
                continue
            if takes and takes.upper() not in kind.inputs:
                continue
            if gives and gives.upper() not in kind.outputs:
                continue
            rank = _rank(kind, words)
            if rank is not None:
                found.append((rank, kind.title.lower(), kind.name, kind))
        return [kind for *_, kind in sorted(found, key=lambda item: item[:3])]

    def _known(self, classes: Mapping[str, type], titles: Mapping[str, str]) -> Iterator[NodeType]:
        for name, node_class in [*classes.items()]:
            known = self._types.get(name)
            if known is None or known[0] is not node_class:
                known = self._types[name] = (node_class, _describe(name, node_class, titles.get(name, name)))
            if known[1] is not None:
                yield known[1]


def node_info(name: str, node_class: type, title: str) -> dict[str, Any]:
    """Describe a node type in full: each input with its type, whether it is required, default, range and choices."""
    inputs = []
    for required, key, kind, options in _inputs(node_class):
        shown: dict[str, Any] = {"name": key, "type": kind, "required": required}
        shown.update({key: value for key, value in options.items() if _is_plain(value)})
        choices = options.get("options")
        if isinstance(choices, (list, tuple)):
            shown["options"], shown["options_total"] = [*choices][:MAX_OPTIONS], len(choices)
        inputs.append(shown)
    outputs = _outputs(node_class)
    names = getattr(node_class, "RETURN_NAMES", None) or outputs
    return {
        "type": name,
        "title": title,
        "category": str(getattr(node_class, "CATEGORY", "")),
        "description": str(getattr(node_class, "DESCRIPTION", "") or ""),
        "inputs": inputs,
        "outputs": [{"name": str(label), "type": kind} for label, kind in zip(names, outputs, strict=False)],
        "output_node": bool(getattr(node_class, "OUTPUT_NODE", False)),
        "deprecated": bool(getattr(node_class, "DEPRECATED", False)),
        "experimental": bool(getattr(node_class, "EXPERIMENTAL", False)),
        "python_module": str(getattr(node_class, "RELATIVE_PYTHON_MODULE", "nodes")),
    }


def takes_uploads(node_class: Any, name: str) -> bool:
    """Whether an input lists uploaded files, as LoadImage's image does."""
    try:
        declared = [options for _, key, _, options in _inputs(node_class) if key == name]
    except Exception:  # A custom node's class may raise anything, and None has no inputs.
        return False
    return any(set_ is True and key.endswith("_upload") for options in declared for key, set_ in options.items())


def _describe(name: str, node_class: type, title: str) -> NodeType | None:
    try:
        inputs = tuple(dict.fromkeys(kind for _, _, kind, _ in _inputs(node_class)))
        return NodeType(
            name=name,
            title=str(title or name),
            category=str(getattr(node_class, "CATEGORY", "")),
            description=str(getattr(node_class, "DESCRIPTION", "") or ""),
            inputs=inputs,
            outputs=tuple(dict.fromkeys(_outputs(node_class))),
            output_node=bool(getattr(node_class, "OUTPUT_NODE", False)),
        )
    except Exception:  # A custom node's class may raise anything; the search continues with the others.
        log.warning("The node type %s cannot be described.", name, exc_info=True)
        return None


def _inputs(node_class: Any) -> Iterator[tuple[bool, str, str, dict[str, Any]]]:
    """Yield (required, name, type, options) for each input; a list of choices has the type COMBO and `options`."""
    declared = node_class.INPUT_TYPES()
    for group in ("required", "optional"):
        for name, spec in (declared.get(group) or {}).items():
            parts = spec if isinstance(spec, (list, tuple)) else (spec,)
            kind = parts[0] if parts else "*"
            options = dict(parts[1]) if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
            if isinstance(kind, (list, tuple)):
                kind, options = "COMBO", {**options, "options": [*kind]}
            yield group == "required", name, str(kind), options


def _outputs(node_class: Any) -> list[str]:
    return ["COMBO" if isinstance(kind, (list, tuple)) else str(kind) for kind in node_class.RETURN_TYPES or ()]


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _rank(kind: NodeType, words: list[str]) -> int | None:
    """Return how well a type matches all words, 0 being best; None if a word is missing."""
    names = f"{kind.name} {kind.title}".lower()
    everything = f"{names} {kind.category} {kind.description}".lower()
    if not all(word in everything for word in words):
        return None
    if " ".join(words) in (kind.name.lower(), kind.title.lower()):
        return 0
    return 1 if all(word in names for word in words) else 2
