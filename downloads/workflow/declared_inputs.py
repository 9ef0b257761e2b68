"""Copies the declared inputs of a node class into plain data, without trusting the types that its code returns.

INPUT_TYPES is third-party code. Its names and types may be subclasses of str that cannot be hashed or are equal to
everything, its dicts may return values for missing keys, and its lists may be huge. Values of the expected types are
copied, up to a limit, into built-in types; foreign objects are never compared, hashed or kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

# The most inputs of a class, and the most choices of an input. Real classes have hundreds and tens of thousands.
MOST_INPUTS = 10_000
MOST_CHOICES = 200_000

# The options that affect the position of a widget's value and its choices.
UPLOADS = frozenset({"image_upload", "video_upload", "audio_upload", "animated_image_upload"})
_OPTIONS = UPLOADS | {"forceInput", "rawLink", "control_after_generate", "remote"}


class Listing(list[str]):
    """A list of a folder's files that keeps the folder's name, also when other entries are added to it."""

    def __init__(self, folder: str, files: Iterable[str]) -> None:
        super().__init__(files)
        self.folder = folder

    def __add__(self, other: Any) -> Listing:  # type: ignore[override]
        return Listing(self.folder, list.__add__(self, other)) if isinstance(other, list) else NotImplemented

    def __radd__(self, other: Any) -> Listing:
        return Listing(self.folder, list.__add__(other, self)) if isinstance(other, list) else NotImplemented

    def copy(self) -> Listing:
        return Listing(self.folder, self)


@dataclass(frozen=True)
class Input:
    """An input as its class declares it.

    Attributes:
        name: its name.
        kind: its type; COMBO for a list of choices.
        choices: the choices of a combo; None if it has no list or is not a combo.
        folder: the model folder that the choices are from, None if unknown.
        options: the options that are set, of those that matter here.
    """

    name: str
    kind: str
    choices: tuple[str, ...] | None
    folder: str | None
    options: frozenset[str]


def declared_inputs(node_class: Any) -> list[Input]:
    """All inputs of a class, in the frontend's order. Raises what the class's own code raises."""
    declared = node_class.INPUT_TYPES()
    found: list[Input] = []
    for group in ("required", "optional"):
        members = declared.get(group) if isinstance(declared, Mapping) else None
        if isinstance(members, Mapping):
            found += _read(islice(members.items(), MOST_INPUTS))
    return found


def _read(members: Iterable[tuple[Any, Any]]) -> Iterator[Input]:
    for key, spec in members:
        name = _text(key)
        if name is None or not isinstance(spec, (tuple, list)) or not spec:
            continue
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
        kind, offered = _text(spec[0]), spec[0]
        if kind == "COMBO":
            offered = options.get("options")
        choices = offered if isinstance(offered, (list, tuple)) else None
        yield Input(
            name=name,
            kind="COMBO" if choices is not None else kind or "*",
            choices=None if choices is None else _texts(choices),
            folder=choices.folder if isinstance(choices, Listing) else None,
            options=frozenset(option for option in _OPTIONS if options.get(option)),
        )


def _texts(members: Iterable[Any]) -> tuple[str, ...]:
    return tuple(text for member in islice(members, MOST_CHOICES) if (text := _text(member)) is not None)


def _text(value: Any) -> str | None:
    """A string as a plain `str`, never as a subclass with its own comparison or hash; None for anything else."""
    return str.__str__(value) if isinstance(value, str) else None
