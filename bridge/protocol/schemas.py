"""What commands on the graph, on runs and on connections answer, as models for the documents and for checking tabs.

The handlers themselves deal in plain data. A tab's answer is held against these where its command declares so.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Answer(BaseModel):
    """What is answered may hold more than is declared, never less."""

    # Built at first use: ComfyUI waits for every extension to import.
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class Done(Answer):
    """Nothing beside the status."""


class Told(Answer):
    """What may stand beside the status of an answer about the graph."""

    revision: str | None = Field(None, description="The graph's, for if_revision.")
    workflow_tab: str | None = Field(None, description="The workflow tab of the page that this was about.")
    stale: bool | None = Field(None, description="No tab is open; this is what the last main one told.")
    snapshot_time: float | None = Field(None, description="When it told that, in seconds of Unix time.")


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

    id: str | int = Field(description='Inside a subgraph like "12:3".')
    type: str | None
    title: str | None
    inputs: list[Any] = Field(description="Names.")
    outputs: list[Any] = Field(description="Names.")


class Looks(Answer):
    """How a node looks, of any type, so that no page is refused for how it tells what nobody has to tell."""

    subgraph: Any = Field(None, description="Whether it is one.")
    pos: Any = Field(None, description="[x, y]; query_fields tells it where `want` asks for it, as what follows.")
    size: Any = Field(None, description="[width, height].")
    mode_name: Any = Field(None, description="The mode in a word.")
    collapsed: Any = None
    pinned: Any = None
    color: Any = None


class FullNode(Node, Looks):
    """A node with what pages of this package tell beyond that."""

    widgets: list[dict[str, Any]] = Field([], description="Each {name, type, value} and, for choices, options.")
    path: str | None = Field(None, description="The beginning of its fields' paths.")
    mode: int | None = Field(None, description="0 runs, 2 is muted, 4 is bypassed.")
    links: Any = Field(None, description="By input and output, where `want` asks for them.")


class Nodes(Answer):
    """The nodes of the open graph, in the least form that a page may answer."""

    nodes: list[Node]


class FullNodes(Answer):
    """The nodes of the open graph, those inside subgraphs included."""

    nodes: list[FullNode]
    total: Any = Field(None, description="How many fit, where this is only some of them.")
    next_offset: Any = Field(None, description="Where to go on, if there are more.")


class Written(Answer):
    """What came of one write."""

    requested: Any = Field(description="The value that was sent.")
    value: Any = Field(description="The value that the field holds now.")
    warnings: list[str] = Field(description="What will make it differ from what was asked for.")


class LinkEnd(Answer):
    """One end of a link."""

    node: str | int
    title: str | None = None
    slot: int
    name: str | None = None
    path: str | None = Field(None, description="The field path of this input or output.")


class Link(Answer):
    """The link that was made."""

    link_id: int | None = None
    origin: LinkEnd | None = Field(None, alias="from")
    target: LinkEnd | None = Field(None, alias="to")
    type: str | int | None = Field(None, description='What it carries, such as "IMAGE".')


class Loaded(Answer):
    """What came of loading a workflow."""

    loaded: bool
    message: str
    format: Any = Field(None, description='What it was: "ui" or "api".')
    nodes: Any = Field(None, description="How many there are now.")
    missing_node_types: Any = Field(None, description="Those that ComfyUI does not have.")
    warnings: Any = Field(None, description="Which nodes the page could not make.")


class Offered(Answer):
    """What people said to a workflow."""

    accepted: bool
    message: str
    webui: int | None = Field(None, description="The tab in which it was accepted.")


# -- runs -------------------------------------------------------------------------------------------------------


class Queued(Answer):
    """A run in ComfyUI's queue."""

    prompt_id: str
    number: float | int | None = Field(None, description="Its place in the order of the queue.")
    node_errors: Any = Field(None, description="What ComfyUI said of nodes that it leaves out.")
    prompt_ids: list[str] = Field([], description="One id a run when there are several.")
    set: Any = Field(None, description="What came of each field that was set first, by path.")
    warnings: list[str] = Field([], description="What is left out of the workflow that was given.")

    @classmethod
    def of(cls, body: Any) -> dict[str, Any] | None:
        """ComfyUI's own answer to a submission, from its JSON; None for anything else."""
        try:
            model = cls.model_validate_json(body)
        except (ValidationError, TypeError):
            return None
        return model.model_dump(include={"prompt_id", "number", "node_errors"})


class Output(Answer):
    """Something that a node of a run gave."""

    node_id: str
    title: str | None
    node_type: str | None
    prompt_id: str | None = Field(None, description="The prompt it belongs to, where there were several.")


