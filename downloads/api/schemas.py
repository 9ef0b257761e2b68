"""The responses of the commands about models, as schemas for the documentation; handlers return plain data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ...bridge.protocol.schemas import Answer

RunState = Literal[
    "initializing", "checking", "waiting_for_url", "downloading", "completed", "error", "cancelled", "paused"
]


# Whether a model is present. A model spelled differently is present, but ComfyUI rejects the name in the widget. One to
# relink is present under another path, and of one to choose several different files are.
ModelState = Literal["present", "damaged", "spelled_differently", "relink", "choose", "missing"]

# Where a workflow names a model: in a node's own record, in a widget that lists a model directory, in one with another
# list that does not include it, in a node whose type is not installed, in a row of LoRAs, or in a text.
NamedIn = Literal["record", "loader", "combo", "unknown_node", "row", "lora_tag", "embedding"]


class Copy(Answer):
    """A file that may be a missing model."""

    directory: str | None = Field(description="The ComfyUI model directory it is in.")
    name: str = Field(description="Its name as ComfyUI lists it.")
    path: str
    size: int = Field(description="Bytes.")
    modified: float = Field(description="Unix time.")
    sha256: str | None = Field(description="If it was computed before.")
    match: Literal["name", "digest"] = Field(description="What it has in common with the model.")
    here: bool = Field(description="Whether a widget that names the model lists it, so that it can be relinked.")
    damage: str | None = Field(description="Why it cannot be this model; null if it can.")


class NeededModel(Answer):
    """A model that a workflow names."""

    name: str
    directory: str | None = Field(description="The ComfyUI model directory.")
    url: str | None = Field(description="The URL that the workflow gives.")
    exists: bool = Field(description="Whether a usable file is present under the name that the workflow has.")
    state: ModelState
    listed: str | None = Field(description="The name that ComfyUI lists, where a widget has another one.")
    copies: list[Copy] = Field([], description="Files of a missing model's name or digest in any model directory.")
    similar: list[str] = Field([], description="Listed names like that of a missing model; never used by themselves.")
    path: str | None = Field(description="Path of the file, also of a damaged one.")
    size: int | None = Field(description="Bytes of a file that is present.")
    sha256: str | None
    gated: bool | None
    named_in: NamedIn = Field(description="Where the workflow names it.")
    node: dict[str, Any] | None = Field(None, description="The node that uses it: {id, type, path}.")
    reason: str | None = Field(
        description="Why it is not needed now, such as muted; otherwise the problem: damaged, spelled_differently, …"
    )
    damage: str | None = Field(None, description="What is wrong with a damaged file, and what to do about it.")


class Needs(Answer):
    """The models a workflow names."""

    models: list[NeededModel]


class Reason(Answer):
    """Why a model would not be downloaded."""

    code: str
    message: str


# Where a URL is from: the request, the saved map, the workflow's record of its models, a note of the workflow, the
# official templates, ComfyUI-Manager's list, the shipped table, or a search.
CandidateOrigin = Literal["workflow", "note", "templates", "manager", "known", "civitai_hash", "huggingface", "civitai"]


class ModelCandidate(Answer):
    """A file that may be a model that has no URL of its own."""

    name: str
    url: str
    origin: CandidateOrigin
    why: str = Field(description="Why it is a candidate, as one sentence.")
    directory: str | None
    size: int | None = Field(description="Bytes; rounded if its origin rounds.")
    sha256: str | None
    gated: bool | None
    licence: str | None
    date: str | None
    downloads: int | None
    base_model: str | None


PlannedAction = Literal[
    "present",
    "damaged",
    "spelled_differently",
    "relink",
    "choose",
    "download",
    "link",
    "blocked",
    "no_url",
    "not_needed",
]


class PlannedModel(Answer):
    """What a download would do with one model."""

    name: str
    directory: str | None
    action: PlannedAction = Field(
        description="A damaged file is replaced only by a download with overwrite. For those under another path "
        "(spelled_differently, relink, choose) use relink_models."
    )
    origin: Literal["request", "saved", "disk", "person"] | CandidateOrigin | None = Field(
        description="Where the URL or path that is used is from."
    )
    source: str | None
    url: str | None
    size: int | None = Field(description="Bytes.")
    remaining: int | None = Field(description="Bytes still to be downloaded.")
    sha256: str | None
    gated: bool | None
    early_access: str | None = Field(description="Until when it is available to buyers only.")
    path: str | None
    listed: str | None = Field(description="The name that ComfyUI lists, where a widget has another one.")
    copies: list[Copy] = Field([], description="Files of its name or digest in any model directory, if it is missing.")
    similar: list[str] = Field([], description="Listed names like that of a missing model.")
    reason: Reason | None
    candidates: list[ModelCandidate] = Field(description="Files that may be the model, the likeliest first.")


class SearchFailure(Answer):
    """A model host that could not be searched."""

    host: str
    code: str
    message: str


class Search(Answer):
    """What a search for models took of its budget."""

    requests: int
    most_requests: int
    seconds: float
    most_seconds: float
    complete: bool = Field(description="Whether all hosts were searched for all models.")
    failures: list[SearchFailure]


class FoundFor(Answer):
    """What a search found for one model."""

    candidates: list[ModelCandidate]


class FoundModels(Answer):
    """What a search found for models, in their order."""

    models: list[FoundFor]
    search: Search


class ModelFolders(Answer):
    """The model directories of a ComfyUI."""

    folders: list[str]
    likely: list[list[str]] = Field(description="Those that each model probably belongs to, the likeliest first.")


class Disk(Answer):
    """Space on one disk, in bytes."""

    path: str
    free: int
    needed: int
    fits: bool


class Plan(Answer):
    """What a download would do."""

    models: list[PlannedModel]
    totals: dict[str, int] = Field(
        description="Models, present, damaged, spelled_differently, relink, choose, download, link, blocked, bytes, "
        "unknown_sizes."
    )
    disks: list[Disk]
    verdict: Literal["ready", "blocked", "disk_full"]
    search: Search | None = Field(description="What a search took, if the request wanted one.")


class Begun(Answer):
    """A download that has begun."""

    message: str
    download_id: str
    unused: list[str] = Field([], description="Names in the table that the workflow does not need.")


class Fetched(Answer):
    """A model that has been downloaded."""

    status: Literal["success"]
    path: str
    download_id: str | None = None


class Progress(Answer):
    """Progress of one model."""

    status: str = Field(description="pending, waiting_for_url, downloading, success, error, cancelled or paused.")
    path: str | None
    model_number: str | None = Field(description='"2/5", or "existing" for one that was present already.')
    error: str | None
    bytes: int
    total: int | None
    speed: float | None = Field(description="Bytes per second.")
    eta: float | None = Field(description="Seconds.")
    code: str | None = Field(None, description="The code of the error.")


class Download(Answer):
    """Progress of a download; times in seconds."""

    status: RunState
    download_id: str
    completed: bool
    progress: dict[str, Progress] = Field(description="By name.")
    total_models: int
    current_model: int
    start_time: float = Field(description="Unix time.")
    elapsed_time: float | None = None
    error: str | None = None
    resumable: bool | None = None


class Downloads(Answer):
    """All downloads."""

    downloads: list[Download]


class DownloadState(Answer):
    """A download after it was cancelled, paused or resumed."""

    download_id: str
    state: RunState


class ModelPresence(Answer):
    """Whether a model is present."""

    status: Literal["success", "damaged", "downloading", "not_found"]
    exists: bool = Field(description="Whether a usable file is present.")
    path: str | None = None
    type: str | None = Field(None, description="The ComfyUI model directory.")
    size: int | None = Field(None, description="Bytes.")
    damage: str | None = Field(None, description="What is wrong with a damaged file, and what to do about it.")
    progress: Progress | None = None
    download_id: str | None = None
    started: float | None = Field(None, description="Unix time.")
    elapsed: float | None = Field(None, description="Seconds.")


class UrlMap(Answer):
    """The saved URLs."""

    urls: dict[str, Any] = Field(description="By name: a URL or a model definition.")


class Added(Answer):
    """What was saved."""

    model_def: Any = Field(description="A URL or a model definition.")


class Forgotten(Answer):
    """The model whose saved URL was removed."""

    model_name: str


class GivenUrls(Answer):
    """The URLs that the person gave."""

    url: str | None = None
    model_type: str | None = None
    urls: dict[str, str] | None = Field(None, description="By name, where several were asked for.")


class Cleared(Answer):
    """The widgets that were cleared."""

    message: str
    cleared_count: int
    cleared_fields: list[str]


class Relinked(Answer):
    """A widget whose model name was set to one from its list."""

    path: str
    previous: str
    value: str = Field(description="The new value.")
    reason: Literal["spelled_differently", "relink", "choose"] = Field(
        description="The state of the model before; choose for one that the request chose."
    )


class RelinkedWidgets(Answer):
    """The widgets that were changed, or with dry_run would be."""

    dry_run: bool
    relinked: list[Relinked]


class UnchosenModel(Answer):
    """A model of which several different files are present; its widgets are unchanged."""

    name: str
    directory: str | None
    copies: list[Copy]


class RelinkedModels(RelinkedWidgets):
    """The widgets that were changed, or with dry_run would be, and the models that need a choice."""

    unchosen: list[UnchosenModel] = Field(description="Choose a copy of each in choices.")
