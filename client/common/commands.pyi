"""The types of commands.py, a method for each command, as `python3 dev.py generate` writes them."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

class GotWorkflow(TypedDict):
    workflow: Prompt

class GotApi(TypedDict):
    output: dict[str, Any]

class FullNodes(TypedDict):
    nodes: list[FullNode]
    total: NotRequired[Any]
    next_offset: NotRequired[Any]

Link = TypedDict(
    "Link",
    {
        "link_id": NotRequired[int | None],
        "from": NotRequired[LinkEnd | None],
        "to": NotRequired[LinkEnd | None],
        "type": NotRequired[str | int | None],
    },
)

class Written(TypedDict):
    requested: Any
    value: Any
    warnings: list[str]

class LoadWorkflowAnswer(TypedDict):
    status: Literal["ok"]
    loaded: bool
    message: str
    format: NotRequired[Any]
    nodes: NotRequired[Any]
    missing_node_types: NotRequired[Any]
    warnings: NotRequired[Any]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class SendWorkflowAnswer(TypedDict):
    status: Literal["ok"]
    accepted: bool
    message: str
    webui: NotRequired[int | None]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class MadeNode(TypedDict):
    node: NodeBrief
    set: NotRequired[Any]

class Removed(TypedDict):
    removed: list[dict[str, Any]]

LinkEnds = TypedDict(
    "LinkEnds",
    {
        "from": str,
        "to": str,
    },
)

class MadeGroup(TypedDict):
    group: dict[str, Any]

class RemovedGroup(TypedDict):
    removed: dict[str, Any]

class Moved(TypedDict):
    moved: int

class MadeNodes(TypedDict):
    nodes: list[NodeBrief]

class Undone(TypedDict):
    done: int

class TakenSnapshot(TypedDict):
    snapshot: dict[str, Any]

class Snapshots(TypedDict):
    snapshots: list[dict[str, Any]]

class Restored(TypedDict):
    restored: bool

class Compared(TypedDict):
    changes: list[Change]

class BatchCommand(TypedDict):
    command: str
    data: NotRequired[dict[str, Any]]

class Batched(TypedDict):
    results: list[Any]
    applied: bool
    changes: list[Change]

class Ran(TypedDict):
    prompt_id: str
    number: NotRequired[float | int | None]
    node_errors: NotRequired[Any]
    prompt_ids: NotRequired[list[str]]
    set: NotRequired[Any]
    warnings: NotRequired[list[str]]
    status: NotRequired[Literal["success", "partial"] | None]
    outputs: NotRequired[list[OutputFile | OutputText]]
    execution_time: NotRequired[float | None]
    prompts: NotRequired[list[PromptEnd] | None]

class NodeTypes(TypedDict):
    nodes: list[NodeType]
    total: int

class NodeTypeInfo(TypedDict):
    type: str
    title: str
    category: str
    description: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, str]]
    output_node: bool

class Validated(TypedDict):
    valid: bool
    error: Any
    node_errors: dict[str, Any]
    missing_node_types: list[str]
    warnings: NotRequired[list[str]]

class QueueContents(TypedDict):
    running: list[QueuedPrompt]
    waiting: list[QueuedPrompt]

class Cancelled(TypedDict):
    cancelled: list[str]
    not_waiting: NotRequired[list[str]]

class Interrupted(TypedDict):
    interrupted: list[str]

class Tabs(TypedDict):
    tabs: list[Tab]

class OneTab(TypedDict):
    tab: Tab

class Picture(TypedDict):
    png: str
    width: int
    height: int

class WebuiReadyAnswer(TypedDict):
    status: Literal["ok"]
    client_id: int

class WebuiResponseAnswer(TypedDict):
    status: Literal["ok", "ignored"]
    message: NotRequired[str | None]

class WebuiDisconnectAnswer(TypedDict):
    status: Literal["ok"]

class ClientDisconnectAnswer(TypedDict):
    status: Literal["ok"]

class ConnectionStatusAnswer(TypedDict):
    status: Literal["ok"]
    webui_connected: bool
    pending_requests: int
    active_clients: NotRequired[int | None]
    main_webui_id: NotRequired[int | None]
    active_downloads: NotRequired[int | None]
    pending_downloads: NotRequired[int | None]
    server_time: NotRequired[float | None]
    server_uptime: NotRequired[float | None]
    client_id: NotRequired[int | str | None]
    is_main: NotRequired[bool | None]
    transport: NotRequired[str | None]

class Webui(TypedDict):
    id: int
    browser: str | None
    platform: str | None
    frontend_version: str | None
    workflow_name: str | None
    is_main: bool
    since: float
    transport: str | None
    pending_requests: int

class LateAnswer(TypedDict):
    answered: bool
    answer: dict[str, Any] | None

class Subscription(TypedDict):
    subscription: str

class Unsubscribed(TypedDict):
    unsubscribed: bool

class Needs(TypedDict):
    models: list[NeededModel]

class Plan(TypedDict):
    models: list[PlannedModel]
    totals: dict[str, int]
    disks: list[Disk]
    verdict: Literal["ready", "blocked", "disk_full"]

class DownloadModelsAnswer(TypedDict):
    status: Literal["ok"]
    message: str
    download_id: str
    unused: NotRequired[list[str]]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class DownloadModelAnswer(TypedDict):
    status: Literal["success"]
    path: str
    download_id: NotRequired[str | None]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class DownloadStatusAnswer(TypedDict):
    status: Literal["initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"]
    download_id: str
    completed: bool
    progress: dict[str, Progress]
    total_models: int
    current_model: int
    start_time: float
    elapsed_time: NotRequired[float | None]
    error: NotRequired[str | None]
    resumable: NotRequired[bool | None]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class Downloads(TypedDict):
    downloads: list[Download]

class DownloadCancelAnswer(TypedDict):
    status: Literal["ok"]
    download_id: str
    state: Literal["initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class DownloadPauseAnswer(TypedDict):
    status: Literal["ok"]
    download_id: str
    state: Literal["initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class DownloadResumeAnswer(TypedDict):
    status: Literal["ok"]
    download_id: str
    state: Literal["initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class ModelStatusAnswer(TypedDict):
    status: Literal["success", "damaged", "downloading", "not_found"]
    exists: bool
    path: NotRequired[str | None]
    type: NotRequired[str | None]
    size: NotRequired[int | None]
    damage: NotRequired[str | None]
    progress: NotRequired[Progress | None]
    download_id: NotRequired[str | None]
    started: NotRequired[float | None]
    elapsed: NotRequired[float | None]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class UrlMap(TypedDict):
    urls: dict[str, Any]

class AddModelUrlAnswer(TypedDict):
    status: Literal["ok"]
    model_def: Any
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class RemoveModelUrlAnswer(TypedDict):
    status: Literal["ok"]
    model_name: str
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class GetModelUrlAnswer(TypedDict):
    status: Literal["ok"]
    url: NotRequired[str | None]
    model_type: NotRequired[str | None]
    urls: NotRequired[dict[str, str] | None]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class ClearNonexistantModelsAnswer(TypedDict):
    status: Literal["ok"]
    message: str
    cleared_count: int
    cleared_fields: list[str]
    revision: NotRequired[str | None]
    workflow_tab: NotRequired[str | None]
    stale: NotRequired[bool | None]
    snapshot_time: NotRequired[float | None]

class RelinkedModels(TypedDict):
    dry_run: bool
    relinked: list[Relinked]

class Prompt(TypedDict):
    workflow: dict[str, Any]
    output: dict[str, Any]

class FullNode(TypedDict):
    subgraph: NotRequired[Any]
    pos: NotRequired[Any]
    size: NotRequired[Any]
    mode_name: NotRequired[Any]
    collapsed: NotRequired[Any]
    pinned: NotRequired[Any]
    color: NotRequired[Any]
    id: str | int
    type: str | None
    title: str | None
    inputs: list[Any]
    outputs: list[Any]
    widgets: NotRequired[list[dict[str, Any]]]
    path: NotRequired[str | None]
    mode: NotRequired[int | None]
    links: NotRequired[Any]

class LinkEnd(TypedDict):
    node: str | int
    title: NotRequired[str | None]
    slot: int
    name: NotRequired[str | None]
    path: NotRequired[str | None]

class NodeBrief(TypedDict):
    subgraph: NotRequired[Any]
    pos: NotRequired[Any]
    size: NotRequired[Any]
    mode_name: NotRequired[Any]
    collapsed: NotRequired[Any]
    pinned: NotRequired[Any]
    color: NotRequired[Any]
    id: str
    type: str | None
    title: str | None
    inputs: NotRequired[Any]
    outputs: NotRequired[Any]
    widgets: NotRequired[Any]
    path: NotRequired[Any]
    mode: NotRequired[Any]

class Change(TypedDict):
    kind: str
    path: NotRequired[Any]
    node: NotRequired[Any]
    what: NotRequired[Any]
    before: NotRequired[Any]
    after: NotRequired[Any]

class OutputFile(TypedDict):
    node_id: str
    title: str | None
    node_type: str | None
    prompt_id: NotRequired[str | None]
    kind: str
    filename: str
    subfolder: str
    type: str
    format: NotRequired[str | None]
    url: NotRequired[str | None]
    base64: NotRequired[str | None]

class OutputText(TypedDict):
    node_id: str
    title: str | None
    node_type: str | None
    prompt_id: NotRequired[str | None]
    kind: Literal["text"]
    text: str
    length: NotRequired[int | None]
    omitted: NotRequired[int | None]

class PromptEnd(TypedDict):
    prompt_id: str | None
    status: Literal["success", "error", "interrupted", "not_queued", "unfinished"]
    error: NotRequired[Failure | None]
    execution_time: NotRequired[float | None]
    outputs: NotRequired[list[OutputFile | OutputText] | None]

class NodeType(TypedDict):
    type: str
    title: str
    category: str
    description: str
    inputs: list[str]
    outputs: list[str]
    output_node: bool

class QueuedPrompt(TypedDict):
    prompt_id: str
    number: float | int
    nodes: int

class Tab(TypedDict):
    id: str
    name: str | None
    path: str | None
    active: bool
    modified: bool

class NeededModel(TypedDict):
    name: str
    directory: str | None
    url: str | None
    exists: bool
    state: Literal["present", "damaged", "spelled_differently", "missing"]
    listed: str | None
    path: str | None
    size: int | None
    sha256: str | None
    gated: bool | None
    named_in: Literal["record", "loader", "combo", "unknown_node", "row", "lora_tag", "embedding"]
    node: NotRequired[dict[str, Any] | None]
    reason: str | None
    damage: NotRequired[str | None]

class PlannedModel(TypedDict):
    name: str
    directory: str | None
    action: Literal["present", "damaged", "spelled_differently", "download", "link", "blocked", "no_url", "not_needed"]
    source: str | None
    url: str | None
    size: int | None
    remaining: int | None
    sha256: str | None
    gated: bool | None
    early_access: str | None
    path: str | None
    listed: str | None
    reason: Reason | None

class Disk(TypedDict):
    path: str
    free: int
    needed: int
    fits: bool

class Progress(TypedDict):
    status: str
    path: str | None
    model_number: str | None
    error: str | None
    bytes: int
    total: int | None
    speed: float | None
    eta: float | None
    code: NotRequired[str | None]

class Download(TypedDict):
    status: Literal["initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"]
    download_id: str
    completed: bool
    progress: dict[str, Progress]
    total_models: int
    current_model: int
    start_time: float
    elapsed_time: NotRequired[float | None]
    error: NotRequired[str | None]
    resumable: NotRequired[bool | None]

class Relinked(TypedDict):
    path: str
    previous: str
    value: str
    reason: Literal["spelled_differently"]

class Failure(TypedDict):
    code: str
    error: str
    details: NotRequired[dict[str, Any] | None]

class Reason(TypedDict):
    code: str
    message: str

class Commands:
    def __init__(self, call: Callable[[str, dict[str, Any]], Any]) -> None: ...
    def get_workflow(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GotWorkflow:
        """Fetch the open graph in UI and API format."""

    def get_workflow_api(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GotApi:
        """Fetch the open graph in API format."""

    def query_fields(
        self,
        *,
        types: Sequence[str] | None = ...,
        titles: Sequence[str] | None = ...,
        near: str | None = ...,
        distance: int | None = ...,
        depth: int | None = ...,
        want: Sequence[str] | None = ...,
        limit: int | None = ...,
        offset: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> FullNodes:
        """List the nodes of the open graph with their inputs, outputs and widgets."""

    def set_connection(
        self,
        field: Sequence[Any],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Link:
        """Link an output to an input: field is [from, to]."""

    def get_fields(
        self,
        fields: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> dict[str, Any]:
        """Read fields by their paths."""

    def set_fields(
        self,
        *,
        fields: Sequence[Sequence[Any]] | None = ...,
        field: Sequence[Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> dict[str, Written]:
        """Write fields by their paths; if one cannot be written, none is."""

    def load_workflow(
        self,
        workflow: dict[str, Any],
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> LoadWorkflowAnswer:
        """Open a workflow, in UI or API format, in the tab."""

    def send_workflow(
        self,
        workflow: dict[str, Any],
        *,
        message: str | None = ...,
        title: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> SendWorkflowAnswer:
        """Offer a workflow in every open tab at once; the first person to accept gets it."""

    def add_node(
        self,
        type: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        fields: Sequence[Sequence[Any]] | None = ...,
        mode: Literal["always", "muted", "bypassed"] | None = ...,
        subgraph: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Make a node."""

    def remove_node(
        self,
        nodes: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Removed:
        """Remove nodes with their links."""

    def set_node(
        self,
        node: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        mode: Literal["always", "muted", "bypassed"] | None = ...,
        collapsed: bool | None = ...,
        pinned: bool | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Change a node's title, place, size, mode, colour, or whether it is collapsed or pinned."""

    def disconnect(
        self,
        field: str | LinkEnds,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Removed:
        """Cut links."""

    def add_group(
        self,
        title: str,
        *,
        nodes: Sequence[str] | None = ...,
        bounding: Sequence[float] | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeGroup:
        """Make a group."""

    def set_group(
        self,
        group: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        bounding: Sequence[float] | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeGroup:
        """Change a group's title, place, size or colour."""

    def remove_group(
        self,
        group: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RemovedGroup:
        """Remove a group; its nodes stay."""

    def arrange(
        self,
        *,
        nodes: Sequence[str] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Moved:
        """Lay nodes out in the order of their links."""

    def convert_to_subgraph(
        self,
        nodes: Sequence[str],
        *,
        title: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Put nodes into a subgraph."""

    def unpack_subgraph(
        self,
        node: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNodes:
        """Put the nodes of a subgraph in its place."""

    def undo(
        self,
        *,
        steps: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Undone:
        """Undo steps, as Ctrl+Z does."""

    def redo(
        self,
        *,
        steps: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Undone:
        """Redo steps."""

    def take_snapshot(
        self,
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> TakenSnapshot:
        """Remember the open graph in the page, to compare with or go back to."""

    def list_snapshots(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Snapshots:
        """List the snapshots of this page."""

    def restore_snapshot(
        self,
        snapshot: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Restored:
        """Go back to a snapshot, as one step that can be undone."""

    def compare_snapshots(
        self,
        a: str,
        *,
        b: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Compared:
        """Say what differs between two snapshots, or a snapshot and the open graph."""

    def batch(
        self,
        commands: Sequence[BatchCommand],
        *,
        dry_run: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Batched:
        """Carry out several edits, all or none, as one step that can be undone."""

    def execute(
        self,
        *,
        wait: bool | None = ...,
        batch_count: int | None = ...,
        outputs: Literal["urls", "base64"] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Ran:
        """Press Run in the open tab; with wait, answer once ComfyUI is done."""

    def run(
        self,
        *,
        fields: Sequence[Sequence[Any]] | None = ...,
        workflow: dict[str, Any] | None = ...,
        wait: bool | None = ...,
        batch_count: int | None = ...,
        outputs: Literal["urls", "base64"] | None = ...,
        timeout: float | None = ...,
        webui: int | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Ran:
        """Load a workflow and set fields if given, run it, and answer with every file it made."""

    def search_nodes(
        self,
        *,
        query: str | None = ...,
        category: str | None = ...,
        input_type: str | None = ...,
        output_type: str | None = ...,
        limit: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> NodeTypes:
        """Find node types by words, category, and the types they take and give."""

    def node_info(
        self,
        type: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> NodeTypeInfo:
        """Describe a node type in full: its inputs with defaults, ranges and choices, and its outputs."""

    def validate(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Validated:
        """Say what ComfyUI would refuse of a workflow, by node and input, and which node types it does not have."""

    def queue(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> QueueContents:
        """List what ComfyUI runs and what waits in its queue."""

    def queue_cancel(
        self,
        prompt_ids: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Cancelled:
        """Take waiting prompts out of ComfyUI's queue."""

    def queue_clear(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Cancelled:
        """Take every waiting prompt out of ComfyUI's queue; what runs goes on."""

    def interrupt(
        self,
        *,
        prompt_id: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Interrupted:
        """Stop the run ComfyUI is at, or the named one if that is the one."""

    def list_tabs(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Tabs:
        """List the workflow tabs of the page."""

    def new_tab(
        self,
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Open an empty workflow in a tab of its own."""

    def open_tab(
        self,
        path: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Open one of the person's saved workflows."""

    def switch_tab(
        self,
        tab: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Show another workflow tab."""

    def rename_tab(
        self,
        name: str,
        *,
        tab: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Rename a workflow tab, and its file if it has one."""

    def save_tab(
        self,
        *,
        tab: str | None = ...,
        name: str | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Save a workflow among the person's workflows."""

    def close_tab(
        self,
        tab: str,
        *,
        discard: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Close a workflow tab."""

    def screenshot(
        self,
        *,
        nodes: Sequence[str] | None = ...,
        width: int | None = ...,
        height: int | None = ...,
        padding: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Picture:
        """Take a picture of the canvas or of some nodes."""

    def webui_ready(
        self,
        *,
        client_id: str | int | None = ...,
        browserInfo: dict[str, Any] | None = ...,
        page_key: str | None = ...,
    ) -> WebuiReadyAnswer:
        """Tell the server of a page that speaks only ComfyUI's own websocket; answers its id."""

    def webui_response(
        self,
        *,
        client_id: str | int | None = ...,
        request_id: str | None = ...,
        response: Any = ...,
    ) -> WebuiResponseAnswer:
        """Answer a request that a page got over ComfyUI's own websocket."""

    def webui_disconnect(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> WebuiDisconnectAnswer:
        """Tell the server that a page is closing; its id may be left out when it is the only one."""

    def client_disconnect(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> ClientDisconnectAnswer:
        """Tell the server that a page is closing (the older name)."""

    def connection_status(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> ConnectionStatusAnswer:
        """Say who is connected and what is going on, or with client_id how that tab is; times in seconds."""

    def webuis(
        self,
    ) -> list[Webui]:
        """List the open tabs."""

    def late_result(
        self,
        request_id: str,
    ) -> LateAnswer:
        """Fetch what a tab answered after its caller was told `timeout`, within 10 minutes."""

    def subscribe(
        self,
        *,
        events: Sequence[str] | None = ...,
        paths: Sequence[str] | None = ...,
    ) -> Subscription:
        """Hear events on this websocket until it closes or unsubscribe is sent."""

    def unsubscribe(
        self,
        subscription: str | int,
    ) -> Unsubscribed:
        """End a subscription of this websocket."""

    def analyze_workflow(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Needs:
        """List every model a workflow needs: its folder, where it can be had, whether it is there, and which node asks."""

    def plan_downloads(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        download_table: dict[str, str | dict[str, Any]] | None = ...,
        only: Sequence[str] | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Plan:
        """Say what download_models would do, before any byte: sizes, hashes, obstacles, room on each disk."""

    def download_models(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        download_table: dict[str, str | dict[str, Any]] | None = ...,
        only: Sequence[str] | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadModelsAnswer:
        """Begin to fetch every model a workflow needs and has not; answers at once with a download_id."""

    def download_model(
        self,
        model_name: str,
        model_def: str | dict[str, Any],
        *,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadModelAnswer:
        """Fetch one model; answers when it is there."""

    def download_status(
        self,
        download_id: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadStatusAnswer:
        """Tell how far a download is; sizes in bytes, speed in bytes per second, times in seconds."""

    def downloads(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Downloads:
        """List all downloads, those that an earlier ComfyUI left unfinished included."""

    def download_cancel(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadCancelAnswer:
        """Stop a download or one of its models and drop what came of it."""

    def download_pause(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadPauseAnswer:
        """Stop a download or one of its models and keep what came of it."""

    def download_resume(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadResumeAnswer:
        """Go on with a download or one of its models that was paused, cancelled, failed, or cut off by a restart."""

    def model_status(
        self,
        model_name: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> ModelStatusAnswer:
        """Tell whether a model is there and can be used, is being fetched, or neither."""

    def model_urls(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> UrlMap:
        """List the saved addresses of models by name."""

    def add_model_url(
        self,
        model_name: str,
        url: str,
        *,
        directory: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> AddModelUrlAnswer:
        """Remember where a model can be had."""

    def remove_model_url(
        self,
        model_name: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RemoveModelUrlAnswer:
        """Forget where a model can be had."""

    def get_model_url(
        self,
        *,
        model_name: str | None = ...,
        model_names: Sequence[str] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GetModelUrlAnswer:
        """Ask the person at the browser where one model or several can be had, and remember what they say."""

    def clear_nonexistant_models(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> ClearNonexistantModelsAnswer:
        """Empty exactly the widgets of the open workflow whose model file is not there, as one undo step."""

    def relink_models(
        self,
        *,
        dry_run: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RelinkedModels:
        """Set widgets whose model is there under another spelling to the one ComfyUI lists, as one undo step."""


class AsyncCommands:
    def __init__(self, call: Callable[[str, dict[str, Any]], Awaitable[Any]]) -> None: ...
    async def get_workflow(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GotWorkflow:
        """Fetch the open graph in UI and API format."""

    async def get_workflow_api(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GotApi:
        """Fetch the open graph in API format."""

    async def query_fields(
        self,
        *,
        types: Sequence[str] | None = ...,
        titles: Sequence[str] | None = ...,
        near: str | None = ...,
        distance: int | None = ...,
        depth: int | None = ...,
        want: Sequence[str] | None = ...,
        limit: int | None = ...,
        offset: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> FullNodes:
        """List the nodes of the open graph with their inputs, outputs and widgets."""

    async def set_connection(
        self,
        field: Sequence[Any],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Link:
        """Link an output to an input: field is [from, to]."""

    async def get_fields(
        self,
        fields: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> dict[str, Any]:
        """Read fields by their paths."""

    async def set_fields(
        self,
        *,
        fields: Sequence[Sequence[Any]] | None = ...,
        field: Sequence[Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> dict[str, Written]:
        """Write fields by their paths; if one cannot be written, none is."""

    async def load_workflow(
        self,
        workflow: dict[str, Any],
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> LoadWorkflowAnswer:
        """Open a workflow, in UI or API format, in the tab."""

    async def send_workflow(
        self,
        workflow: dict[str, Any],
        *,
        message: str | None = ...,
        title: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> SendWorkflowAnswer:
        """Offer a workflow in every open tab at once; the first person to accept gets it."""

    async def add_node(
        self,
        type: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        fields: Sequence[Sequence[Any]] | None = ...,
        mode: Literal["always", "muted", "bypassed"] | None = ...,
        subgraph: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Make a node."""

    async def remove_node(
        self,
        nodes: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Removed:
        """Remove nodes with their links."""

    async def set_node(
        self,
        node: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        mode: Literal["always", "muted", "bypassed"] | None = ...,
        collapsed: bool | None = ...,
        pinned: bool | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Change a node's title, place, size, mode, colour, or whether it is collapsed or pinned."""

    async def disconnect(
        self,
        field: str | LinkEnds,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Removed:
        """Cut links."""

    async def add_group(
        self,
        title: str,
        *,
        nodes: Sequence[str] | None = ...,
        bounding: Sequence[float] | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeGroup:
        """Make a group."""

    async def set_group(
        self,
        group: str,
        *,
        title: str | None = ...,
        pos: Sequence[float] | None = ...,
        size: Sequence[float] | None = ...,
        bounding: Sequence[float] | None = ...,
        color: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeGroup:
        """Change a group's title, place, size or colour."""

    async def remove_group(
        self,
        group: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RemovedGroup:
        """Remove a group; its nodes stay."""

    async def arrange(
        self,
        *,
        nodes: Sequence[str] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Moved:
        """Lay nodes out in the order of their links."""

    async def convert_to_subgraph(
        self,
        nodes: Sequence[str],
        *,
        title: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNode:
        """Put nodes into a subgraph."""

    async def unpack_subgraph(
        self,
        node: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> MadeNodes:
        """Put the nodes of a subgraph in its place."""

    async def undo(
        self,
        *,
        steps: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Undone:
        """Undo steps, as Ctrl+Z does."""

    async def redo(
        self,
        *,
        steps: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Undone:
        """Redo steps."""

    async def take_snapshot(
        self,
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> TakenSnapshot:
        """Remember the open graph in the page, to compare with or go back to."""

    async def list_snapshots(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Snapshots:
        """List the snapshots of this page."""

    async def restore_snapshot(
        self,
        snapshot: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Restored:
        """Go back to a snapshot, as one step that can be undone."""

    async def compare_snapshots(
        self,
        a: str,
        *,
        b: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Compared:
        """Say what differs between two snapshots, or a snapshot and the open graph."""

    async def batch(
        self,
        commands: Sequence[BatchCommand],
        *,
        dry_run: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Batched:
        """Carry out several edits, all or none, as one step that can be undone."""

    async def execute(
        self,
        *,
        wait: bool | None = ...,
        batch_count: int | None = ...,
        outputs: Literal["urls", "base64"] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Ran:
        """Press Run in the open tab; with wait, answer once ComfyUI is done."""

    async def run(
        self,
        *,
        fields: Sequence[Sequence[Any]] | None = ...,
        workflow: dict[str, Any] | None = ...,
        wait: bool | None = ...,
        batch_count: int | None = ...,
        outputs: Literal["urls", "base64"] | None = ...,
        timeout: float | None = ...,
        webui: int | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Ran:
        """Load a workflow and set fields if given, run it, and answer with every file it made."""

    async def search_nodes(
        self,
        *,
        query: str | None = ...,
        category: str | None = ...,
        input_type: str | None = ...,
        output_type: str | None = ...,
        limit: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> NodeTypes:
        """Find node types by words, category, and the types they take and give."""

    async def node_info(
        self,
        type: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> NodeTypeInfo:
        """Describe a node type in full: its inputs with defaults, ranges and choices, and its outputs."""

    async def validate(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Validated:
        """Say what ComfyUI would refuse of a workflow, by node and input, and which node types it does not have."""

    async def queue(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> QueueContents:
        """List what ComfyUI runs and what waits in its queue."""

    async def queue_cancel(
        self,
        prompt_ids: Sequence[str],
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Cancelled:
        """Take waiting prompts out of ComfyUI's queue."""

    async def queue_clear(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Cancelled:
        """Take every waiting prompt out of ComfyUI's queue; what runs goes on."""

    async def interrupt(
        self,
        *,
        prompt_id: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Interrupted:
        """Stop the run ComfyUI is at, or the named one if that is the one."""

    async def list_tabs(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Tabs:
        """List the workflow tabs of the page."""

    async def new_tab(
        self,
        *,
        name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Open an empty workflow in a tab of its own."""

    async def open_tab(
        self,
        path: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Open one of the person's saved workflows."""

    async def switch_tab(
        self,
        tab: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Show another workflow tab."""

    async def rename_tab(
        self,
        name: str,
        *,
        tab: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Rename a workflow tab, and its file if it has one."""

    async def save_tab(
        self,
        *,
        tab: str | None = ...,
        name: str | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Save a workflow among the person's workflows."""

    async def close_tab(
        self,
        tab: str,
        *,
        discard: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> OneTab:
        """Close a workflow tab."""

    async def screenshot(
        self,
        *,
        nodes: Sequence[str] | None = ...,
        width: int | None = ...,
        height: int | None = ...,
        padding: int | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Picture:
        """Take a picture of the canvas or of some nodes."""

    async def webui_ready(
        self,
        *,
        client_id: str | int | None = ...,
        browserInfo: dict[str, Any] | None = ...,
        page_key: str | None = ...,
    ) -> WebuiReadyAnswer:
        """Tell the server of a page that speaks only ComfyUI's own websocket; answers its id."""

    async def webui_response(
        self,
        *,
        client_id: str | int | None = ...,
        request_id: str | None = ...,
        response: Any = ...,
    ) -> WebuiResponseAnswer:
        """Answer a request that a page got over ComfyUI's own websocket."""

    async def webui_disconnect(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> WebuiDisconnectAnswer:
        """Tell the server that a page is closing; its id may be left out when it is the only one."""

    async def client_disconnect(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> ClientDisconnectAnswer:
        """Tell the server that a page is closing (the older name)."""

    async def connection_status(
        self,
        *,
        client_id: str | int | None = ...,
    ) -> ConnectionStatusAnswer:
        """Say who is connected and what is going on, or with client_id how that tab is; times in seconds."""

    async def webuis(
        self,
    ) -> list[Webui]:
        """List the open tabs."""

    async def late_result(
        self,
        request_id: str,
    ) -> LateAnswer:
        """Fetch what a tab answered after its caller was told `timeout`, within 10 minutes."""

    async def subscribe(
        self,
        *,
        events: Sequence[str] | None = ...,
        paths: Sequence[str] | None = ...,
    ) -> Subscription:
        """Hear events on this websocket until it closes or unsubscribe is sent."""

    async def unsubscribe(
        self,
        subscription: str | int,
    ) -> Unsubscribed:
        """End a subscription of this websocket."""

    async def analyze_workflow(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Needs:
        """List every model a workflow needs: its folder, where it can be had, whether it is there, and which node asks."""

    async def plan_downloads(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        download_table: dict[str, str | dict[str, Any]] | None = ...,
        only: Sequence[str] | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Plan:
        """Say what download_models would do, before any byte: sizes, hashes, obstacles, room on each disk."""

    async def download_models(
        self,
        *,
        workflow: dict[str, Any] | None = ...,
        download_table: dict[str, str | dict[str, Any]] | None = ...,
        only: Sequence[str] | None = ...,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadModelsAnswer:
        """Begin to fetch every model a workflow needs and has not; answers at once with a download_id."""

    async def download_model(
        self,
        model_name: str,
        model_def: str | dict[str, Any],
        *,
        overwrite: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadModelAnswer:
        """Fetch one model; answers when it is there."""

    async def download_status(
        self,
        download_id: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadStatusAnswer:
        """Tell how far a download is; sizes in bytes, speed in bytes per second, times in seconds."""

    async def downloads(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> Downloads:
        """List all downloads, those that an earlier ComfyUI left unfinished included."""

    async def download_cancel(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadCancelAnswer:
        """Stop a download or one of its models and drop what came of it."""

    async def download_pause(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadPauseAnswer:
        """Stop a download or one of its models and keep what came of it."""

    async def download_resume(
        self,
        download_id: str,
        *,
        model_name: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> DownloadResumeAnswer:
        """Go on with a download or one of its models that was paused, cancelled, failed, or cut off by a restart."""

    async def model_status(
        self,
        model_name: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> ModelStatusAnswer:
        """Tell whether a model is there and can be used, is being fetched, or neither."""

    async def model_urls(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> UrlMap:
        """List the saved addresses of models by name."""

    async def add_model_url(
        self,
        model_name: str,
        url: str,
        *,
        directory: str | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> AddModelUrlAnswer:
        """Remember where a model can be had."""

    async def remove_model_url(
        self,
        model_name: str,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RemoveModelUrlAnswer:
        """Forget where a model can be had."""

    async def get_model_url(
        self,
        *,
        model_name: str | None = ...,
        model_names: Sequence[str] | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> GetModelUrlAnswer:
        """Ask the person at the browser where one model or several can be had, and remember what they say."""

    async def clear_nonexistant_models(
        self,
        *,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> ClearNonexistantModelsAnswer:
        """Empty exactly the widgets of the open workflow whose model file is not there, as one undo step."""

    async def relink_models(
        self,
        *,
        dry_run: bool | None = ...,
        webui: int | None = ...,
        timeout: float | None = ...,
        wait_for_webui: bool | None = ...,
        allow_stale: bool | None = ...,
        workflow_tab: str | None = ...,
        if_revision: str | None = ...,
        idempotency_key: str | None = ...,
    ) -> RelinkedModels:
        """Set widgets whose model is there under another spelling to the one ComfyUI lists, as one undo step."""
