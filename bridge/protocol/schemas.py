"""Models of the answers of commands on the graph, runs and connections, for the documents and to validate tabs.

Handlers use plain data. A tab's answer is validated against these models if its command declares one.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Answer(BaseModel):
    """The base of all answers; an answer may have more keys than declared, never fewer."""

    # Built at first use, since ComfyUI waits for every extension to import.
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True, protected_namespaces=())


class Done(Answer):
    """No keys besides the status."""


class GraphEnvelope(Answer):
    """Keys that an answer about the graph may have on the level of its status."""

    revision: str | None = Field(None, description="The graph's revision, for if_revision.")
    workflow_tab: str | None = Field(None, description="The workflow tab of the page that was used.")
    stale: bool | None = Field(
        None, description="True if no tab is connected and this is the last main tab's snapshot."
    )
    snapshot_time: float | None = Field(None, description="When the snapshot was taken, in seconds of Unix time.")


# -- the graph --------------------------------------------------------------------------------------------------


class Prompt(Answer):
    """A graph in both of ComfyUI's formats."""

    workflow: dict[str, Any] = Field(description="UI format, as ComfyUI saves it.")
    output: dict[str, Any] = Field(description="API format, as ComfyUI runs it.")


class GotWorkflow(Answer):
    """The open graph in both formats."""

    workflow: Prompt


class GotApi(Answer):
    """The open graph in API format."""

    output: dict[str, Any] = Field(description="Nodes by id.")


class Node(Answer):
    """A node as query_fields lists it."""

    id: str | int = Field(description='Inside a subgraph such as "12:3".')
    type: str | None
    title: str | None
    inputs: list[Any] = Field(description="Names.")
    outputs: list[Any] = Field(description="Names.")


class Looks(Answer):
    """Optional facts about a node's appearance. They may have any type, so that no page is refused because of them."""

    subgraph: Any = Field(None, description="Whether it is one.")
    pos: Any = Field(None, description="[x, y]; query_fields has it and the following only if `want` includes them.")
    size: Any = Field(None, description="[width, height].")
    mode_name: Any = Field(None, description="The name of the mode.")
    collapsed: Any = None
    pinned: Any = None
    color: Any = None


class FullNode(Node, Looks):
    """A node with the facts that this package's own page adds."""

    widgets: list[dict[str, Any]] = Field([], description="Each {name, type, value} and, for choices, options.")
    path: str | None = Field(None, description="The beginning of its fields' paths.")
    mode: int | None = Field(None, description="0 runs, 2 is muted, 4 is bypassed.")
    links: Any = Field(None, description="By input and output, if `want` includes them.")


class Nodes(Answer):
    """The nodes of the open graph, with the keys that every page must return."""

    nodes: list[Node]


class FullNodes(Answer):
    """The nodes of the open graph, those inside subgraphs included."""

    nodes: list[FullNode]
    total: Any = Field(None, description="How many nodes match, if only some are returned.")
    next_offset: Any = Field(None, description="The offset of the next ones, if there are more.")


class Written(Answer):
    """The result of one write."""

    requested: Any = Field(description="The value that was sent.")
    value: Any = Field(description="The value that the field holds now.")
    warnings: list[str] = Field(description="Why the value differs, or will differ, from the requested one.")


class LinkEnd(Answer):
    """One end of a link."""

    node: str | int
    title: str | None = None
    slot: int
    name: str | None = None
    path: str | None = Field(None, description="The field path of this input or output.")


class Link(Answer):
    """The link that was created."""

    link_id: int | None = None
    origin: LinkEnd | None = Field(None, alias="from")
    target: LinkEnd | None = Field(None, alias="to")
    type: str | int | None = Field(None, description='What it carries, such as "IMAGE".')


class Loaded(Answer):
    """The result of loading a workflow."""

    loaded: bool
    message: str
    format: Any = Field(None, description='The format it had: "ui" or "api".')
    nodes: Any = Field(None, description="How many nodes there are now.")
    missing_node_types: Any = Field(None, description="Node types that ComfyUI does not have.")
    warnings: Any = Field(None, description="Which nodes the page could not create.")


class Offered(Answer):
    """The result of offering a workflow."""

    accepted: bool
    message: str
    webui: int | None = Field(None, description="The tab in which it was accepted.")


# -- runs -------------------------------------------------------------------------------------------------------


class Queued(Answer):
    """A run in ComfyUI's queue."""

    prompt_id: str
    number: float | int | None = Field(None, description="Its position in the queue.")
    node_errors: Any = Field(None, description="ComfyUI's messages about nodes that it leaves out.")
    prompt_ids: list[str] = Field([], description="The id of each run if there are several.")
    set: Any = Field(None, description="The result of each write before the run, by path.")
    warnings: list[str] = Field([], description="What is left out of the given workflow.")

    @classmethod
    def of(cls, body: Any) -> dict[str, Any] | None:
        """Parse ComfyUI's answer to a submission; returns None for any other JSON."""
        try:
            model = cls.model_validate_json(body)
        except (ValidationError, TypeError):
            return None
        return model.model_dump(include={"prompt_id", "number", "node_errors"})


class Output(Answer):
    """An output of a node of a run."""

    node_id: str
    title: str | None
    node_type: str | None
    prompt_id: str | None = Field(None, description="The prompt it belongs to, if there were several.")


