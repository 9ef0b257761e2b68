"""Lists the models that a workflow needs, from the browser's own format (UI JSON) or from an API export.

A need is a file, identified by its directory and its name with its subfolder. Nodes may describe their models in
`properties.models` (name, url, directory, hash, hash_type); an entry counts while one of the node's widgets still
holds that name. For other nodes, the class determines which directory an input lists. How nodes name models is in
mentions.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...bridge.comfyui.api_prompts import plain_workflow
from ..common.parsing import is_sha256
from ..storage.model_folders import Places, same_name
from .graph_walk import MOST_NODES, Placed, too_many_nodes, walk
from .mentions import Mention, Mentions, Use
from .node_inputs import NodeInputs

# Nodes that exist only in the frontend: they hold text for people, or values repeated in the node they feed.
_NOT_RUN = frozenset({"Note", "MarkdownNote", "PrimitiveNode", "Reroute"})


_AUTOV2 = re.compile(r"[0-9a-fA-F]{10}")

# Names of some of a workflow's models; None for all models.
Names = Collection[str] | None


@dataclass
class Need:
    """A model file a workflow names.

    Attributes:
        name: its name with its subfolder, as in the workflow.
        directory: the ComfyUI directory, None if unknown.
        urls: the URLs that the workflow gives.
        sha256: lower-case hexadecimal digest, if the workflow gives one.
        autov2: the beginning of its digest by which CivitAI knows it, likewise.
        uses: all widgets that name it.
    """

    name: str
    directory: str | None
    urls: list[str] = field(default_factory=list)
    sha256: str | None = None
    autov2: str | None = None
    uses: list[Use] = field(default_factory=list)

    def among(self, names: Names) -> bool:
        """Whether it is one of `names`, by its name alone or with its directory."""
        own = {same_name(self.name), same_name(self.in_folder)}
        return names is None or not own.isdisjoint(map(same_name, names))

    @property
    def in_folder(self) -> str:
        """Its name with its directory, which distinguishes it from models of the same name in other directories."""
        return f"{self.directory}/{self.name}"

    @property
    def reason(self) -> str | None:
        """Why it is not needed for a run now, None if it is needed."""
        reasons = [use.reason for use in self.uses]
        return None if None in reasons or not reasons else reasons[0]


class Needs:
    """Reads workflows.

    Args:
        places: ComfyUI's folders.
        inputs: the inputs of node classes; those of a workflow must be learned before it is read.
    """

    def __init__(self, places: Places, inputs: NodeInputs) -> None:
        self._places = places
        self._inputs = inputs

    def read(self, workflow: Any) -> list[Need]:
        """All needs of a workflow in either format, in the order of its nodes.

        Uses neither disk nor network, except that a class is asked again if its own list lacks a node's value.

        Raises:
            UiapiError: `invalid` if it is in neither format.
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
            _note_hash(need, model.get("hash_type"), model.get("hash"))
        return [*found.values()]

    def _mentions(self, workflow: dict[str, Any]) -> Iterator[Mention]:
        nodes = walk(workflow) if isinstance(workflow.get("nodes"), list) else _api_nodes(workflow)
        mentions = Mentions(self._places, self._inputs.choices)
        for placed in nodes:
            if placed.type not in _NOT_RUN:
                known = None if placed.type is None else self._inputs.of(placed.type)
                yield from mentions.of(placed, known if known is not None and known.readable else None)


def _note_hash(need: Need, kind: Any, digest: Any) -> None:
    """Note a hash that a node's record gives, unless there is one already."""
    kind = kind.lower().replace("-", "") if isinstance(kind, str) else None
    if kind == "sha256" and need.sha256 is None and is_sha256(digest):
        need.sha256 = str(digest).lower()
    elif kind == "autov2" and need.autov2 is None and isinstance(digest, str) and _AUTOV2.fullmatch(digest):
        need.autov2 = digest.lower()


def node_types(workflow: Any) -> set[str]:
    """The class names a workflow mentions, subgraphs included."""
    workflow = plain_workflow(workflow)
    nodes = walk(workflow) if isinstance(workflow.get("nodes"), list) else _api_nodes(workflow)
    return {node.type for node in nodes if node.type is not None}


def _api_nodes(workflow: dict[str, Any]) -> Iterator[Placed]:
    if len(workflow) > MOST_NODES:
        raise too_many_nodes()
    for node_id, node in workflow.items():
        inputs = node.get("inputs")
        yield Placed(str(node_id), node.get("class_type"), None, inputs if isinstance(inputs, dict) else {}, [])
