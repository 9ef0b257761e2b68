"""What a command is: one declaration that dispatch, validation, HTTP, websocket and documents all read.

A command is declared once, in Python, with `command` or `tab_command`; one that the open tab carries out
has an entry of the same name in `web/commands.js`. A contract test holds the two lists equal.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ...common.errors import STATUS, TAB_CODES, UiapiError

# Seconds a command on the graph may take before its caller is told `timeout`.
GRAPH_TIMEOUT = 30.0
# Seconds for anything that waits for a person's decision.
DEFAULT_TIMEOUT = 300.0
# Seconds a caller may ask for at the most: a day.
MAX_TIMEOUT = 86_400.0
# Keys of one object of a request, far beyond what any command knows.
MAX_KEYS = 100
# What is wrong with one request that its caller is told, and the characters of a field's name in it.
MAX_PROBLEMS = 20
MAX_FIELD = 200


class Risk(str, Enum):
    """What a command can do, which decides who may call it (bridge/policy/access.py)."""

    READ = "read"
    DRIVE = "drive"
    WRITE_DISK = "write-disk"


class Kind(str, Enum):
    """What a command means to the person at the browser, who decides about each kind (bridge/policy/approvals.py)."""

    READ = "read"
    CHANGE = "change"
    RUN = "run"
    DOWNLOAD = "download"
    LOAD = "load"
    # How pages and programs speak with the server at all; nothing a person decides about.
    TALK = "talk"


NOTHING_FURTHER: frozenset[Kind] = frozenset()
KIND_OF = {Risk.READ: Kind.READ, Risk.DRIVE: Kind.CHANGE, Risk.WRITE_DISK: Kind.DOWNLOAD}


class Strict(BaseModel):
    """What a caller sends. Unknown keys are refused; a typing error must not look like success."""

    # Built at first use: ComfyUI waits for every extension to import.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    # Older spellings of its fields, which existing programs go on sending: {older: name}.
    older: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        # Pydantic notes each unknown key; a body of nothing else would hold up ComfyUI's loop for seconds.
        if isinstance(data, dict) and len(data) > MAX_KEYS:
            raise ValueError(f"send at most {MAX_KEYS} keys, of those the command knows")
        return renamed(data, cls.older) if isinstance(data, dict) and cls.older else data


def renamed(data: Mapping[str, Any], older: Mapping[str, str]) -> dict[str, Any]:
    """The same object with older spellings of its keys replaced. ValueError for a key in both spellings."""
    for old, name in older.items():
        if old in data and name in data:
            raise ValueError(f"send {name} or its older spelling {old}, not both")
    return {older.get(key, key): value for key, value in data.items()}


class Request(Strict):
    """What every command accepts."""

    client_id: str | int | None = Field(None, description="The program's own id; informative.")
    verbose: bool | None = Field(None, description="Sent by older clients; has no effect.")
    webui: int | None = Field(None, description="The tab to address (see GET webuis); the main one if left out.")
    timeout: float | None = Field(None, gt=0, le=MAX_TIMEOUT, description="Seconds to wait instead of the usual.")
    wait_for_webui: bool = Field(False, description="With no tab open, wait for one instead of answering no_webui.")
    allow_stale: bool = Field(
        False, description="With no tab open, read what the last main tab told; such answers are marked stale."
    )
    workflow_tab: str | None = Field(
        None, max_length=1000, description="The workflow tab of the page this is meant for; the active one if left out."
    )
    if_revision: str | None = Field(
        None, max_length=200, description="Only write if the graph is still at this revision, which reads answer."
    )
    idempotency_key: str | None = Field(
        None, min_length=1, max_length=200, description="A repeat with this key within 10 minutes runs nothing again."
    )

    def kinds(self) -> frozenset[Kind]:
        """What this request makes use of besides its command's own kind, each of which the person must allow."""
        return NOTHING_FURTHER

    def writes(self) -> list[tuple[str, Any]]:
        """The values it writes, as (path, value), for the person who is asked."""
        return []


# What any command can answer over HTTP, what further a body makes possible, and what asking a tab does.
COMMON_CODES = frozenset(
    {"foreign_host", "cross_origin", "token_required", "wrong_token", "invalid", "internal", "shutting_down"}
)
BODY_CODES = frozenset({"malformed", "too_large", "unsupported_type"})
TAB_COMMAND_CODES = TAB_CODES | {"unknown_webui", "no_webui", "client_disconnected", "timeout", "too_many"}

# The keys of Request that steer the bridge itself and are not sent on to the tab.
STEERING_KEYS = frozenset(Request.model_fields)

RequestT = TypeVar("RequestT", bound=Request)
# The command in progress, which is a bridge/app/dispatch.Call.
CallT = TypeVar("CallT")
Handler = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Preview:
    """What a request would bring, shown to the person who is asked; what they agree to is carried out as it is.

    Attributes:
        files: each with its name, its folder, the hosts it comes from, its size in bytes if known, and whether it
            replaces one that is there.
        plan: what the handler carries out.
    """

    files: list[dict[str, Any]]
    plan: Any