class OutputFile(Output):
    """A file that a run made."""

    kind: str = Field(description='"images", "gifs", "audio", "3d" and so on, as the node names it.')
    filename: str
    subfolder: str
    type: str = Field(description='The folder it is in: "output", "temp" or "input".')
    format: str | None = Field(None, description='What is in it, if the node says so, such as "video/h264-mp4".')
    url: str | None = Field(None, description="Where ComfyUI serves it.")
    base64: str | None = Field(None, description="Its content, if asked for.")


class OutputText(Output):
    """A text that a node shows."""

    kind: Literal["text"]
    text: str
    length: int | None = Field(None, description="Its length in characters, where only its beginning is here.")
    omitted: int | None = Field(None, description="How many texts after it were left out, being too much together.")


class Failure(Answer):
    """An error, as an envelope has it."""

    code: str
    error: str = Field(description="One sentence that says what to do.")
    details: dict[str, Any] | None = None


class PromptEnd(Answer):
    """What became of one of the prompts of a run."""

    prompt_id: str | None = Field(description="None if it was never queued.")
    status: Literal["success", "error", "interrupted", "not_queued", "unfinished"]
    error: Failure | None = Field(None, description="Why it did not succeed.")
    execution_time: float | None = Field(None, description="Seconds that ComfyUI took.")
    outputs: list[OutputFile | OutputText] | None = Field(
        None, description="What it made before it failed; all else is under the run's `outputs`."
    )


class Ran(Queued):
    """A run in ComfyUI's queue, or, after waiting for it, its results."""

    status: Literal["success", "partial"] | None = Field(
        None, description='"partial" if only some of several prompts succeeded; `prompts` says which.'
    )
    outputs: list[OutputFile | OutputText] = Field(
        [], description="What the prompts that succeeded gave, in the order of the nodes."
    )
    execution_time: float | None = Field(None, description="Seconds that ComfyUI took.")
    prompts: list[PromptEnd] | None = Field(None, description="What became of each prompt, where there were several.")


# -- connections ------------------------------------------------------------------------------------------------


class WebuiId(Answer):
    """The id of a page."""

    client_id: int


class Acknowledged(Answer):
    """Whether somebody still waited; the status is "ignored" if not."""

    status: Literal["ok", "ignored"]
    message: str | None = None


class ConnectionStatus(Answer):
    """Who is connected and what is going on; with client_id, how that tab is."""

    webui_connected: bool
    pending_requests: int
    active_clients: int | None = Field(None, description="How many tabs are open.")
    main_webui_id: int | None = Field(None, description="The tab that is asked when none is named.")
    active_downloads: int | None = None
    pending_downloads: int | None = Field(None, description="Downloads that wait for a person to give a URL.")
    server_time: float | None = Field(None, description="Seconds of Unix time.")
    server_uptime: float | None = Field(None, description="Seconds.")
    client_id: int | str | None = None
    is_main: bool | None = None
    transport: str | None = Field(None, description='How the tab is connected: "websocket" or "events".')


class Webui(Answer):
    """An open tab."""

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
    """What became of a request after its timeout."""

    answered: bool = Field(description="Whether the tab has answered since.")
    answer: dict[str, Any] | None = Field(description="Its answer, {status, response} or {status, error, code}.")


class Subscription(Answer):
    """A subscription that has begun."""

    subscription: str = Field(description="What unsubscribe takes.")


class Unsubscribed(Answer):
    """A subscription that has ended."""

    unsubscribed: bool


# -- what ComfyUI knows and does --------------------------------------------------------------------------------


class NodeType(Answer):
    """A node type as search_nodes lists it."""

    type: str
    title: str
    category: str
    description: str
    inputs: list[str] = Field(description='The types it takes, such as "IMAGE".')
    outputs: list[str] = Field(description="The types it gives.")
    output_node: bool = Field(description="Whether a workflow can end with it.")


class NodeTypes(Answer):
    """The node types that fit, best first."""

    nodes: list[NodeType]
    total: int = Field(description="How many fit, beyond the limit too.")


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
    """What ComfyUI says of a workflow."""

    valid: bool
    error: Any = Field(description="ComfyUI's own words, if it refuses the whole.")
    node_errors: dict[str, Any] = Field(description="Its words by node id.")
    missing_node_types: list[str]
    warnings: list[str] = Field([], description="What a run leaves out: of unknown type, and needed by nothing.")


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
    """The prompts that were taken out of the queue."""

    cancelled: list[str]
    not_waiting: list[str] = Field([], description="Those of the request that did not wait in it.")


class Interrupted(Answer):
    """The prompts that were told to stop."""

    interrupted: list[str]
