"""The responses of the commands about missing nodes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .schemas import Answer


class KnownTypes(Answer):
    """Those of the types that the page makes without ComfyUI."""

    types: list[str]


class MissingNode(Answer):
    """A node of a missing type."""

    id: str = Field(description='Inside a subgraph such as "12:3".')
    title: str | None


class NodePack(Answer):
    """A pack that has a missing type."""

    id: str | None = Field(description="Its id in the registry of ComfyUI's packs, if known.")
    title: str
    repository: str | None = Field(description="Its URL.")
    version: str | None = Field(description="The version that the workflow was made with.")
    origin: Literal["workflow", "manager"] = Field(description="Where its name comes from.")
    state: Literal["missing", "loaded", "failed", "disabled", "not_loaded"] = Field(
        description="Whether it is installed; one that failed to import has an error."
    )
    error: str | None


class MissingNodeType(Answer):
    """A node type that ComfyUI does not have."""

    type: str | None = Field(description="null if the workflow does not name it.")
    count: int = Field(description="The number of its nodes.")
    nodes: list[MissingNode] = Field(description="Its nodes, at most 100.")
    packs: list[NodePack] = Field(description="The packs that have it, the likeliest first.")
    how: str = Field(description="One sentence that says how to get it.")


class MissingNodeTypes(Answer):
    """What a workflow lacks."""

    types: list[MissingNodeType]
    total: int = Field(description="The number of missing types, of which at most 1000 are listed.")
    manager: Literal["tasks", "batch", "queue"] | None = Field(
        description="The kind of routes with which ComfyUI-Manager installs packs; null if it is not running."
    )
    page_asked: bool = Field(
        description="False if no page could say which of the types it makes itself; these are then listed as well."
    )
