"""The declaration of a command, used by dispatch, validation, HTTP, the websocket and the generated documents.

A command is declared once, in Python, with `command` or `tab_command`. A command that the tab carries out also has an
entry of the same name in `web/commands.js`; a contract test compares the two lists.
"""

# Annotations are no texts here: pydantic would evaluate those of Request again for every command's request.

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ...common.errors import STATUS, TAB_CODES, URL_CODES, UiapiError
from .lazy_types import loaded
from .problems import kind_of, refusal
from .summaries import summary_of

# Seconds a command on the graph may take before it fails with `timeout`.
GRAPH_TIMEOUT = 30.0
# Seconds a command that waits for a person's decision may take.
DEFAULT_TIMEOUT = 300.0
# The longest timeout a caller may ask for, in seconds: a day.
MAX_TIMEOUT = 86_400.0
# Keys of one object of a request, far more than any command has.
MAX_KEYS = 100


class Risk(str, Enum):
    """What a command can do; decides which callers may use it (bridge/policy/access.py)."""

    READ = "read"
    DRIVE = "drive"
    WRITE_DISK = "write-disk"


class Kind(str, Enum):
    """The kind of a command; the person at the browser sets a rule for each (bridge/policy/approvals.py)."""

    READ = "read"
    CHANGE = "change"
    RUN = "run"
    DOWNLOAD = "download"
    LOAD = "load"
    # Connection management between pages, programs and the server; the person has no rule for it.
    TALK = "talk"


NOTHING_FURTHER: frozenset[Kind] = frozenset()
KIND_OF = {Risk.READ: Kind.READ, Risk.DRIVE: Kind.CHANGE, Risk.WRITE_DISK: Kind.DOWNLOAD}


class Strict(BaseModel):
    """A model of what a caller sends. Unknown keys are refused, so that a typo does not look like success."""

    # Built at first use, since ComfyUI waits for every extension to import. Older versions of pydantic warn of fields
    # whose names begin with model_.
    model_config = ConfigDict(extra="forbid", defer_build=True, protected_namespaces=(), allow_inf_nan=False)

    # Older names of its fields that existing programs still send: {older: name}.
    older: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        # Pydantic reports each unknown key; many of them would block ComfyUI's loop for seconds.
        if isinstance(data, dict) and len(data) > MAX_KEYS:
            raise ValueError(f"send at most {MAX_KEYS} keys, and only those of the command")
        return renamed(data, cls.older) if isinstance(data, dict) and cls.older else data


def renamed(data: Mapping[str, Any], older: Mapping[str, str]) -> dict[str, Any]:
    """Return the same object with older names of its keys replaced. Raises ValueError for a key under both names."""
    for old, name in older.items():
        if old in data and name in data:
            raise ValueError(f"send {name} or its older name {old}, not both")
    return {older.get(key, key): value for key, value in data.items()}


class Request(Strict):
    """The fields that every command accepts."""

    # The fields that a summary shows: the first of them that is set.
    subjects: ClassVar[tuple[str, ...]] = ()
    # Whether a workflow in it must be in API format.
    needs_api: ClassVar[bool] = False

    client_id: str | int | None = Field(None, description="The program's own id, for information only.")
    verbose: bool | None = Field(None, description="Accepted from older clients; has no effect.")
    webui: int | None = Field(None, description="The tab to use (see GET webuis); default: the main tab.")
    timeout: float | None = Field(None, gt=0, le=MAX_TIMEOUT, description="Seconds to wait, instead of the default.")
    wait_for_webui: bool = Field(
        False, description="If no tab is connected, wait for one instead of failing with no_webui."
    )
    allow_stale: bool = Field(
        False, description="If no tab is connected, read the last main tab's snapshot; the answer is marked stale."
    )
    workflow_tab: str | None = Field(
        None, max_length=1000, description="The workflow tab of the page to use; default: the active one."
    )
    if_revision: str | None = Field(
        None, max_length=200, description="Only write if the graph still has this revision, which reads return."
    )
    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="A repeat with this key within 10 minutes returns the first answer.",
    )

    def kinds(self) -> frozenset[Kind]:
        """The kinds this request needs besides its command's own; the person must allow each of them."""
        return NOTHING_FURTHER

    def summary(self) -> str:
        """Return what it is about in a few words, such as the paths in it, for the log and questions to the person."""
        # Attribute access on a pydantic model is slow for a missing attribute.
        values = vars(self)
        return next((summary_of(values[name]) for name in self.subjects if values[name]), "")

    def writes(self) -> list[tuple[str, Any]]:
        """The values it writes, as (path, value), shown to the person who is asked for approval."""
        return []

    def values(self) -> list[tuple[str, Any]]:
        """All its values for fields, as (path, value); some may name files to download."""
        return self.writes()


