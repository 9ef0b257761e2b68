"""Where ComfyUI is, how a command becomes a request and an answer a value or an error; nothing is sent here."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from ..common.command_table import Route, error_codes, route
from ..common.errors import UiapiError, Unreachable
from ..common.files import write
from .encoding import NOT_UNICODE, encode

DEFAULT_URL = "http://127.0.0.1:8188"
# Seconds to reach the server, and to allow it beyond what the command itself may take.
CONNECT_TIMEOUT = 5.0
GRACE = 15.0
# Seconds that a caller may wait at the most; the server allows no more either.
LONGEST = 86400
# Seconds between tries to reach a server that answered before: the first and the longest.
FIRST_DELAY, LAST_DELAY = 0.1, 2.0


@dataclass(frozen=True)
class Address:
    """Where ComfyUI is and how to be let in.

    Args:
        url: without a slash at the end.
        token: the operator's UIAPI_TOKEN, if there is one.
        name: this program's name, for whoever looks at what programs do.
    """

    url: str
    token: str | None = field(repr=False)
    name: str = "Python"

    @classmethod
    def of(cls, url: str | None, token: str | None, name: str = "Python") -> Address:
        """What was given, else what the environment says, else ComfyUI's own default. UiapiError `invalid`."""
        return cls(_url_of(url or os.environ.get("COMFYUI_URL") or DEFAULT_URL), _token_of(token), name)

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every request."""
        # A header holds no other characters.
        named = {"User-Agent": "".join(letter if " " <= letter <= "~" else "?" for letter in self.name)}
        return {**named, "Authorization": f"Bearer {self.token}"} if self.token else named

    @property
    def websocket(self) -> str:
        """The address of /uiapi/ws."""
        return f"ws{self.url.removeprefix('http')}/uiapi/ws"

    @cached_property
    def proxy(self) -> str | None:
        """The environment's proxy for this address; none on the way to this machine, so that none sees the token."""
        if _is_loopback(urlsplit(self.url).hostname or ""):
            return None
        return select_proxy(self.url, get_environ_proxies(self.url))


def _url_of(given: str) -> str:
    text = given.strip().rstrip("/")
    # Not repeated in the sentence: what stands before the @ is a password.
    if "@" in text:
        raise UiapiError("invalid", "Give ComfyUI's address without a name or password in it.")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        # Reading the port is what tells whether it is one.
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f\x7f]", text):
        raise UiapiError("invalid", f"{text} is no address; give one such as {DEFAULT_URL}.")
    return parts.geturl()


def _token_of(given: str | None) -> str | None:
    # A file or a secret store often leaves a line's end behind it.
    token = (given or os.environ.get("UIAPI_TOKEN") or "").strip()
    if not all(" " <= letter <= "~" for letter in token):
        raise UiapiError("invalid", "The token holds characters that cannot be sent; set UIAPI_TOKEN to ComfyUI's.")
    return token or None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    # 0.0.0.0, which ComfyUI prints when it listens everywhere, leads to this machine as well.
    return address.is_loopback or address.is_unspecified


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
    if not isinstance(envelope, dict) or "status" not in envelope or status >= 300 and not _refuses(envelope):
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


def refusal(envelope: Mapping[str, Any], status: int = 0) -> UiapiError:
    """The error in an envelope; its HTTP status follows from the code where there was none."""
    code, details = str(envelope.get("code")), envelope.get("details")
    known = details if isinstance(details, dict) else None
    return UiapiError(code, str(envelope.get("error")), known, status or error_codes().get(code, 0))


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


# -- what the methods of both clients take ----------------------------------------------------------------------

# Where None is a value of its own.
NOTHING: Any = object()

Fields = Mapping[str, Any] | Iterable[Sequence[Any]]


def pairs(fields: Fields) -> list[list[Any]]:
    """Writes as the wire has them: [path, value] each."""
    items = fields.items() if isinstance(fields, Mapping) else fields
    return [list(item) for item in items]


def workflow_of(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """A workflow given as such, as JSON text, or as a file's path. UiapiError `invalid`.

    ComfyUI writes NaN and Infinity into its pictures; they are None, as its frontend reads them.
    """
    if isinstance(source, Mapping):
        return {key: _finite(value) for key, value in source.items()}
    text = str(source)
    try:
        if isinstance(source, Path) or not text.lstrip().startswith("{"):
            text = Path(os.path.expanduser(source)).read_text("utf-8-sig")
        workflow = _finite(json.loads(text))
    except OSError as error:
        raise UiapiError("invalid", f"{source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UiapiError("invalid", f"This workflow is not JSON: {error}.") from error
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", "A workflow is a JSON object; export it from ComfyUI.")
    return workflow


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that were given, that is, are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def write_workflow(workflow: Mapping[str, Any], path: str | Path | None) -> None:
    """Write a workflow to a file, if one is named. UiapiError `storage_failed`."""
    # Half of a character, as a browser may have it in a title, is kept as JSON's own escape.
    text = json.dumps(workflow, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
    write_bytes(text + b"\n", path)


def write_bytes(content: bytes, path: str | Path | None) -> None:
    """Write a file, if one is named. UiapiError `storage_failed`."""
    if path is not None:
        write(path, content)
