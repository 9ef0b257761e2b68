"""How a command becomes an HTTP request and an answer becomes a value or an error; nothing is sent here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .errors import UiapiError, Unreachable
from .table import Route, error_codes, route
from .values import encode

DEFAULT_URL = "http://127.0.0.1:8188"
# Seconds to reach the server, and to allow it beyond what the command itself may take.
CONNECT_TIMEOUT = 5.0
GRACE = 15.0
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
    token: str | None
    name: str = "Python"

    @classmethod
    def of(cls, url: str | None, token: str | None, name: str = "Python") -> Address:
        """What was given, else what the environment says, else ComfyUI's own default."""
        text = (url or os.environ.get("COMFYUI_URL") or DEFAULT_URL).strip().rstrip("/")
        if "://" not in text:
            text = f"http://{text}"
        if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
            raise UiapiError("invalid", f"{text} is no address; give one such as {DEFAULT_URL}.")
        return cls(text, token or os.environ.get("UIAPI_TOKEN") or None, name)

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
    patience = float(data.get("timeout") or known.timeout) + GRACE
    if known.method != "GET":
        return Asked(known, known.path, encode(data), patience)
    left = dict(data)
    path = re.sub(r"{(\w+)}", lambda match: quote(str(left.pop(match[1]))), known.path)
    query = urlencode({key: json.dumps(value) if isinstance(value, bool) else value for key, value in left.items()})
    return Asked(known, f"{path}?{query}" if query else path, None, patience)


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
    if not isinstance(envelope, dict) or "status" not in envelope:
        raise Unreachable(
            "no_extension",
            f"What answers at {url} is no ComfyUI with the uiapi extension (HTTP {status}); check the address, "
            "install the extension and restart ComfyUI.",
            status=status,
        )
    if status >= 400:
        raise refusal(envelope, status)
    return envelope


def refusal(envelope: Mapping[str, Any], status: int = 0) -> UiapiError:
    """The error in an envelope; its HTTP status follows from the code where there was none."""
    code = str(envelope.get("code"))
    return UiapiError(code, str(envelope.get("error")), envelope.get("details"), status or error_codes().get(code, 0))


def value_of(envelope: dict[str, Any], known: Route) -> Any:
    """What a command answered, out of its envelope."""
    return envelope if known.flat or "response" not in envelope else envelope["response"]


def not_reached(url: str, why: object) -> Unreachable:
    """Nothing was sent, since nobody is there."""
    sentence = f"No ComfyUI answers at {url}; start it, or set COMFYUI_URL to its address. ({why})"
    return Unreachable("unreachable", sentence)


def lost(asked: Asked, why: object) -> Unreachable:
    """The connection broke after the command was sent."""
    return Unreachable(
        "connection_lost",
        f"The connection broke while {asked.route.name} was under way, which may or may not have been carried out. "
        f"({why})",
    )


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
    """A workflow given as such, as JSON text, or as a file's path. UiapiError `invalid`."""
    if isinstance(source, Mapping):
        return dict(source)
    text = str(source)
    try:
        if isinstance(source, Path) or not text.lstrip().startswith("{"):
            text = Path(source).expanduser().read_text("utf-8")
        workflow = json.loads(text)
    except OSError as error:
        raise UiapiError("invalid", f"{source} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UiapiError("invalid", f"This workflow is not JSON: {error}.") from error
    if not isinstance(workflow, dict):
        raise UiapiError("invalid", "A workflow is a JSON object; export it from ComfyUI.")
    return workflow


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that were given, that is, are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def write_workflow(workflow: Mapping[str, Any], path: str | Path | None) -> None:
    """Write a workflow to a file, if one is named."""
    write_bytes(json.dumps(workflow, indent=2, ensure_ascii=False).encode() + b"\n", path)


def write_bytes(content: bytes, path: str | Path | None) -> None:
    """Write a file, if one is named."""
    if path is not None:
        Path(path).expanduser().write_bytes(content)
