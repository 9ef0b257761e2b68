"""Finds the models that a node names: in its model record, its widgets, its rows of LoRAs, and its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..storage.model_folders import MODEL_EXTENSIONS, Places, extension_of, local_name, same_name
from .graph_walk import Placed
from .loader_folders import folder_of
from .node_inputs import ClassInputs
from .prompt_texts import embeddings_of, loras_of

_LORAS, _EMBEDDINGS = "loras", "embeddings"

# How a use names its model: in the node's own record, in a widget that lists a model folder, in a widget whose choices
# lack it, in a node whose type is not installed, in a row of LoRAs, as `<lora:name:1>` or `embedding:name` in a text.
RECORD, LOADER, COMBO, UNKNOWN_NODE = "record", "loader", "combo", "unknown_node"
ROW, LORA_TAG, EMBEDDING = "row", "lora_tag", "embedding"

# A name without suffix matches a file with any suffix; a downloaded file gets this one.
_SUFFIX = ".safetensors"

Values = list[tuple[str | None, str]]
Seen = set[tuple[str | None, str]]


@dataclass(frozen=True)
class Use:
    """A widget that names a model.

    Attributes:
        node: the node's id; "12:3" is node 3 inside the subgraph node 12.
        type: the node's class name, None if the workflow does not give it.
        widget: the widget's name, None if unknown.
        value: the name exactly as written, including its separators.
        reason: why it is not needed for a run now ("muted", "bypassed", "off"), None if it is needed.
        folder: the ComfyUI directory that the widget lists, None if unknown.
        named_in: how it names the model, one of the constants above.
        choices: the widget's choices, if its class makes that list itself.
    """

    node: str
    type: str | None
    widget: str | None
    value: str
    reason: str | None
    folder: str | None = None
    named_in: str = UNKNOWN_NODE
    choices: tuple[str, ...] | None = None

    @property
    def is_part(self) -> bool:
        """Whether the name is only a part of the widget's value; it may then lack its suffix."""
        return self.named_in in (ROW, LORA_TAG, EMBEDDING)

    def to_dict(self) -> dict[str, Any]:
        """The use as analyze_workflow returns it, with the field path of the widget."""
        path = f"#{self.node}" + (f".{self.widget}" if self.widget else "")
        return {"id": self.node, "type": self.type, "path": path, "widget": self.widget}


@dataclass(frozen=True)
class Mention:
    """A model that a use names.

    Attributes:
        name: the file's name, with its subfolder.
        directory: the ComfyUI directory, None if unknown.
        use: where it is named.
        record: the node's own record of it (url, hash, hash_type).
    """

    name: str
    directory: str | None
    use: Use
    record: Mapping[str, Any] = field(default_factory=dict)


