"""Parses the values of a sweep on the command line: lists, ranges such as 0..1:0.25, quoted texts and @FILE."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.pictures import SHOWN
from ..variations import MAX_VARIATIONS

_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")
# A text in single quotes, which shells of Windows leave to the program.
_QUOTED = re.compile(r"'([^']*)'(?=\s*(?:,|$))")


@dataclass(frozen=True)
class Listed:
    """One value, and the text it was written as."""

    value: Any
    text: str


def values_in(path: str, text: str) -> list[Listed]:
    """Returns the values in a list for a field. Raises UiapiError `invalid`.

    Values are separated by commas. A value is JSON, a range, a text, or @FILE: a picture, or a value for each line of a
    text file. A text with a comma is put in quotes.
    """
    found = [value for word, quoted in _split(path, text) for value in _values(path, word, quoted)]
    if len(found) > MAX_VARIATIONS:
        raise UiapiError("invalid", f"{path} has {len(found)} values; a sweep has at most {MAX_VARIATIONS} variations.")
    return found


def _split(path: str, text: str) -> Iterator[tuple[str, bool]]:
    """Yields each value as (text, whether it is JSON or quoted already)."""
    at, left = 0, True
    while left:
        start = at + len(text[at:]) - len(text[at:].lstrip())
        word, at, quoted = _next(text, start)
        following = text[at:].lstrip()
        left = following.startswith(",")
        if not word and not quoted:
            raise UiapiError("invalid", f'{path} has an empty value; write "" for an empty text.')
        yield word, quoted
        at = len(text) - len(following) + 1


def _next(text: str, start: int) -> tuple[str, int, bool]:
    """Returns the value that starts there, its end, and whether it is JSON or quoted."""
    if text[start : start + 1] in ('"', "[", "{"):
        try:
            _, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            end = start
        if end > start and re.match(r"\s*(,|$)", text[end:]):
            return text[start:end], end, True
    single = _QUOTED.match(text, start)
    if single is not None:
        return json.dumps(single[1]), single.end(), True
    end = text.find(",", start)
    end = len(text) if end < 0 else end
    return text[start:end].rstrip(), end, False


def _values(path: str, word: str, quoted: bool) -> Iterator[Listed]:
    if quoted:
        value = json.loads(word)
        yield Listed(value, value if isinstance(value, str) else word)
    elif word.startswith("@"):
        yield from _file(word[1:])
    elif (spread := _RANGE.fullmatch(word)) is not None:
        yield from _range(path, word, *spread.groups())
    else:
        yield Listed(_scalar(word), word)


def _scalar(word: str) -> Any:
    try:
        value = json.loads(word)
    except ValueError:
        return word
    # json accepts NaN and Infinity, which cannot be sent.
    return word if word.lstrip("-") in ("NaN", "Infinity") else value


def _range(path: str, word: str, first: str, last: str, step: str | None) -> Iterator[Listed]:
    # Decimal, since 0.1 + 0.2 is not 0.3 in floats.
    start, end = Decimal(first), Decimal(last)
    by = Decimal(step) if step else Decimal(1 if end >= start else -1)
    if by == 0 or (end - start) * by < 0:
        raise UiapiError("invalid", f"{path}: the step of {word} does not lead from {first} to {last}.")
    count = int((end - start) / by) + 1
    if count > MAX_VARIATIONS:
        raise UiapiError(
            "invalid", f"{path}: {word} has {count} values; a sweep has at most {MAX_VARIATIONS} variations."
        )
    whole = start == int(start) and by == int(by)
    for number in range(count):
        value = start + number * by
        yield Listed(int(value) if whole else float(value), format(value.normalize(), "f"))


def _file(name: str) -> Iterator[Listed]:
    file = Path(name).expanduser()
    if file.suffix.lower() in SHOWN:
        if not file.is_file():
            raise UiapiError("invalid", f"{name} is not a file; give the path of a picture or a text file after @.")
        yield Listed(file, file.name)
        return
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        sentence = f"{name} is neither a picture nor a text file in UTF-8; give one of these after @."
        raise UiapiError("invalid", sentence) from error
    except OSError as error:
        sentence = f"{name} cannot be read: {error.strerror}; give the path of a picture or a text file after @."
        raise UiapiError("invalid", sentence) from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UiapiError("invalid", f"{name} contains no values; write one on each line.")
    yield from (Listed(_scalar(line), line) for line in found)
