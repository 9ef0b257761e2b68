"""Commands that edit the open graph: nodes, links, groups, subgraphs, a batch of them, undo and snapshots."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ...common.errors import UiapiError
from ...common.shorten import cut
from ..app.dispatch import Call
from ..comfyui.input_images import Pictures
from ..protocol.command_spec import COMMANDS, Kind, Request, Risk, Strict, command, tab_command
from ..protocol.schemas import Answer, Looks
from .fields import WRITES, Path, SetFields, Write

Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Box = Annotated[list[float], Field(min_length=4, max_length=4, description="x, y, width and height.")]
Title = Annotated[str, StringConstraints(max_length=1000)]
NodePath = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Mode = Literal["always", "muted", "bypassed"]
Nodes = Annotated[list[NodePath], Field(min_length=1, max_length=10_000, description="Paths of nodes.")]

COLOR = "As #rrggbb or by a name of the frontend's own palette; null for the usual."


class NodeBrief(Looks):
    """A node as query_fields lists it, with where it is."""

    id: str
    type: str | None
    title: str | None
    inputs: Any = Field(None, description="Names.")
    outputs: Any = Field(None, description="Names.")
    widgets: Any = Field(None, description="Each {name, type, value} and, for choices, options.")
    path: Any = Field(None, description="The beginning of its fields' paths.")
    mode: Any = Field(None, description="0 runs, 2 is muted, 4 is bypassed.")


class MadeNode(Answer):
    """The node that was made or changed."""

    node: NodeBrief
    set: Any = Field(None, description="What came of each field that add_node was given, by name.")


class MadeNodes(Answer):
    """The nodes that were made."""

    nodes: list[NodeBrief]


class Removed(Answer):
    """What was removed."""

    removed: list[dict[str, Any]]


class MadeGroup(Answer):
    """The group that was made or changed."""

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
    path: Any = Field(None, description="Where, as a field path.")
    node: Any = Field(None, description="The node's id, if it is about one.")
    what: Any = Field(None, description="Which of its properties.")
    before: Any = Field(None, description="Its value, or null where there was none.")
    after: Any = Field(None, description="Its value now, or null where there is none.")


class Batched(Answer):
    """What came of a batch, or with dry_run what would."""

    results: list[Any] = Field(description="One answer a command.")
    applied: bool
    changes: list[Change]


class Undone(Answer):
    """How many steps were taken."""

    done: int


class TakenSnapshot(Answer):
    """The snapshot that was taken."""

    snapshot: dict[str, Any] = Field(description="{id, name, time, workflow_tab, nodes}.")


class Snapshots(Answer):
    """The snapshots of this page, oldest first."""

    snapshots: list[dict[str, Any]]


class Restored(Answer):
    """What was restored."""

    restored: bool


class Compared(Answer):
    """What differs."""

    changes: list[Change]


class AddNode(Request):
    """The node to make."""

    type: str = Field(min_length=1, max_length=500, description="Find it with search_nodes.")
    title: Title | None = None
    pos: Point | None = Field(None, description="Beside the others if left out.")
    size: Point | None = None
    fields: list[Write] | None = Field(None, max_length=1000, description=f"By widget names. {WRITES}")
    mode: Mode | None = None
    subgraph: NodePath | None = Field(None, description="The subgraph node to make it in.")

    def writes(self) -> list[Write]:
        """The new node's values."""
        return self.fields or []


class NodesRequest(Request):
    """The nodes this is about."""

    nodes: Nodes


class SetNode(Request):
    """What to change of a node; what is left out stays."""

    node: NodePath
    title: Title | None = None
    pos: Point | None = None
    size: Point | None = None
    mode: Mode | None = None
    collapsed: bool | None = None
    pinned: bool | None = None
    color: str | None = Field(None, max_length=50, description=COLOR)


class LinkEnds(Strict):
    """A link by its two ends."""

    model_config = ConfigDict(populate_by_name=True)

    origin: Path = Field(alias="from")
    target: Path = Field(alias="to")


