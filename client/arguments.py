"""How the command line's words are read: PATH=VALUE, pictures by @FILE, options wherever they stand, output names."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import UiapiError
from .results import OutputFile

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
            front.extend([next(left, "")])
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
    """What to write, from PATH=VALUE words or, for a single -, from a JSON object on standard input."""
    if [*words] == ["-"]:
        fields = json_value(sys.stdin.read())
        if not isinstance(fields, dict):
            raise UiapiError("invalid", "Standard input must be a JSON object {path: value}.")
        return [[path, value] for path, value in fields.items()]
    pairs = [assignment(word) for word in words]
    return [[path, Path(value[1:]) if value.startswith("@") else json_of(value)] for path, value in pairs]


def text_of(path: Path) -> str:
    """What is in a file. UiapiError `invalid`."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UiapiError("invalid", f"{path} cannot be read: {error}.") from error


def outputs_for(files: Iterable[OutputFile], output: Path) -> list[Path]:
    """Write what a run made: into a folder under their own names, or to a file, numbered from the second on."""
    saved = []
    for number, file in enumerate(files, 1):
        target = output
        if not output.is_dir() and number > 1:
            target = output.with_name(f"{output.stem}_{number}{output.suffix}")
        try:
            saved.append(file.save(target))
        except OSError as error:
            raise UiapiError("invalid", f"{target} cannot be written: {error.strerror}.") from error
    return saved
