"""Builds the HTTP requests of commands, and reads values and errors from responses. It sends nothing itself."""

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

# Seconds to connect to the server, and seconds added to the time-out of each command.
CONNECT_TIMEOUT = 5.0
GRACE = 15.0
# The longest time-out in seconds; the server has the same limit.
LONGEST = 86400
# Seconds between attempts to reach a server that responded before: the first and the longest delay.
FIRST_DELAY, LAST_DELAY = 0.1, 2.0


# ComfyUI's own route for output files.
VIEW = Route("view", "", "GET", "/view", False, "read", 300.0, [], {"properties": {}, "required": []})


@dataclass(frozen=True)
class Asked:
    """A request that can be sent; `body` is None for GET, and `patience` is the time-out in seconds."""

    route: Route
    path: str
    body: bytes | None
    patience: float


def asked(name: str, data: Mapping[str, Any]) -> Asked:
    """Returns the HTTP request for a command. Raises UiapiError `invalid` for values that cannot be sent."""
    known = route(name)
    patience = _seconds(name, data.get("timeout"), known.timeout) + GRACE
    if known.method != "GET":
        return Asked(known, known.path, encode(data), patience)
    left = known.renamed(data)
    missing = [part for part in re.findall(r"{(\w+)}", known.path) if left.get(part) is None]
    if missing:
        raise UiapiError("invalid", f"{name}: the parameter {missing[0]} is required.")
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
    # NaN fails this too.
    if not 0 <= seconds <= LONGEST:
        raise UiapiError("invalid", f"{name}: timeout must be a number of seconds, at most {LONGEST}.")
    return seconds


def readiness(left: float) -> Asked:
    """Returns a request whose response arrives when a tab is connected, within the seconds that are left."""
    left = min(max(0.1, left), LONGEST)
    sending = asked("get_fields", {"fields": [], "wait_for_webui": True, "timeout": left})
    # A server that hangs must not delay the caller by the usual grace time.
    return replace(sending, patience=left + 1.0)


def viewing(url: str, seconds: float = VIEW.timeout) -> Asked:
    """Returns the request for an output file, which may take so many seconds, at most the usual ones.

    Raises UiapiError `invalid` for a URL of another host, which must not receive the token.
    """
    if not re.fullmatch(r"/(?!/)[!-~]*", url):
        raise UiapiError("invalid", f"ComfyUI returned {url!r} for a file, which is not a URL of its own.")
    # A run that ended in time is not worth nothing for want of a moment.
    return Asked(VIEW, url, None, min(max(seconds, 1.0), VIEW.timeout))


def viewed(status: int, content: bytes, filename: str) -> bytes:
    """Returns the content of a file. Raises UiapiError `not_found`, or `fetch_failed` for any other status."""
    if status == 200:
        return content
    if status == 404:
        raise UiapiError("not_found", f"ComfyUI no longer has {filename}.", status=status)
    raise UiapiError("fetch_failed", f"ComfyUI returned HTTP {status} for {filename}; check its log.", status=status)


def answered(asked: Asked, status: int, body: bytes, url: str) -> dict[str, Any]:
    """Returns the envelope in a response; `value_of` reads the value from it.

    Raises:
        UiapiError: the server returned an error.
        Unreachable: the server is not a ComfyUI with this extension.
    """
    try:
        envelope = json.loads(body)
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict) or "status" not in envelope or (status >= 300 and not _refuses(envelope)):
        raise Unreachable(
            "no_extension",
            f"The server at {url} is not a ComfyUI with the uiapi extension (HTTP {status}); check the URL, "
            "install the extension and restart ComfyUI.",
            status=status,
        )
    if status >= 400:
        raise refusal(envelope, status)
    return envelope


def _refuses(envelope: Mapping[str, Any]) -> bool:
    """Returns whether it is an error of this extension; responses of other services may contain `status` too."""
    return envelope["status"] == "error" and isinstance(envelope.get("code"), str)


def value_of(envelope: dict[str, Any], known: Route) -> Any:
    """Returns the value in the envelope of a command's response."""
    return envelope if known.flat or "response" not in envelope else envelope["response"]


def not_reached(url: str, why: object) -> Unreachable:
    """Returns the error for a server that could not be reached; nothing was sent."""
    sentence = f"No ComfyUI answers at {url}; start it, or set COMFYUI_URL to its URL. ({why})"
    return Unreachable("unreachable", sentence)


# Commands that start runs, which are never retried automatically.
RUNS = frozenset({"run", "execute"})


def lost(asked: Asked, why: object, prompt_ids: Sequence[str] = ()) -> Unreachable:
    """Returns the error for a connection that ended after the command was sent.

    `prompt_ids` are the known prompts of the run that it started.
    """
    name = asked.route.name
    if asked.route.risk == "read":
        then = "try again."
    elif prompt_ids:
        known = ", ".join(prompt_ids)
        then = (
            f"ComfyUI had started {known}. If it was restarted, the run and the queue are lost; otherwise the run "
            f"continues, and its result will be at /history/{prompt_ids[-1]}."
        )
    elif name in RUNS:
        then = (
            "it may or may not have been queued, and a restart of ComfyUI ends every run. Check its queue, its "
            "history and its output folder before you run it again."
        )
    else:
        then = "it may or may not have been carried out."
    sentence = f"The connection was lost while {name} was in progress; {then} ({why})"
    return Unreachable("connection_lost", sentence, {"prompt_ids": [*prompt_ids]} if prompt_ids else None)


def late(asked: Asked) -> UiapiError:
    """Returns the error for a server that did not respond within the time-out of the command."""
    return UiapiError(
        "timeout", f"ComfyUI did not answer {asked.route.name} within {asked.patience:g} s; check whether it hangs."
    )