Previewer = Callable[[Any, Any], Awaitable[Preview]]
# A request and its answer, as decoded JSON.
Example = tuple[dict[str, Any], Any]


@dataclass(frozen=True)
class Command:
    """One command, as declared.

    `response` is the form of its answer; `tab_response` that of the tab's answer, where it is another one.
    `flat` commands answer their keys beside `status` instead of under `response`. `tab` says that the page has
    an entry of the same name in web/commands.js. `route` is False for what the server asks of a tab but
    nobody may ask of the server, or only a tab (`panel`). `errors` are codes beside those that its kind brings
    with it, and `example` is a request with its answer. `preview` is asked what a request would bring before the person
    is asked whether it may.
    """

    name: str
    doc: str
    request: type[Request]
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
    preview: Previewer | None = None

    @cached_property
    def _answers(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.response if self.tab_response is None else self.tab_response)

    @cached_property
    def _own_kind(self) -> frozenset[Kind]:
        return frozenset({self.kind})

    def kinds(self, request: Request) -> frozenset[Kind]:
        """Every kind that this request makes use of; a run that also sets fields is a change as well."""
        further = request.kinds()
        return self._own_kind | further if further else self._own_kind

    @property
    def own_fields(self) -> list[str]:
        """What its request has beside what every Request has, or with another meaning."""
        common = {name: field.description for name, field in Request.model_fields.items()}
        fields = self.request.model_fields.items()
        return [name for name, field in fields if name not in common or field.description != common[name]]

    @property
    def codes(self) -> frozenset[str]:
        """Every error code it can answer."""
        codes = COMMON_CODES | self.errors
        if self.method != "GET":
            codes |= BODY_CODES
        if self.tab:
            codes |= TAB_COMMAND_CODES
        if self.risk is not Risk.READ:
            # Its idempotency_key may have been used for something else.
            codes |= {"conflict"}
        if self.risk is Risk.WRITE_DISK:
            codes |= {"forbidden"}
        if self.kind is not Kind.TALK:
            # Whoever sits at the browser may be asked first.
            codes |= {"refused_by_person", "timeout", "no_webui", "client_disconnected", "tab_failed", "too_many"}
        if self.kind not in (Kind.TALK, Kind.READ):
            codes |= {"paused"}
        return codes

    def parse(self, data: Any) -> Request:
        """`data` (decoded JSON) as this command's request model; UiapiError `invalid` says what is wrong."""
        if not isinstance(data, dict):
            raise UiapiError("invalid", f"Send {self.name} a JSON object, not {_kind(data)}.")
        try:
            return self.request.model_validate(data)
        except ValidationError as error:
            raise _refusal(self.name, error) from None

    def check_answer(self, answer: Any) -> Any:
        """The tab's answer, held against the declared response; UiapiError `tab_failed` if it does not fit."""
        try:
            self._answers.validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "answer"
            raise UiapiError(
                "tab_failed",
                f"The open tab answered {self.name} in a form that does not fit ({place}: {first['msg']}); "
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
    preview: Previewer | None = None,
) -> Callable[[Callable[[CallT, RequestT], Awaitable[Any]]], Callable[[CallT, RequestT], Awaitable[Any]]]:
    """Declare a command whose handler runs here; with `panel` nobody but an open tab may ask it."""

    def declare(handler: Callable[[CallT, RequestT], Awaitable[Any]]) -> Callable[[CallT, RequestT], Awaitable[Any]]:
        model = inspect.signature(handler).parameters["request"].annotation
        if isinstance(model, str):
            model = handler.__globals__[model]
        _add(
            Command(
                name=name,
                doc=(inspect.getdoc(handler) or "").splitlines()[0],
                request=model,
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
) -> None:
    """Declare a command that goes to the tab as it comes and whose answer is the tab's."""
    _add(
        Command(
            name=name,
            doc=doc,
            request=request,
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
        )
    )


def _add(declared: Command) -> None:
    if declared.name in COMMANDS:
        raise ValueError(f"the command {declared.name!r} is declared twice")
    unknown = declared.errors - STATUS.keys()
    if unknown:
        raise ValueError(f"{declared.name} names error codes that are not in the table: {sorted(unknown)}")
    COMMANDS[declared.name] = declared


def _refusal(name: str, error: ValidationError) -> UiapiError:
    problems = [
        {"field": ".".join(str(part)[:MAX_FIELD] for part in item["loc"]), "message": item["msg"]}
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_PROBLEMS]
    ]
    first = problems[0]
    where = first["field"] or "request"
    details: dict[str, Any] = {"problems": problems}
    if error.error_count() > MAX_PROBLEMS:
        details["problems_total"] = error.error_count()
    return UiapiError("invalid", f"{name}: {where}: {first['message']}.", details)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(value), type(value).__name__
    )