class Disconnect(Request):
    """The link to cut: that of an input, all of an output, or one by its ends."""

    field: Path | LinkEnds


class AddGroup(Request):
    """The group to make: around nodes, or where `bounding` says."""

    title: Title
    nodes: Nodes | None = None
    bounding: Box | None = None
    color: str | None = Field(None, max_length=50, description=COLOR)


class SetGroup(Request):
    """What to change of a group."""

    group: NodePath = Field(description="Its title or #id.")
    title: Title | None = None
    pos: Point | None = None
    size: Point | None = None
    bounding: Box | None = None
    color: str | None = Field(None, max_length=50, description=COLOR)


class RemoveGroup(Request):
    """Which group."""

    group: NodePath = Field(description="Its title or #id.")


class Arrange(Request):
    """Which nodes; all if left out."""

    nodes: Nodes | None = None


class ConvertToSubgraph(Request):
    """The nodes to put into a subgraph."""

    nodes: Nodes
    title: Title | None = None


class OneNode(Request):
    """Which node."""

    node: NodePath


class BatchCommand(Strict):
    """One command of a batch."""

    command: str = Field(max_length=100)
    data: dict[str, Any] = Field(default_factory=dict)


class Batch(Request):
    """The commands, in their order."""

    commands: list[BatchCommand] = Field(min_length=1, max_length=10_000)
    dry_run: bool = Field(False, description="Only say what would change.")

    def kinds(self) -> frozenset[Kind]:
        """Those of its commands; one that is unknown is refused later."""
        return frozenset(COMMANDS[item.command].kind for item in self.commands if item.command in BATCHABLE)

    def writes(self) -> list[tuple[str, Any]]:
        """The fields it sets, and its other commands with their data."""
        listed: list[tuple[str, Any]] = []
        for item in self.commands:
            fields = item.data.get("fields", [item.data.get("field")]) if item.command == "set_fields" else None
            pairs = isinstance(fields, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in fields)
            listed += [(str(path), value) for path, value in fields] if pairs else [(item.command, item.data)]  # type: ignore[union-attr]
        return listed


class Steps(Request):
    """How many."""

    steps: int = Field(1, ge=1, le=1000)


class NameSnapshot(Request):
    """What to call it."""

    name: Title | None = None


class OneSnapshot(Request):
    """Which snapshot."""

    snapshot: str = Field(min_length=1, max_length=1000, description="Its id or name.")


class CompareSnapshots(Request):
    """Which two; the open graph if `b` is left out."""

    a: str = Field(min_length=1, max_length=1000)
    b: str | None = Field(None, min_length=1, max_length=1000)


@command("add_node", response=MadeNode, errors=["storage_failed"], risk=Risk.DRIVE, tab=True)
async def add_node(call: Call, request: AddNode) -> dict[str, Any]:
    """Make a node."""
    # The tab is found first, so that without one no image is stored.
    call.webui()
    async with Pictures(call.bridge.pictures) as pictures:
        answer: dict[str, Any] = await call.tab("add_node", await _with_pictures(call, request, pictures))
        await pictures.keep(answer)
    return answer


async def _with_pictures(call: Call, request: AddNode, pictures: Pictures, *, dry: bool = False) -> dict[str, Any]:
    """The data of add_node as the tab takes it, with the pictures in its fields stored."""
    data = call.data()
    if request.fields:
        label = request.title or request.type
        stored = await pictures.data([(f"{label}.{name}", value) for name, value in request.fields], dry=dry)
        names = [name for name, _ in request.fields]
        data["fields"] = [(name, value) for name, (_, value) in zip(names, stored.pop("fields"), strict=True)]
        data |= stored
    return data