class OutputFile(Output):
    """A file that a run created."""

    kind: str = Field(description='"images", "gifs", "audio", "3d" and so on, as the node names it.')
    filename: str
    subfolder: str
    type: str = Field(description='The directory it is in: "output", "temp" or "input".')
    format: str | None = Field(None, description='Its format, if the node reports it, such as "video/h264-mp4".')
    url: str | None = Field(None, description="The URL path where ComfyUI serves it.")
    base64: str | None = Field(None, description="Its content, if requested.")


class OutputText(Output):
    """A text that a node shows."""

    kind: Literal["text"]
    text: str
    length: int | None = Field(None, description="Its full length in characters, if the text is cut.")
    omitted: int | None = Field(
        None, description="How many of the following texts were left out because of their size."
    )


class Failure(Answer):
    """An error, as in an error envelope."""

    code: str
    error: str = Field(description="One sentence that says what to do.")
    details: dict[str, Any] | None = None


class PromptEnd(Answer):
    """The result of one of the prompts of a run."""

    prompt_id: str | None = Field(description="Null if it was never queued.")
    status: Literal["success", "error", "interrupted", "not_queued", "unfinished"]
    error: Failure | None = Field(None, description="Why it did not succeed.")
    execution_time: float | None = Field(None, description="Seconds that ComfyUI took.")
    outputs: list[OutputFile | OutputText] | None = Field(
        None, description="What it created before it failed; other outputs are in the run's `outputs`."
    )


class Ran(Queued):
    """A run in ComfyUI's queue, or, after waiting for it, its results."""

    status: Literal["success", "partial"] | None = Field(
        None, description='"partial" if only some of several prompts succeeded; see `prompts`.'
    )
    outputs: list[OutputFile | OutputText] = Field(
        [], description="The outputs of the prompts that succeeded, in the order of the nodes."
    )
    execution_time: float | None = Field(None, description="Seconds that ComfyUI took.")
    prompts: list[PromptEnd] | None = Field(None, description="The result of each prompt, if there were several.")


# -- connections ------------------------------------------------------------------------------------------------


class WebuiId(Answer):
    """The id of a page."""

    client_id: int


class Acknowledged(Answer):
    """Whether the answer was still expected; the status is "ignored" if not."""

    status: Literal["ok", "ignored"]
    message: str | None = None


class ConnectionStatus(Answer):
    """The connected tabs and the work in progress; with client_id, the state of that tab."""

    webui_connected: bool
    pending_requests: int
    active_clients: int | None = Field(None, description="How many tabs are connected.")
    main_webui_id: int | None = Field(None, description="The tab that is used if a request names none.")
    active_downloads: int | None = None
    pending_downloads: int | None = Field(None, description="Downloads that wait for a person to enter a URL.")
    server_time: float | None = Field(None, description="Seconds of Unix time.")
    server_uptime: float | None = Field(None, description="Seconds.")
    client_id: int | str | None = None
    is_main: bool | None = None
    transport: str | None = Field(None, description='How the tab is connected: "websocket" or "events".')


class Webui(Answer):
    """A connected tab."""

    id: int
    browser: str | None
    platform: str | None
    frontend_version: str | None
    workflow_name: str | None
    is_main: bool
    since: float = Field(description="Seconds of Unix time.")
    transport: str | None
    pending_requests: int


class LateAnswer(Answer):
    """The answer to a request after its timeout."""

    answered: bool = Field(description="Whether the tab has answered since.")
    answer: dict[str, Any] | None = Field(description="Its answer, {status, response} or {status, error, code}.")


class Subscription(Answer):
    """A subscription that has begun."""

    subscription: str = Field(description="The id for unsubscribe.")


class Unsubscribed(Answer):
    """A subscription that has ended."""

    unsubscribed: bool


# -- ComfyUI's node types and queue -------------------------------------------------------------------------------


class NodeType(Answer):
    """A node type as search_nodes returns it."""

    type: str
    title: str
    category: str
    description: str
    inputs: list[str] = Field(description='The types of its inputs, such as "IMAGE".')
    outputs: list[str] = Field(description="The types of its outputs.")
    output_node: bool = Field(description="Whether a workflow can end with it.")


class NodeTypes(Answer):
    """The node types that match, best first."""

    nodes: list[NodeType]
    total: int = Field(description="How many match, including those beyond the limit.")


class NodeTypeInfo(Answer):
    """A node type in full."""

    type: str
    title: str
    category: str
    description: str
    inputs: list[dict[str, Any]] = Field(description="Each {name, type, required} with default, range and choices.")
    outputs: list[dict[str, str]] = Field(description="Each {name, type}.")
    output_node: bool


class Validated(Answer):
    """The result of ComfyUI's validation of a workflow."""

    valid: bool
    error: Any = Field(description="ComfyUI's error, if it refuses the workflow as a whole.")
    node_errors: dict[str, Any] = Field(description="ComfyUI's errors by node id.")
    missing_node_types: list[str]
    warnings: list[str] = Field(
        [], description="Which nodes a run leaves out: their type is unknown and no output needs them."
    )


class QueuedPrompt(Answer):
    """A prompt in ComfyUI's queue."""

    prompt_id: str
    number: float | int
    nodes: int


class QueueContents(Answer):
    """ComfyUI's queue, in the order it will run."""

    running: list[QueuedPrompt]
    waiting: list[QueuedPrompt]


class Cancelled(Answer):
    """The prompts that were removed from the queue."""

    cancelled: list[str]
    not_waiting: list[str] = Field([], description="Those of the request that were not waiting in the queue.")


class Interrupted(Answer):
    """The prompts that were asked to stop."""

    interrupted: list[str]


# Responses that are not objects with declared keys.
WrittenFields = dict[str, Written]
Webuis = list[Webui]