# The error codes of web apps, of every HTTP command, of those with a body, and of those that use a tab.
WEB_APP_CODES = frozenset({"cross_origin", "waiting_for_person", "web_app_refused"})
COMMON_CODES = WEB_APP_CODES | {"foreign_host", "token_required", "wrong_token", "invalid", "internal", "shutting_down"}
BODY_CODES = frozenset({"malformed", "too_large", "unsupported_type"})
TAB_COMMAND_CODES = TAB_CODES | {"unknown_webui", "no_webui", "client_disconnected", "timeout", "too_many"}

# The keys of Request that are for the bridge and are not passed on to the tab.
STEERING_KEYS = frozenset(Request.model_fields)

RequestT = TypeVar("RequestT", bound=Request)
# The command in progress: Call in bridge/app/dispatch.py.
CallT = TypeVar("CallT")
Handler = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Preview:
    """What a request would download, shown to the person who is asked; exactly this is carried out if they agree.

    Attributes:
        files: each with its name, directory, source hosts, size in bytes if known, and whether it replaces an
            existing file.
        plan: what the handler carries out.
    """

    files: list[dict[str, Any]]
    plan: Any


Previewer = Callable[[Any, Any], Awaitable[Preview]]
# A request and its answer, as decoded JSON.
Example = tuple[dict[str, Any], Any]


@dataclass(frozen=True)
class Command:
    """The declaration of one command.

    Attributes:
        request_type: the type of its request, possibly a `Later`; `request` is the type itself.
        response: the type of its answer, possibly a `Later`; `response_type` is the type itself.
        tab_response: the type of the tab's answer, if it differs; also possibly a `Later`.
        errors: error codes in addition to those of its kind.
        example: a request with its answer.
        flat: the answer's keys are on the level of `status`, not under `response`.
        tab: the page has an entry of the same name in web/commands.js.
        route: whether programs may use it; False for commands that only the server sends to a tab.
        panel: only the person at a connected tab may use it.
        asks: the page asks the person before it answers.
        preview: returns what a request would download, before the person is asked for approval.
    """

    name: str
    doc: str
    request_type: Any
    response: Any
    tab_response: Any
    errors: frozenset[str]
    example: Example | None
    risk: Risk
    kind: Kind
    timeout: float
    method: str
    path: str
    flat: bool
    tab: bool
    route: bool
    panel: bool
    handler: Handler | None
    asks: bool = False
    preview: Previewer | None = None

    @cached_property
    def request(self) -> type[Request]:
        """The type of its request."""
        known: type[Request] = loaded(self.request_type)
        return known

    @cached_property
    def _answers(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.response_type if self.tab_response is None else loaded(self.tab_response))

    @property
    def response_type(self) -> Any:
        """The type of its answer."""
        return loaded(self.response)

    @cached_property
    def _own_kind(self) -> frozenset[Kind]:
        return frozenset({self.kind})

    def kinds(self, request: Request) -> frozenset[Kind]:
        """All kinds that this request needs; a run that also sets fields is a change as well."""
        further = request.kinds()
        return self._own_kind | further if further else self._own_kind

    @property
    def own_fields(self) -> list[str]:
        """The fields of its request that Request does not have, or that have another description there."""
        common = {name: field.description for name, field in Request.model_fields.items()}
        fields = self.request.model_fields.items()
        return [name for name, field in fields if name not in common or field.description != common[name]]

    @property
    def codes(self) -> frozenset[str]:
        """All error codes it can return."""
        codes = COMMON_CODES | self.errors
        if self.method != "GET":
            codes |= BODY_CODES
        if self.tab:
            codes |= TAB_COMMAND_CODES
        if self.risk is not Risk.READ:
            # The idempotency_key may have been used for another request.
            codes |= {"conflict"}
        if self.risk is Risk.WRITE_DISK:
            codes |= {"forbidden"}
        if self.request.writes is not Request.writes:
            codes |= URL_CODES
        if self.kind is not Kind.TALK:
            # The person at the browser may be asked first.
            codes |= {"refused_by_person", "timeout", "no_webui", "client_disconnected", "tab_failed", "too_many"}
        if self.kind not in (Kind.TALK, Kind.READ):
            codes |= {"paused"}
        return codes

    def parse(self, data: Any) -> Request:
        """Validate decoded JSON as this command's request. Raises UiapiError `invalid` with the problems."""
        if not isinstance(data, dict):
            raise UiapiError("invalid", f"Send {self.name} a JSON object, not {kind_of(data)}.")
        try:
            return self.request.model_validate(data)
        except ValidationError as error:
            raise refusal(self.name, error) from None

    def check_answer(self, answer: Any) -> Any:
        """Return the tab's answer if it fits the declared response. Raises UiapiError `tab_failed` if not."""
        try:
            self._answers.validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "answer"
            raise UiapiError(
                "tab_failed",
                f"The tab returned an invalid answer to {self.name} ({place}: {first['msg']}); "
                "reload the page and try again.",
            ) from None
        return answer


COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    *,
    response: Any = dict[str, Any],
    tab_response: Any = None,
    errors: Collection[str] = (),
    example: Example | None = None,
    risk: Risk,
    kind: Kind | None = None,
    timeout: float = GRAPH_TIMEOUT,
    method: str = "POST",
    path: str | None = None,
    flat: bool = False,
    tab: bool = False,
    panel: bool = False,
    asks: bool = False,
    preview: Previewer | None = None,
) -> Callable[[Callable[[CallT, RequestT], Awaitable[Any]]], Callable[[CallT, RequestT], Awaitable[Any]]]:
    """Declare a command whose handler runs in the server; with `panel` only the person at a tab may use it.

    The type of its request is that of the handler's parameter `request`: a name of the handler's module, or else one of
    its LazyModule `requests`.
    """

    def declare(handler: Callable[[CallT, RequestT], Awaitable[Any]]) -> Callable[[CallT, RequestT], Awaitable[Any]]:
        model = handler.__annotations__["request"]
        if isinstance(model, str):
            names = handler.__globals__
            model = names[model] if model in names else getattr(names["requests"], model)
        _add(
            Command(
                name=name,
                doc=(inspect.getdoc(handler) or "").splitlines()[0],
                request_type=model,
                response=response,
                tab_response=tab_response,
                errors=frozenset(errors),
                example=example,
                risk=risk,
                kind=kind or KIND_OF[risk],
                timeout=timeout,
                method=method,
                path=path or name,
                flat=flat,
                tab=tab,
                route=not panel,
                panel=panel,
                handler=handler,
                asks=asks,
                preview=preview,
            )
        )
        return handler

    return declare


def tab_command(
    name: str,
    doc: str,
    *,
    request: type[Request] = Request,
    response: Any = dict[str, Any],
    tab_response: Any = None,
    example: Example | None = None,
    risk: Risk,
    kind: Kind | None = None,
    timeout: float = GRAPH_TIMEOUT,
    flat: bool = False,
    route: bool = True,
    asks: bool = False,
) -> None:
    """Declare a command that is passed to the tab unchanged, and whose answer is the tab's."""
    _add(
        Command(
            name=name,
            doc=doc,
            request_type=request,
            response=response,
            tab_response=tab_response,
            errors=frozenset(),
            example=example,
            risk=risk,
            kind=kind or KIND_OF[risk],
            timeout=timeout,
            method="POST",
            path=name,
            flat=flat,
            tab=True,
            route=route,
            panel=False,
            handler=None,
            asks=asks,
        )
    )


def _add(declared: Command) -> None:
    if declared.name in COMMANDS:
        raise ValueError(f"the command {declared.name!r} is declared twice")
    unknown = declared.errors - STATUS.keys()
    if unknown:
        raise ValueError(f"{declared.name} names error codes that are not in the table: {sorted(unknown)}")
    COMMANDS[declared.name] = declared


def import_types() -> None:
    """Import the types of all requests and responses; it blocks, so call it on a thread."""
    for known in COMMANDS.values():
        loaded(known.request_type)
        loaded(known.response)
        loaded(known.tab_response)