class Mentions:
    """Reads the nodes of one workflow.

    Args:
        places: ComfyUI's folders.
        choices: returns the current choices of a class's own lists, by input; called at most once for each class.
    """

    def __init__(self, places: Places, choices: Callable[[str], Mapping[str, tuple[str, ...]]]) -> None:
        self._places = places
        self._ask_choices = choices
        self._choices: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def of(self, placed: Placed, known: ClassInputs | None) -> Iterator[Mention]:
        """All models that a node names; `known` is None for a class that is not installed."""
        values = placed.values(known.widgets if known else ())
        # The names mentioned so far, by widget and name; with None for the widget, by name alone.
        seen: Seen = set()
        if placed.models:
            yield from self._recorded(placed, values, known.folders if known else {}, seen)
        for widget, value in values:
            name = same_name(value)
            if (widget, name) in seen or (widget is None and (None, name) in seen):
                continue
            mention = self._held(placed, widget, value, known, (None, name) in seen)
            if mention is not None:
                yield mention
        for name, is_on in placed.rows():
            if is_model_name(name) and (None, same_name(name)) not in seen:
                seen.add((None, same_name(name)))
                reason = placed.reason or (None if is_on else "off")
                yield _part(placed, None, name, reason, _LORAS, ROW)
        yield from self._written(placed, values, seen)

    def _recorded(self, placed: Placed, values: Values, folders: Mapping[str, str], seen: Seen) -> Iterator[Mention]:
        """The entries of the node's record whose name one of its widgets still holds."""
        for model in placed.models:
            wanted = same_name(model["name"])
            widget, value = _holder(values, wanted, folders, model.get("directory"))
            # An empty widget names no model, even if the record has an entry with an empty name.
            if value is None or not wanted:
                continue
            listed = folders.get(widget or "")
            directory = model.get("directory")
            if not isinstance(directory, str) or not directory:
                directory = listed
            seen.update({(widget, wanted), (None, wanted)})
            use = Use(placed.id, placed.type, widget, value, placed.reason, listed, RECORD)
            yield Mention(model["name"], directory, use, model)

    def _held(
        self, placed: Placed, widget: str | None, value: str, known: ClassInputs | None, recorded: bool
    ) -> Mention | None:
        """The model whose name is the whole value of a widget."""
        if known is None:
            if recorded or extension_of(value) not in MODEL_EXTENSIONS:
                return None
            directory = folder_of(placed, widget, value)
            return Mention(value, directory, Use(placed.id, placed.type, widget, value, placed.reason))
        directory = known.folders.get(widget or "")
        if directory is not None:
            if not self._is_file(directory, value):
                return None
            use = Use(placed.id, placed.type, widget, value, placed.reason, directory, LOADER)
            return Mention(value, directory, use)
        if widget not in known.lists or extension_of(value) not in MODEL_EXTENSIONS:
            return None
        offered = {} if placed.type is None else self._offered(placed.type)
        # In any of its lists, since widgets known only to the page may have shifted the names of the others.
        if any(value in choices for choices in offered.values()):
            return None
        use = Use(placed.id, placed.type, widget, value, placed.reason, None, COMBO, offered.get(widget or "", ()))
        return Mention(value, None, use)

    def _written(self, placed: Placed, values: Values, seen: Seen) -> Iterator[Mention]:
        """The models that the node's texts name, except texts that come from another node."""
        for widget, value in values:
            if "<" not in value and "embedding:" not in value:
                continue
            if widget is not None and placed.is_fed(widget):
                continue
            for kind, folder, names in ((LORA_TAG, _LORAS, loras_of), (EMBEDDING, _EMBEDDINGS, embeddings_of)):
                for name in names(value):
                    key = f"{folder}/{same_name(name)}"
                    if is_model_name(name) and not seen & {(None, key), (None, same_name(name))}:
                        seen.add((None, key))
                        yield _part(placed, widget, name, placed.reason, folder, kind)

    def _offered(self, kind: str) -> Mapping[str, tuple[str, ...]]:
        if kind not in self._choices:
            self._choices[kind] = self._ask_choices(kind)
        return self._choices[kind]

    def _is_file(self, directory: str, value: str) -> bool:
        # Some lists also contain words: "taesd" among the VAEs, "[None]" among the LoRAs.
        endings = self._places.extensions(directory) or MODEL_EXTENSIONS
        return extension_of(value) in endings | MODEL_EXTENSIONS and bool(extension_of(value))


def is_model_name(name: str) -> bool:
    """Whether a name, which may lack its suffix, can be a model's; words for "none" are not."""
    return name.strip("[]").lower() != "none" and local_name(name) is not None


def _part(placed: Placed, widget: str | None, name: str, reason: str | None, folder: str, kind: str) -> Mention:
    full = name if extension_of(name) in MODEL_EXTENSIONS else name + _SUFFIX
    return Mention(full, folder, Use(placed.id, placed.type, widget, name, reason, folder, kind))


def _holder(values: Values, wanted: str, folders: Mapping[str, str], directory: Any) -> tuple[str | None, str | None]:
    """The widget that holds a model's name, preferably one that lists its folder, and the widget's exact value."""
    holders = [(widget, value) for widget, value in values if same_name(value) == wanted]
    fitting = [pair for pair in holders if pair[0] is not None and folders.get(pair[0]) == directory]
    listing = [pair for pair in holders if pair[0] in folders]
    return next(iter([*fitting, *listing, *holders]), (None, None))
