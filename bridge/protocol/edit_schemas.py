"""The responses of the commands that edit the graph."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .schemas import Answer, Looks


class NodeBrief(Looks):
    """A node as query_fields returns it, with its position."""

    id: str
    type: str | None
    title: str | None
    inputs: Any = Field(None, description="Names.")
    outputs: Any = Field(None, description="Names.")
    widgets: Any = Field(None, description="Each {name, type, value} and, for choices, options.")
    path: Any = Field(None, description="The prefix of its fields' paths.")
    mode: Any = Field(None, description="0 runs, 2 is muted, 4 is bypassed.")


class MadeNode(Answer):
    """The node that was created or changed."""

    node: NodeBrief
    set: Any = Field(None, description="The result of each write of add_node, by field name.")


class MadeNodes(Answer):
    """The nodes that were created."""

    nodes: list[NodeBrief]


class Removed(Answer):
    """The removed parts of the graph."""

    removed: list[dict[str, Any]]


class MadeGroup(Answer):
    """The group that was created or changed."""

    group: dict[str, Any] = Field(description="{id, title, bounding, color, nodes}.")


class RemovedGroup(Answer):
    """The group that was removed; its nodes stay."""

    removed: dict[str, Any]


class Moved(Answer):
    """How many nodes were moved."""

    moved: int


class Change(Answer):
    """One difference between two states of the graph."""

    kind: str
    path: Any = Field(None, description="The field path.")
    node: Any = Field(None, description="The node's id, if the difference is in a node.")
    what: Any = Field(None, description="The property that differs.")
    before: Any = Field(None, description="Its value, or null where there was none.")
    after: Any = Field(None, description="Its value now, or null where there is none.")


class Batched(Answer):
    """The result of a batch, or with dry_run what it would be."""

    results: list[Any] = Field(description="The answer of each command.")
    applied: bool
    changes: list[Change]


class Undone(Answer):
    """The number of steps that were undone or redone."""

    done: int


class TakenSnapshot(Answer):
    """The snapshot that was taken."""

    snapshot: dict[str, Any] = Field(description="{id, name, time, workflow_tab, nodes}.")


class Snapshots(Answer):
    """The snapshots of this page, oldest first."""

    snapshots: list[dict[str, Any]]


class Restored(Answer):
    """Whether the snapshot was restored."""

    restored: bool


class Compared(Answer):
    """The differences."""

    changes: list[Change]
