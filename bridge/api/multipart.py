"""Decodes multipart/form-data, in which programs such as curl send files without base64.

The part `workflow` is a file with a workflow, a file part of any other name is the value of the field of that name, and
the part `data` has everything else as a JSON object. https://www.rfc-editor.org/rfc/rfc7578 describes the format.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from ...common.errors import UiapiError
from ..protocol.codec import decode_object

TYPE = "multipart/form-data"
# The name of the part with the other keys of the request.
DATA = "data"
# Parts of one request, and bytes of the headers of one.
MAX_PARTS = 100
MAX_HEADERS = 10_000


@dataclass(frozen=True)
class Part:
    """One part: `filename` is None if it is no file."""

    name: str
    filename: str | None
    content: bytes


def decode_form(content_type: str, body: bytes, keys: Collection[str]) -> dict[str, Any]:
    """Return the request in a form. It blocks for as long as encoding takes, so call it on a thread.

    Args:
        content_type: the header.
        body: the whole body.
        keys: those that the command accepts.

    Raises:
        UiapiError: `malformed`, `too_large`, or `invalid` for a part that the command does not take.
    """
    request: dict[str, Any] = {}
    files: dict[str, Any] = {}
    for part in _parts(content_type, body):
        if part.name == DATA:
            request.update(decode_object(part.content))
        elif part.name == "workflow" and "workflow" in keys:
            files["workflow"] = _file(part)
        elif part.filename is not None and "fields" in keys:
            files.setdefault("fields", []).append([part.name, _file(part)])
        else:
            raise UiapiError(
                "invalid",
                f"The part {part.name[:80]!r} is not one of this command; send JSON in the part {DATA!r}, and files as "
                "'workflow' or under the path of a field.",
            )
    twice = [key for key in files if key in request and key != "fields"]
    if twice:
        raise UiapiError("invalid", f"Send {twice[0]} once, as a file or in {DATA!r}.")
    if "fields" in files:
        written = request.get("fields")
        # A wrong type is refused with the rest of the request.
        files["fields"] = [*written, *files["fields"]] if isinstance(written, list) else written or files["fields"]
    return {**request, **files}


def takes_files(keys: Collection[str]) -> bool:
    """Whether a command with these keys takes files."""
    return "workflow" in keys or "fields" in keys


def _file(part: Part) -> dict[str, Any]:
    value = {"type": "file_base64", "data": base64.b64encode(part.content).decode()}
    return value if part.filename is None else {**value, "filename": part.filename}


def _parts(content_type: str, body: bytes) -> Iterator[Part]:
    boundary = _header(content_type).get_boundary()
    if not boundary:
        raise UiapiError("malformed", "The form has no boundary; let your HTTP library write its Content-Type.")
    marker = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    whole = b"\r\n" + body
    if whole.count(marker) > MAX_PARTS + 1:
        raise UiapiError("too_large", f"A form may have at most {MAX_PARTS} parts.")
    # What precedes the first boundary is ignored.
    for piece in whole.split(marker)[1:]:
        if piece.startswith(b"--"):
            return
        head, end, content = piece.partition(b"\r\n\r\n")
        if not end or len(head) > MAX_HEADERS:
            break
        yield _part(head.decode("utf-8", "replace"), content)
    raise UiapiError("malformed", "The form is not complete; send all of it again.")


def _part(head: str, content: bytes) -> Part:
    lines = dict(line.split(":", 1) for line in head.split("\r\n") if ":" in line)
    disposition = next((text for name, text in lines.items() if name.strip().lower() == "content-disposition"), "")
    described = _header(disposition.strip())
    # Browsers and curl write a quotation mark like this, and a path may need it.
    name = (_parameter(described, "name") or "").replace("%22", '"')
    if not name:
        raise UiapiError("malformed", "A part of the form has no name; name it workflow, data, or as a field.")
    return Part(name, _parameter(described, "filename"), content)


def _parameter(header: Message, name: str) -> str | None:
    """Return a parameter, which some libraries write as `name*=utf-8''…` if it is not ASCII; None without it."""
    found = header.get_param(name)
    return None if found is None else collapse_rfc2231_value(found)


def _header(text: str) -> Message:
    """Return a header whose parameters can be read."""
    message = Message()
    message["Content-Type"] = " ".join(text.split())
    return message
