"""Parses the arguments of the command line: PATH=VALUE, @FILE, options in any position, and output paths."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..common.errors import UiapiError
from ..common.pictures import FORMATS
from ..common.results import Run, save_all

T = TypeVar("T")

# Options of every subcommand, and whether a value follows.
COMMON = {"--json": False, "--version": False, "--url": True, "--token": True, "--webui": True}
# Quoted titles, which may contain any character, and other text without an equals sign.
_PATH = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^="])*)=(.*)', re.DOTALL)
# NAME=URL.
_MODEL_URL = re.compile(r"[^=:?#]+=[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def hoisted(words: Sequence[str]) -> list[str]:
    """Moves the common options to the front, so that `uiapi status --json` works like `uiapi --json status`."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            return [*front, *rest, word, *left]
        name, equals, value = word.partition("=")
        if name not in COMMON:
            rest.append(word)
            continue
        given = [word]
        if COMMON[name] and not equals:
            following = next(left, None)
            if following is None:
                # Alone the option is refused for its missing value; at the front it would take another argument.
                return [*front, word]
            given.append(value := following)
        # `uiapi download --url NAME=URL` names the URL of a model.
        (rest if name == "--url" and _MODEL_URL.match(value) else front).extend(given)
    return [*front, *rest]


def subcommand(words: Sequence[str]) -> str:
    """Returns the first word of a command line from `hoisted` that is no common option, or an empty text."""
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if name not in COMMON:
            return word
        if COMMON[name] and not equals:
            next(left, None)
    return ""


def assignment(word: str) -> tuple[str, str]:
    """Parses PATH=VALUE into (path, value). Raises UiapiError `invalid`."""
    match = _PATH.fullmatch(word)
    if match is None or not match[1]:
        raise UiapiError("invalid", f"Expected PATH=VALUE, got {word!r}; put quotes around it if it contains blanks.")
    return match[1], match[2]


def json_value(text: str) -> Any:
    """Parses JSON. Raises UiapiError `invalid`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UiapiError("invalid", f"Invalid JSON: {error}.") from None


def json_of(text: str) -> Any:
    """Parses JSON; returns the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def file_in(name: str) -> Path | dict[str, str]:
    """Returns a file as a value: its path, or its URL, from which the server downloads it."""
    return {"type": "url", "url": name} if name.startswith("https://") else Path(name)


class Writes:
    """The writes in PATH=VALUE arguments, or for a single - in {path: value} on standard input.

    Attributes:
        pairs: [path, value] of each, with the value as JSON if it is JSON.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._texts: dict[str, str] = {}
        if [*words] == ["-"]:
            self.pairs = [[path, value] for path, value in object_in().items()]
            return
        self._texts = dict(map(assignment, words))
        self.pairs = [
            [path, file_in(text[1:]) if text.startswith("@") else json_of(text)]
            for path, text in map(assignment, words)
        ]

    def send(self, send: Callable[[list[list[Any]]], T]) -> T:
        """Returns `send(pairs)`. A value such as 123 is sent again as a text if its field takes only texts.

        Nothing is written by a request that is refused, so that it can be repeated.
        """
        while True:
            try:
                return send(self.pairs)
            except UiapiError as error:
                path, expected = error.details.get("path"), error.details.get("expected")
                if error.code != "invalid" or expected != "string" or not isinstance(path, str):
                    raise
                text = self._texts.pop(path, None)
                if text is None:
                    raise
                self.pairs = [[name, text if name == path else value] for name, value in self.pairs]


def text_of(name: str) -> str:
    """Returns the content of a file, or of standard input for -. Raises UiapiError `invalid`."""
    try:
        # Some editors and shells write a byte order mark.
        return sys.stdin.read().removeprefix("\ufeff") if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UiapiError("invalid", f"{name} cannot be read: {error}.") from error


def object_in() -> dict[str, Any]:
    """Returns the JSON object on standard input. Raises UiapiError `invalid`."""
    value = json_value(text_of("-"))
    if not isinstance(value, dict):
        raise UiapiError("invalid", "Standard input must be a JSON object.")
    return value


def target_of(name: str) -> Path:
    """Returns the path of `--output`, checked before the run; a folder, marked by a trailing slash, is created.

    Raises UiapiError `storage_failed`.
    """
    target = Path(os.path.expanduser(name))
    try:
        if name.endswith(("/", os.sep)):
            target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UiapiError(
            "storage_failed", f"{name} cannot be created: {error.strerror}; choose another path."
        ) from error
    folder = target if target.is_dir() else target.parent
    if _is_special(target):
        return target
    if not folder.is_dir():
        raise UiapiError("storage_failed", f"The folder {folder} does not exist; create it, or choose another path.")
    if not os.access(folder, os.W_OK):
        raise UiapiError("storage_failed", f"The folder {folder} is not writable; choose another path.")
    return target


def outputs_for(done: Run, output: Path, warn: Callable[[str], object]) -> list[Path]:
    """Write the outputs of a run into a folder under their own names, or to a file, numbered from the second on.

    A picture is converted to the format of the suffix of `output`; other files, and all if Pillow is missing, which
    `warn` is called for, keep the suffix of their own format. Texts are written only if the run has no files. Raises
    UiapiError `no_image` without outputs.
    """
    files = done.files or [text.as_file() for text in done.texts]
    if not files:
        raise UiapiError("no_image", "The run produced no files; add a SaveImage or PreviewImage node.")
    if output.is_dir() or _is_special(output):
        return save_all(files, output)
    saved = []
    for number, file in enumerate(files, 1):
        own = Path(file.filename).suffix
        as_asked = not own or _kind(own) == _kind(output.suffix) or (file.kind == "text" and output.suffix)
        counted = "" if number == 1 else f"_{number}"
        name = output.with_name(f"{output.stem}{counted}{own}")
        asked = name.with_suffix(output.suffix)
        if not as_asked and {_kind(own), _kind(output.suffix)} <= {*FORMATS}:
            try:
                saved.append(file.save(asked))
                continue
            except UiapiError as error:
                if error.code != "invalid":
                    raise
                warn(error.message)
        saved.append(file.save(asked if as_asked else name))
    return saved


def _kind(suffix: str) -> str:
    return suffix.lower().replace(".jpeg", ".jpg")


def _is_special(target: Path) -> bool:
    """Returns whether the path is a pipe or a device, such as /dev/stdout."""
    return target.exists() and not target.is_file() and not target.is_dir()


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a question with the most similar of the known names, or an empty text if none is similar."""
    import difflib

    found = difflib.get_close_matches(name.lower(), [*known], 1, 0.6)
    return f" Did you mean {found[0]}?" if found else ""
