"""Which models a workflow needs: from the browser's own format (UI JSON) or from an API export, and how to tell.

A need is a file: its folder and its name with its subfolder; the name alone does not identify one. Nodes carry what
is known of their models in `properties.models` (name, url, directory, hash, hash_type); an entry counts while one of
the node's widgets still holds that name. Where a node carries nothing, its class says which folder an input lists;
where and how a node names models is in mentions.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...bridge.comfyui.api_prompts import is_api_node
from ...common.errors import UiapiError
from ..common.parsing import is_sha256
from ..storage.model_folders import Places, same_name
from .graph_walk import MOST_NODES, Placed, too_many_nodes, walk
from .mentions import Mention, Mentions, Use
from .node_inputs import NodeInputs

# Nodes of the frontend alone: what they hold is text for people, or mirrored in the node they feed.
_NOT_RUN = frozenset({"Note", "MarkdownNote", "PrimitiveNode", "Reroute"})


# Some of a workflow's models, by name; None stands for all.
Names = Collection[str] | None


@dataclass
class Need:
    """A model file a workflow names.

    Attributes:
        name: with its subfolder, as the workflow has it.
        directory: the ComfyUI folder, None where nothing tells.
        urls: where the workflow itself says it can be had.
        sha256: lower-case hexadecimal digest, if the workflow gives one.
        uses: every widget that names it.
    """

    name: str
    directory: str | None
    urls: list[str] = field(default_factory=list)
    sha256: str | None = None
    uses: list[Use] = field(default_factory=list)

    def among(self, names: Names) -> bool:
        """Whether it is one of these, by its name alone or after its folder's."""
        own = {same_name(self.name), same_name(self.in_folder)}
        return names is None or not own.isdisjoint(map(same_name, names))

    @property
    def in_folder(self) -> str:
        """Its name after its folder's, which tells it from one of the same name in another."""
        return f"{self.directory}/{self.name}"

    @property
    def reason(self) -> str | None:
        """Why it is not needed for a run now; None if it is."""
        reasons = [use.reason for use in self.uses]
        return None if None in reasons or not reasons else reasons[0]


class Needs:
    """Reads workflows.

    Args:
        places: ComfyUI's folders.
        inputs: what is known of node classes; those of a workflow are to be learnt before it is read.
    """

    def __init__(self, places: Places, inputs: NodeInputs) -> None:
        self._places = places
        self._inputs = inputs

    def read(self, workflow: Any) -> list[Need]:
        """Every need of a workflow in either format, in the order the nodes have.

        Asks neither disk nor network, but for classes with a list of their own that does not offer what a node holds.

        Raises:
            UiapiError: `invalid` when it is in neither format.
        """
        workflow = plain_workflow(workflow)
        found: dict[tuple[str | None, str], Need] = {}
        for mention in self._mentions(workflow):
            name, directory, model = mention.name, mention.directory, mention.record
            folder = self._places.folder(directory) if directory else None
            need = found.setdefault((folder, same_name(name)), Need(name, directory))
            need.uses.append(mention.use)
            url = model.get("url")
            if isinstance(url, str) and url and url not in need.urls:
                need.urls.append(url)
            kind = model.get("hash_type")
            if need.sha256 is None and isinstance(kind, str) and kind.lower().replace("-", "") == "sha256":
                digest = model.get("hash")
                need.sha256 = str(digest).lower() if is_sha256(digest) else None
        return [*found.values()]

    def _mentions(self, workflow: dict[str, Any]) -> Iterator[Mention]:
        nodes = walk(workflow) if isinstance(workflow.get("nodes"), list) else _api_nodes(workflow)
        mentions = Mentions(self._places, self._inputs.choices)
        for placed in nodes:
            if placed.type not in _NOT_RUN:
                known = None if placed.type is None else self._inputs.of(placed.type)
                yield from mentions.of(placed, known if known is not None and known.readable else None)


def node_types(workflow: Any) -> set[str]:
    """The class names a workflow mentions, subgraphs included."""
    workflow = plain_workflow(workflow)
    nodes = walk(workflow) if isinstance(workflow.get("nodes"), list) else _api_nodes(workflow)
    return {node.type for node in nodes if node.type is not None}


def plain_workflow(workflow: Any) -> dict[str, Any]:
    """The workflow itself, also out of what get_workflow answers ({workflow, output}). UiapiError `invalid`."""
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


def _api_nodes(workflow: dict[str, Any]) -> Iterator[Placed]:
    if len(workflow) > MOST_NODES:
        raise too_many_nodes()
    for node_id, node in workflow.items():
        inputs = node.get("inputs")
        yield Placed(str(node_id), node.get("class_type"), None, inputs if isinstance(inputs, dict) else {}, [])