EDITS: dict[str, tuple[str, type[Request], Any]] = {
    "remove_node": ("Remove nodes with their links.", NodesRequest, Removed),
    "set_node": (
        "Change a node's title, place, size, mode, colour, or whether it is collapsed or pinned.",
        SetNode,
        MadeNode,
    ),
    "disconnect": ("Cut links.", Disconnect, Removed),
    "add_group": ("Make a group.", AddGroup, MadeGroup),
    "set_group": ("Change a group's title, place, size or colour.", SetGroup, MadeGroup),
    "remove_group": ("Remove a group; its nodes stay.", RemoveGroup, RemovedGroup),
    "arrange": ("Lay nodes out in the order of their links.", Arrange, Moved),
    "convert_to_subgraph": ("Put nodes into a subgraph.", ConvertToSubgraph, MadeNode),
    "unpack_subgraph": ("Put the nodes of a subgraph in its place.", OneNode, MadeNodes),
}
for _name, (_doc, _request, _response) in EDITS.items():
    tab_command(_name, _doc, request=_request, response=_response, risk=Risk.DRIVE)

tab_command("undo", "Undo steps, as Ctrl+Z does.", request=Steps, response=Undone, risk=Risk.DRIVE)
tab_command("redo", "Redo steps.", request=Steps, response=Undone, risk=Risk.DRIVE)
tab_command(
    "take_snapshot",
    "Remember the open graph in the page, to compare with or go back to.",
    request=NameSnapshot,
    response=TakenSnapshot,
    risk=Risk.READ,
)
tab_command("list_snapshots", "List the snapshots of this page.", response=Snapshots, risk=Risk.READ)
tab_command(
    "restore_snapshot",
    "Go back to a snapshot, as one step that can be undone.",
    request=OneSnapshot,
    response=Restored,
    risk=Risk.DRIVE,
)
tab_command(
    "compare_snapshots",
    "Say what differs between two snapshots, or a snapshot and the open graph.",
    request=CompareSnapshots,
    response=Compared,
    risk=Risk.READ,
)

BATCHABLE = frozenset({*EDITS, "add_node", "set_fields", "set_connection"})


@command("batch", response=Batched, risk=Risk.DRIVE, tab=True)
async def batch(call: Call, request: Batch) -> dict[str, Any]:
    """Carry out several edits, all or none, as one step that can be undone."""
    async with Pictures(call.bridge.pictures) as pictures:
        # A dry run stores nothing; the name a picture would get is enough to see what would change.
        commands = [
            {"command": item.command, "data": await _checked(call, index, item, pictures, dry=request.dry_run)}
            for index, item in enumerate(request.commands)
        ]
        answer: dict[str, Any] = await call.tab("batch", {"commands": commands, "dry_run": request.dry_run})
        await pictures.keep(answer)
    return {**answer, "changes": [_shown(change) for change in answer["changes"]]}


def _shown(change: dict[str, Any]) -> dict[str, Any]:
    return {key: cut(value) if key in ("before", "after") else value for key, value in change.items()}


async def _checked(call: Call, index: int, item: BatchCommand, pictures: Pictures, *, dry: bool) -> dict[str, Any]:
    """The data of one command as the tab takes it; a refusal says which of the batch it was."""
    where = {"index": index, "command": item.command}
    if item.command not in BATCHABLE:
        raise UiapiError(
            "invalid",
            f"Command {index} of the batch: {item.command[:80]!r} cannot be part of one; these can: "
            f"{', '.join(sorted(BATCHABLE))}.",
            where,
        )
    try:
        parsed = COMMANDS[item.command].parse(item.data)
        if isinstance(parsed, SetFields):
            return await pictures.data(parsed.writes(), dry=dry)
        part = Call(call.bridge, COMMANDS[item.command], call.caller, parsed)
        return await _with_pictures(part, parsed, pictures, dry=dry) if isinstance(parsed, AddNode) else part.data()
    except UiapiError as error:
        raise UiapiError(
            error.code, f"Command {index} of the batch: {error.message}", {**error.details, **where}
        ) from None
