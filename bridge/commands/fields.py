"""Commands on the open graph: read and write fields, link nodes, load and fetch workflows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from ...common.errors import UiapiError
from ...common.shorten import cut
from ..app.dispatch import Call
from ..protocol.command_spec import COMMANDS, DEFAULT_TIMEOUT, Kind, Request, Risk, command, tab_command
from ..protocol.lazy_types import LazyModule
from ..protocol.summaries import summary_of

schemas = LazyModule("..protocol.schemas", __package__)

# A field path.
Path = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000),
    Field(description="A field path, such as Title.widget; docs/fields.md has the grammar."),
]
Write = tuple[Path, Any]
Workflow = dict[str, Any]

WRITES = (
    "Each [path, value]; for a field that takes a picture the value may be "
    '{"type": "image_base64", "data": "…"}, a data URL, or bare base64; for any other file '
    '{"type": "file_base64", "data": "…", "filename": "a.mp3"}, and for one to download {"type": "url", "url": "…"}.'
)
FILES = 'A file that ComfyUI saved, such as a picture, may be sent as {"type": "file_base64", "data": "…"}.'
FORMATS = f"In UI format, as ComfyUI saves it, or in API format; the format is detected. {FILES}"


class GetFields(Request):
    """The fields to read."""

    subjects = ("fields",)
    fields: list[Path] = Field(max_length=10_000, description="Paths of the fields.")


class SetFields(Request):
    """The fields to write: `fields`, or `field` for a single one."""

    fields: list[Write] | None = Field(None, max_length=10_000, description=WRITES)
    field: Write | None = Field(None, description="One [path, value] instead of a list of them.")

    @model_validator(mode="after")
    def _one_of_two(self) -> SetFields:
        if (self.fields is None) == (self.field is None):
            raise ValueError("send fields as [[path, value], …], or field as [path, value]")
        return self

    def summary(self) -> str:
        """The paths it writes."""
        return summary_of(self.writes())

    def writes(self) -> list[Write]:
        """The writes, from either parameter."""
        return [*self.fields] if self.fields is not None else [self.field]  # type: ignore[list-item]


class SetConnection(Request):
    """The output and the input to link."""

    subjects = ("field",)
    field: tuple[Path, Path] = Field(description="[from, to], such as [Title.outputs[0], Other.inputs[0]].")


class QueryFields(Request):
    """The nodes to list, and the keys of each; default: everything. A large graph can be read in parts."""

    types: list[str] | None = Field(None, max_length=1000, description="Only nodes of these types.")
    titles: list[str] | None = Field(None, max_length=1000, description="Only nodes with these titles.")
    near: Path | None = Field(None, description="Only this node and those linked to it.")
    distance: int | None = Field(None, ge=0, le=1000, description="Up to this many links away from `near`; default: 1.")
    depth: int | None = Field(None, ge=0, le=100, description="The levels of subgraphs to include; 0 for none.")
    want: list[str] | None = Field(
        None, max_length=50, description='Keys of each node besides id, type, title, inputs and outputs: "widgets", …'
    )
    limit: int | None = Field(None, ge=1, le=100_000)
    offset: int | None = Field(None, ge=0)


class LoadWorkflow(Request):
    """The workflow to open, in UI or API format."""

    subjects = ("name",)
    workflow: Workflow = Field(description=FORMATS)
    name: str | None = Field(None, max_length=300, description="The name of the workflow's tab.")


class SendWorkflow(Request):
    """The workflow to offer to the people at all connected tabs."""

    subjects = ("title",)
    workflow: Workflow = Field(description=FORMATS)
    message: str | None = Field(None, max_length=10_000, description="The text of the dialog.")
    title: str | None = Field(None, max_length=300, description="The heading of the dialog.")


tab_command(
    "get_workflow",
    "Fetch the open graph in UI and API format.",
    response=schemas.GotWorkflow,
    risk=Risk.READ,
)
tab_command(
    "get_workflow_api",
    "Fetch the open graph in API format.",
    response=schemas.GotApi,
    risk=Risk.READ,
)
tab_command(
    "query_fields",
    "List the nodes of the open graph with their inputs, outputs and widgets.",
    request=QueryFields,
    response=schemas.FullNodes,
    tab_response=schemas.Nodes,
    risk=Risk.READ,
)
tab_command(
    "set_connection",
    "Link an output to an input: field is [from, to].",
    request=SetConnection,
    response=schemas.Link,
    # Pages on the second transport may create the link without describing it.
    tab_response=dict[str, Any],
    example=(
        {"field": ["Canvas.outputs[0]", "Result.images"]},
        {
            "link_id": 2,
            "from": {"node": "1", "title": "Canvas", "slot": 0, "name": "IMAGE", "path": "Canvas.outputs[0]"},
            "to": {"node": "3", "title": "Result", "slot": 0, "name": "images", "path": "Result.inputs[0]"},
            "type": "IMAGE",
        },
    ),
    risk=Risk.DRIVE,
)


@command(
    "get_fields",
    response=dict[str, Any],
    example=({"fields": ["Canvas.width", "seed"]}, {"Canvas.width": 512, "seed": 42}),
    risk=Risk.READ,
    tab=True,
)
async def get_fields(call: Call, request: GetFields) -> dict[str, Any]:
    """Read fields by their paths."""
    values: dict[str, Any] = await call.tab("get_fields", {"fields": request.fields})
    missing = [path for path in request.fields if path not in values]
    if missing:
        raise UiapiError(
            "tab_failed",
            f"The tab left {missing[0]!r} out of its answer; reload the page and try again.",
            {"missing": missing},
        )
    return values


@command(
    "set_fields",
    response=schemas.WrittenFields,
    tab_response=dict[str, Any],
    errors=["storage_failed"],
    example=(
        {"fields": [["Canvas.width", 640]]},
        {"Canvas.width": {"requested": 640, "value": 640, "warnings": []}},
    ),
    risk=Risk.DRIVE,
    tab=True,
)
async def set_fields(call: Call, request: SetFields) -> dict[str, Any]:
    """Write fields by their paths; if one cannot be written, none is."""
    # The tab is found first, so that no picture is stored without one.
    call.webui()
    async with call.pictures() as pictures:
        data = await pictures.data(request.writes())
        answer = await call.tab("set_fields", data)
        await pictures.keep(answer)
    return {path: answer.get(path) or _unconfirmed(value) for path, value in data["fields"]}


def _unconfirmed(value: Any) -> dict[str, Any]:
    # Pages on the second transport may write a field without reporting the result.
    return {"requested": cut(value), "value": None, "warnings": ["The page did not report the field's new value."]}


@command(
    "load_workflow",
    response=schemas.Loaded,
    tab_response=dict[str, Any],
    example=(
        {"workflow": {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}, "name": "one node"},
        {"loaded": True, "message": "Loaded 1 node."},
    ),
    risk=Risk.DRIVE,
    kind=Kind.LOAD,
    tab=True,
    flat=True,
)
async def load_workflow(call: Call, request: LoadWorkflow) -> dict[str, Any]:
    """Open a workflow, in UI or API format, in the tab."""
    answer: dict[str, Any] = await call.tab("load_workflow", call.data())
    return answer


@command(
    "send_workflow",
    response=schemas.Offered,
    tab_response=dict[str, Any],
    example=(
        {"workflow": {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}, "message": "Try this one?"},
        {"accepted": True, "message": "Loaded 1 node.", "webui": 1},
    ),
    risk=Risk.DRIVE,
    kind=Kind.LOAD,
    timeout=DEFAULT_TIMEOUT,
    tab=True,
    flat=True,
    asks=True,
)
async def send_workflow(call: Call, request: SendWorkflow) -> dict[str, Any]:
    """Offer a workflow in all connected tabs; the first person to accept gets it."""
    call.notify_waiting("offer")
    if request.webui is not None:
        answers = {request.webui: await call.tab("send_workflow", call.data())}
    else:
        answers = await call.bridge.webuis.ask_all("send_workflow", call.data(), call.timeout, call.prepare)
        answers = {client_id: _checked(answer) for client_id, answer in answers.items()}
    for client_id, answer in answers.items():
        if isinstance(answer, dict) and answer.get("accepted"):
            message = answer.get("message") or "The workflow was accepted."
            return {"accepted": True, "message": message, "webui": client_id}
    failures = [answer for answer in answers.values() if isinstance(answer, Exception)]
    if failures and len(failures) == len(answers):
        # No person was asked, which is not the same as a refusal.
        raise failures[0]
    said = [answer.get("message") for answer in answers.values() if isinstance(answer, dict)]
    return {"accepted": False, "message": next(filter(None, said), "No one accepted the workflow.")}


def _checked(answer: Any) -> Any:
    """Return one tab's answer to an offer, or the error instead of one."""
    if isinstance(answer, Exception):
        return answer
    try:
        return COMMANDS["send_workflow"].check_answer(answer)
    except UiapiError as error:
        return error
