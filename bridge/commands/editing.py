"""Commands that edit the open graph: nodes, links, groups, subgraphs, a batch of them, undo and snapshots."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ...common.errors import UiapiError
from ...common.shorten import cut
from ..app.dispatch import Call
from ..comfyui.input_images import Pictures
from ..protocol.command_spec import COMMANDS, Kind, Request, Risk, Strict, command, tab_command
from ..protocol.lazy_types import LazyModule
from .fields import WRITES, Path, SetFields, Write

Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Box = Annotated[list[float], Field(min_length=4, max_length=4, description="x, y, width and height.")]
Title = Annotated[str, StringConstraints(max_length=1000)]
NodePath = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Mode = Literal["always", "muted", "bypassed"]
Nodes = Annotated[list[NodePath], Field(min_length=1, max_length=10_000, description="The paths of the nodes.")]

schemas = LazyModule("..protocol.edit_schemas", __package__)

COLOR = "As #rrggbb, or a name of the frontend's own palette; null for the default."


class AddNode(Request):
    """The node to create."""

    subjects = ("fields", "title", "type")
    type: str = Field(min_length=1, max_length=500, description="Find it with search_nodes.")
    title: Title | None = None
    pos: Point | None = Field(None, description="Default: next to the other nodes.")
    size: Point | None = None
    fields: list[Write] | None = Field(None, max_length=1000, description=f"By widget name. {WRITES}")
    mode: Mode | None = None
    subgraph: NodePath | None = Field(None, description="The subgraph node in which to create it.")

    def writes(self) -> list[Write]:
        """The values of the new node."""
        return self.fields or []


class NodesRequest(Request):
    """The nodes."""

    subjects = ("nodes",)
    nodes: Nodes


class SetNode(Request):
    """The changes to a node; anything left out is unchanged."""

    subjects = ("node",)
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
    """The links to remove: that of an input, all of an output, or one by its ends."""

    subjects = ("field",)
    field: Path | LinkEnds


class AddGroup(Request):
    """The group to create: around nodes, or with the given `bounding`."""

    subjects = ("nodes", "title")
    title: Title
    nodes: Nodes | None = None
    bounding: Box | None = None
    color: str | None = Field(None, max_length=50, description=COLOR)


class SetGroup(Request):
    """The changes to a group."""

    subjects = ("title", "group")
    group: NodePath = Field(description="Its title or #id.")
    title: Title | None = None
    pos: Point | None = None
    size: Point | None = None
    bounding: Box | None = None
    color: str | None = Field(None, max_length=50, description=COLOR)


class RemoveGroup(Request):
    """The group."""

    subjects = ("group",)
    group: NodePath = Field(description="Its title or #id.")


class Arrange(Request):
    """The nodes to arrange; default: all."""

    subjects = ("nodes",)
    nodes: Nodes | None = None


class ConvertToSubgraph(Request):
    """The nodes to put into a subgraph."""

    subjects = ("nodes",)
    nodes: Nodes
    title: Title | None = None


class OneNode(Request):
    """The node."""

    subjects = ("node",)
    node: NodePath


class BatchCommand(Strict):
    """One command of a batch."""

    command: str = Field(max_length=100)
    data: dict[str, Any] = Field(default_factory=dict)

    def pairs(self) -> list[tuple[str, Any]]:
        """The values for fields in its data, as (path, value); those of another form are refused later."""
        fields = self.data.get("fields")
        listed = [self.data.get("field")] if fields is None else fields
        pairs = listed if isinstance(listed, list) else []
        return [(str(pair[0]), pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]


class Batch(Request):
    """The commands, in their order."""

    subjects = ("commands",)
    commands: list[BatchCommand] = Field(min_length=1, max_length=10_000)
    dry_run: bool = Field(False, description="Only return the changes, without making them.")

    def kinds(self) -> frozenset[Kind]:
        """The kinds of its commands; an unknown one is refused later."""
        return frozenset(COMMANDS[item.command].kind for item in self.commands if item.command in BATCHABLE)

    def writes(self) -> list[tuple[str, Any]]:
        """The fields it sets, and its other commands with their data."""
        listed: list[tuple[str, Any]] = []
        for item in self.commands:
            pairs = item.pairs() if item.command == "set_fields" else []
            listed += pairs or [(item.command, item.data)]
        return listed

    def values(self) -> list[tuple[str, Any]]:
        """The values in all of its commands."""
        return [pair for item in self.commands for pair in item.pairs()]


class Steps(Request):
    """The number of steps."""

    steps: int = Field(1, ge=1, le=1000)


class NameSnapshot(Request):
    """The name of the snapshot."""

    subjects = ("name",)
    name: Title | None = None


class OneSnapshot(Request):
    """The snapshot."""

    subjects = ("snapshot",)
    snapshot: str = Field(min_length=1, max_length=1000, description="Its id or name.")


class CompareSnapshots(Request):
    """The two snapshots; default of `b`: the open graph."""

    a: str = Field(min_length=1, max_length=1000)
    b: str | None = Field(None, min_length=1, max_length=1000)


@command("add_node", response=schemas.MadeNode, errors=["storage_failed"], risk=Risk.DRIVE, tab=True)
async def add_node(call: Call, request: AddNode) -> dict[str, Any]:
    """Create a node."""
    # The tab is found first, so that no picture is stored without one.
    call.webui()
    async with call.pictures() as pictures:
        answer: dict[str, Any] = await call.tab("add_node", await _with_pictures(call, request, pictures))
        await pictures.keep(answer)
    return answer


async def _with_pictures(call: Call, request: AddNode, pictures: Pictures, *, dry: bool = False) -> dict[str, Any]:
    """Return the data of add_node for the tab, with the pictures in its fields stored."""
    data = call.data()
    if request.fields:
        label = request.title or request.type
        stored = await pictures.data([(f"{label}.{name}", value) for name, value in request.fields], dry=dry)
        names = [name for name, _ in request.fields]
        data["fields"] = [(name, value) for name, (_, value) in zip(names, stored.pop("fields"), strict=True)]
        data |= stored
    return data


EDITS: dict[str, tuple[str, type[Request], Any]] = {
    "remove_node": ("Remove nodes with their links.", NodesRequest, schemas.Removed),
    "set_node": (
        "Change a node's title, position, size, mode, colour, or whether it is collapsed or pinned.",
        SetNode,
        schemas.MadeNode,
    ),
    "disconnect": ("Remove links.", Disconnect, schemas.Removed),
    "add_group": ("Create a group.", AddGroup, schemas.MadeGroup),
    "set_group": ("Change a group's title, position, size or colour.", SetGroup, schemas.MadeGroup),
    "remove_group": ("Remove a group; its nodes stay.", RemoveGroup, schemas.RemovedGroup),
    "arrange": ("Arrange nodes in the order of their links.", Arrange, schemas.Moved),
    "convert_to_subgraph": ("Convert nodes to a subgraph.", ConvertToSubgraph, schemas.MadeNode),
    "unpack_subgraph": ("Replace a subgraph node by the nodes in it.", OneNode, schemas.MadeNodes),
}
for _name, (_doc, _request, _response) in EDITS.items():
    tab_command(_name, _doc, request=_request, response=_response, risk=Risk.DRIVE)

tab_command("undo", "Undo steps, as Ctrl+Z does.", request=Steps, response=schemas.Undone, risk=Risk.DRIVE)
tab_command("redo", "Redo steps.", request=Steps, response=schemas.Undone, risk=Risk.DRIVE)
tab_command(
    "take_snapshot",
    "Take a snapshot of the open graph in the page, to compare with or restore later.",
    request=NameSnapshot,
    response=schemas.TakenSnapshot,
    risk=Risk.READ,
)
tab_command("list_snapshots", "List the snapshots of this page.", response=schemas.Snapshots, risk=Risk.READ)
tab_command(
    "restore_snapshot",
    "Restore a snapshot, as one step that can be undone.",
    request=OneSnapshot,
    response=schemas.Restored,
    risk=Risk.DRIVE,
)
tab_command(
    "compare_snapshots",
    "List the differences between two snapshots, or a snapshot and the open graph.",
    request=CompareSnapshots,
    response=schemas.Compared,
    risk=Risk.READ,
)

BATCHABLE = frozenset({*EDITS, "add_node", "set_fields", "set_connection"})


@command("batch", response=schemas.Batched, risk=Risk.DRIVE, tab=True)
async def batch(call: Call, request: Batch) -> dict[str, Any]:
    """Carry out several edits, all or none, as one step that can be undone."""
    async with call.pictures() as pictures:
        # A dry run stores nothing; the name a picture would get is enough to list the changes.
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
    """Return the data of one command for the tab; an error names the command of the batch."""
    where = {"index": index, "command": item.command}
    if item.command not in BATCHABLE:
        raise UiapiError(
            "invalid",
            f"Command {index} of the batch: {item.command[:80]!r} is not allowed in a batch; use one of "
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
