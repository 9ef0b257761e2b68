"""The contents of questions to the person, and the errors for requests that they do not allow."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic_core import to_json

from ...common.errors import UiapiError
from ...common.shorten import beginning
from ..protocol.command_spec import COMMANDS, STEERING_KEYS, Command, Kind, Preview, Request
from ..tabs.registry import Webuis
from .activity_log import Entry

# Characters of one value that a question shows, and of all values.
VALUE_SHOWN = 5_000
MAX_SHOWN = 1_000_000


class AskedCall(Protocol):
    """A command in progress, as far as its approval needs it.

    Attributes:
        command: the command.
        request: what the program sent.
        agreed: the preview that the person has agreed to; set here.
    """

    command: Command
    request: Request
    agreed: Preview | None

    @property
    def timeout(self) -> float:
        """Seconds the command may wait."""

    @property
    def may_ask(self) -> bool:
        """Whether the person may be asked because of it."""

    def notify_waiting(self, reason: str) -> None:
        """Notify its program that it waits for the person."""


def refused(call: AskedCall, kind: Kind) -> UiapiError:
    return UiapiError(
        "refused_by_person",
        f"The person at the browser does not allow {call.command.name} for this program; ask them to change that in "
        "ComfyUI's settings or in the panel.",
        {"kind": kind.value},
    )


def unanswered(entry: Entry) -> UiapiError:
    sentence = (
        f"The person at the browser did not answer in time whether this program may use {entry.command}; try again."
    )
    return UiapiError("timeout", sentence, {"delivered": False})


def workflow_of(webuis: Webuis, request: Request) -> str | None:
    """Return the name of the workflow that is shown in the tab that a request is for, if known."""
    manager = webuis.managers.get(request.webui or webuis.main_id or 0)
    return None if manager is None else manager.info.get("workflow_name")


def shown_writes(command: Command, request: Request) -> dict[str, Any]:
    """Return the values and edits of a request, to be shown to the person, and the number of those left out.

    An edit has `edit`: its `path` is the command, and its `value` the data as JSON.
    """
    listed = request.writes()
    if not listed and command.kind is Kind.CHANGE:
        listed = [(command.name, request.model_dump(exclude_unset=True, exclude=STEERING_KEYS, by_alias=True))]  # type: ignore[arg-type]
    writes: list[dict[str, Any]] = []
    room = MAX_SHOWN
    for path, value in listed:
        words = _value(value)
        shown: dict[str, Any] = {"path": path, "value": words}
        room -= len(path) + len(words)
        if room < 0:
            break
        if isinstance(value, dict) and path in COMMANDS:
            shown["edit"] = True
        writes.append(shown)
    return {"writes": writes, "writes_left_out": len(listed) - len(writes)}


def _value(value: Any) -> str:
    if isinstance(value, dict) and "data" in value:
        return f"({value.get('type', 'data')})"
    words = value if isinstance(value, str) else to_json(value).decode()
    return words if len(words) <= VALUE_SHOWN else beginning(words, VALUE_SHOWN)
