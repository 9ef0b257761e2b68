"""Where ComfyUI is, how a command becomes a request and an answer a value or an error; nothing is sent here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from ..common.command_table import Route, route
from ..common.errors import UiapiError, Unreachable, refusal
from .encoding import NOT_UNICODE, encode

# Seconds to reach the server, and to allow it beyond what the command itself may take.
CONNECT_TIMEOUT = 5.0
GRACE = 15.0
# Seconds that a caller may wait at the most; the server allows no more either.
LONGEST = 86400
# Seconds between tries to reach a server that answered before: the first and the longest.
FIRST_DELAY, LAST_DELAY = 0.1, 2.0


# ComfyUI's own, for the files that a run made.
VIEW = Route("view", "", "GET", "/view", False, "read", 300.0, [], {"properties": {}, "required": []})


@dataclass(frozen=True)
class Asked:
    """A command, ready to be sent; `body` is None for GET and `patience` is in seconds."""

    route: Route
    path: str
    body: bytes | None
    patience: float


def asked(name: str, data: Mapping[str, Any]) -> Asked:
    """The HTTP request for a command. UiapiError `invalid` for values that cannot be sent."""
    known = route(name)
    patience = _seconds(name, data.get("timeout"), known.timeout) + GRACE
    if known.method != "GET":
        return Asked(known, known.path, encode(data), patience)
    left = known.renamed(data)
    missing = [part for part in re.findall(r"{(\w+)}", known.path) if left.get(part) is None]
    if missing:
        raise UiapiError("invalid", f"{name}: {missing[0]} is missing; give it.")
    try:
        path = re.sub(r"{(\w+)}", lambda match: quote(str(left.pop(match[1]))), known.path)
        query = urlencode({key: json.dumps(value) if isinstance(value, bool) else value for key, value in left.items()})
    except UnicodeEncodeError as error:
        raise UiapiError("invalid", f"{name}: {NOT_UNICODE}") from error
    return Asked(known, f"{path}?{query}" if query else path, None, patience)


def _seconds(name: str, given: Any, usual: float) -> float:
    try:
        seconds = usual if given is None else float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    # Not a number is in no range either.
    if not 0 <= seconds <= LONGEST:
        raise UiapiError("invalid", f"{name}: give timeout as a number of seconds, at the most {LONGEST}.")
    return seconds


def readiness(left: float) -> Asked:
    """The request that is answered once a tab is open, within the seconds that are left."""
    left = min(max(0.1, left), LONGEST)
    sending = asked("get_fields", {"fields": [], "wait_for_webui": True, "timeout": left})
    # Who has so little time does not want to hear of a hanging server much later.
    return replace(sending, patience=left + 1.0)


def viewing(url: str) -> Asked:
    """The request for a file that a run made. UiapiError `invalid` for a url that leads elsewhere, with the token."""
    if not re.fullmatch(r"/(?!/)[!-~]*", url):
        raise UiapiError("invalid", f"ComfyUI says that a file is at {url!r}, which is none of its own addresses.")
    return Asked(VIEW, url, None, VIEW.timeout)


def viewed(status: int, content: bytes, filename: str) -> bytes:
    """The file that was answered. UiapiError `not_found`, or `fetch_failed` with whatever else it was."""
    if status == 200:
        return content
    if status == 404:
        raise UiapiError("not_found", f"ComfyUI no longer has {filename}.", status=status)
    raise UiapiError("fetch_failed", f"ComfyUI answers HTTP {status} for {filename}; look at its log.", status=status)


def answered(asked: Asked, status: int, body: bytes, url: str) -> dict[str, Any]:
    """The envelope that the server answered; give it to `value_of`.

    Raises:
        UiapiError: the server's refusal.
        Unreachable: it is no ComfyUI with this extension that answered.
    """
    try:
        envelope = json.loads(body)
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict) or "status" not in envelope or (status >= 300 and not _refuses(envelope)):
        raise Unreachable(
            "no_extension",
            f"What answers at {url} is no ComfyUI with the uiapi extension (HTTP {status}); check the address, "
            "install the extension and restart ComfyUI.",
            status=status,
        )
    if status >= 400:
        raise refusal(envelope, status)
    return envelope


def _refuses(envelope: Mapping[str, Any]) -> bool:
    """Whether it is a refusal of this extension's; other services say `status` too, and mean something else."""
    return envelope["status"] == "error" and isinstance(envelope.get("code"), str)


def value_of(envelope: dict[str, Any], known: Route) -> Any:
    """What a command answered, out of its envelope."""
    return envelope if known.flat or "response" not in envelope else envelope["response"]


def not_reached(url: str, why: object) -> Unreachable:
    """Nothing was sent, since nobody is there."""
    sentence = f"No ComfyUI answers at {url}; start it, or set COMFYUI_URL to its address. ({why})"
    return Unreachable("unreachable", sentence)


# What starts runs, which are never started again by themselves.
RUNS = frozenset({"run", "execute"})


def lost(asked: Asked, why: object, prompt_ids: Sequence[str] = ()) -> Unreachable:
    """The connection broke after the command was sent; `prompt_ids` are what is known of the run it started."""
    name = asked.route.name
    if asked.route.risk == "read":
        then = "ask again."
    elif prompt_ids:
        known = ", ".join(prompt_ids)
        then = (
            f"ComfyUI had begun to run {known}. If it was restarted, that run is lost with its queue; otherwise it "
            f"goes on, and its result will be at /history/{prompt_ids[-1]}."
        )
    elif name in RUNS:
        then = (
            "it may or may not have been queued, and a restart of ComfyUI ends every run. Look at its queue, its "
            "history and its output folder before you run it again."
        )
    else:
        then = "it may or may not have been carried out."
    sentence = f"The connection broke while {name} was under way; {then} ({why})"
    return Unreachable("connection_lost", sentence, {"prompt_ids": [*prompt_ids]} if prompt_ids else None)


def late(asked: Asked) -> UiapiError:
    """The server was silent for longer than it says it would be."""
    return UiapiError(
        "timeout", f"ComfyUI did not answer {asked.route.name} within {asked.patience:g} s; look whether it hangs."
    )
