"""How the command line's words are read: PATH=VALUE, pictures by @FILE, options wherever they stand, output names."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.errors import UiapiError
from ..common.results import Run, save_all

# Options of every verb, and whether a value follows.
COMMON = {"--json": False, "--url": True, "--token": True, "--webui": True}
# A title in quotes, which may hold any character, or anything without an equals sign.
_PATH = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^="])*)=(.*)', re.DOTALL)


def hoisted(words: Sequence[str]) -> list[str]:
    """The words with the common options first, so that `uiapi status --json` works like `uiapi --json status`."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            return [*front, *rest, word, *left]
        name = word.partition("=")[0]
        if name not in COMMON:
            rest.append(word)
            continue
        front.append(word)
        if COMMON[name] and "=" not in word:
            value = next(left, None)
            if value is None:
                # Alone it is refused for the want of it; before the rest it would take a word of that.
                return front
            front.append(value)
    return [*front, *rest]


def assignment(word: str) -> tuple[str, str]:
    """PATH=VALUE as (path, value). UiapiError `invalid`."""
    match = _PATH.fullmatch(word)
    if match is None or not match[1]:
        raise UiapiError("invalid", f"{word!r} is no PATH=VALUE.")
    return match[1], match[2]


def json_value(text: str) -> Any:
    """JSON, strictly. UiapiError `invalid`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UiapiError("invalid", f"This is not JSON: {error}.") from None


def json_of(text: str) -> Any:
    """The JSON value that a word is, or the word itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def writes_of(words: Sequence[str]) -> list[list[Any]]:
    """What to write, from PATH=VALUE words or, for a single -, from a JSON object {path: value} on standard input."""
    if [*words] == ["-"]:
        return [[path, value] for path, value in object_in().items()]
    pairs = [assignment(word) for word in words]
    return [[path, Path(value[1:]) if value.startswith("@") else json_of(value)] for path, value in pairs]


def text_of(name: str) -> str:
    """What is in a file, or for - on standard input. UiapiError `invalid`."""
    try:
        # Some editors and shells begin a text with a byte order mark.
        return sys.stdin.read().removeprefix("\ufeff") if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UiapiError("invalid", f"{name} cannot be read: {error}.") from error


def object_in() -> dict[str, Any]:
    """The JSON object on standard input. UiapiError `invalid`."""
    value = json_value(text_of("-"))
    if not isinstance(value, dict):
        raise UiapiError("invalid", "Standard input must be a JSON object in braces.")
    return value


def target_of(name: str) -> Path:
    """Where `--output` leads, made ready before the run: a name that ends in a slash is a folder, which is made.

    UiapiError `storage_failed`, since pictures without a place would be made for nothing.
    """
    target = Path(os.path.expanduser(name))
    try:
        if name.endswith(("/", os.sep)):
            target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UiapiError("storage_failed", f"{name} cannot be made: {error.strerror}; name another place.") from error
    folder = target if target.is_dir() else target.parent
    if _is_special(target):
        return target
    if not folder.is_dir():
        raise UiapiError("storage_failed", f"There is no folder {folder}; make it, or name another place.")
    if not os.access(folder, os.W_OK):
        raise UiapiError("storage_failed", f"The folder {folder} cannot be written to; name another place.")
    return target


def outputs_for(done: Run, output: Path) -> list[Path]:
    """Write what a run made: into a folder under their own names, or to a file, numbered from the second on.

    A file has the suffix of what is in it, also where `output` names another. Where a run made texts alone, these are
    written. UiapiError `no_image` without any.
    """
    files = done.files or [text.as_file() for text in done.texts]
    if not files:
        raise UiapiError("no_image", "The run made no file; add a SaveImage or PreviewImage node.")
    if output.is_dir() or _is_special(output):
        return save_all(files, output)
    saved = []
    for number, file in enumerate(files, 1):
        own = Path(file.filename).suffix
        as_asked = not own or _kind(own) == _kind(output.suffix) or (file.kind == "text" and output.suffix)
        suffix = output.suffix if as_asked else own
        counted = "" if number == 1 else f"_{number}"
        saved.append(file.save(output.with_name(f"{output.stem}{counted}{suffix}")))
    return saved


def _kind(suffix: str) -> str:
    return suffix.lower().replace(".jpeg", ".jpg")


def _is_special(target: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/stdout."""
    return target.exists() and not target.is_file() and not target.is_dir()
