"""Which model folder each input of a node class lists, asked of the class itself while it lists it.

A loader offers `folder_paths.get_filename_list(folder)` as an input's choices. With empty folders all such lists
look the same, so the class is asked for its inputs while that function answers lists that know their folder. A
class that builds a new list from it is asked a second time with lists that hold a marker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .places import CLOSED_FOLDERS

log = logging.getLogger("uiapi")

# Input types the frontend makes a widget for; a list of choices is one as well.
_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload")
_MARKER = "uiapi marks the folder "

# Only one class is asked at a time: the function being watched is shared by all of ComfyUI.
_watching = threading.Lock()


@dataclass(frozen=True)
class ClassInputs:
    """What is known of a node class.

    Attributes:
        folders: the model folder by input name, for inputs that list one.
        widgets: the names of its widgets in the order of `widgets_values`; None where the frontend keeps a value
            of its own (what happens to a seed after a run, an upload button).
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    widgets: tuple[str | None, ...] = ()


class NodeInputs:
    """Knows node classes; each is asked once.

    Args:
        folder_paths: ComfyUI's module, whose get_filename_list is watched.
        node_classes: answers the mapping of class name to node class as it is now.
    """

    def __init__(self, folder_paths: Any, node_classes: Callable[[], Mapping[str, type]]) -> None:
        self._folder_paths = folder_paths
        self._node_classes = node_classes
        self._known: dict[type, ClassInputs] = {}

    def unknown(self, types: Iterable[str]) -> list[str]:
        """Those of the class names that were not asked yet."""
        classes = self._node_classes()
        return [name for name in types if name in classes and classes[name] not in self._known]

    def learn(self, types: Iterable[str]) -> None:
        """Ask classes. Blocks for as long as they take, so call it in a thread."""
        classes = self._node_classes()
        for name in types:
            node_class = classes.get(name)
            if node_class is not None and node_class not in self._known:
                self._known[node_class] = self._ask(name, node_class)

    def of(self, name: str) -> ClassInputs | None:
        """What is known of a class that was learnt; None for one this ComfyUI does not have."""
        node_class = self._node_classes().get(name)
        return self._known.get(node_class) if node_class is not None else None

    def _ask(self, name: str, node_class: Any) -> ClassInputs:
        # Whatever a custom node's own code raises, it is that node whose inputs stay unknown, and nothing else.
        try:
            with self._watch(lambda folder, files: _Listing(folder, files)) as listed:
                inputs = [*_inputs(node_class.INPUT_TYPES())]
            folders = {key: spec[0].folder for key, spec in _choices(inputs) if isinstance(spec[0], _Listing)}
            if set(listed) - set(folders.values()):
                with self._watch(lambda folder, files: [_MARKER + folder]):
                    again = [*_inputs(node_class.INPUT_TYPES())]
                marked = {key: _marked(spec[0]) for key, spec in _choices(again)}
                folders = {**{key: folder for key, folder in marked.items() if folder}, **folders}
        except Exception:
            log.warning("The class %s does not tell its inputs; its models are not looked for.", name, exc_info=True)
            return ClassInputs()
        usable = {key: folder for key, folder in folders.items() if folder not in CLOSED_FOLDERS}
        return ClassInputs(usable, tuple(_widgets(inputs)))

    @contextmanager
    def _watch(self, answer: Callable[[str, list[str]], list[str]]) -> Iterator[list[str]]:
        """Have get_filename_list answer by `answer` on this thread; gives the folders that were listed."""
        listed: list[str] = []
        mine = threading.get_ident()
        with _watching:
            original = self._folder_paths.get_filename_list

            def get_filename_list(folder_name: str) -> list[str]:
                if threading.get_ident() != mine:
                    files: list[str] = original(folder_name)
                    return files
                mapped: str = getattr(self._folder_paths, "map_legacy", lambda name: name)(folder_name)
                listed.append(mapped)
                return answer(mapped, original(folder_name))

            self._folder_paths.get_filename_list = get_filename_list
            try:
                yield listed
            finally:
                self._folder_paths.get_filename_list = original


class _Listing(list[str]):
    """A folder's files that know their folder, also when others are put before or behind them."""

    def __init__(self, folder: str, files: Iterable[str]) -> None:
        super().__init__(files)
        self.folder = folder

    def __add__(self, other: Any) -> _Listing:  # type: ignore[override]
        return _Listing(self.folder, [*self, *other])

    def __radd__(self, other: Any) -> _Listing:
        return _Listing(self.folder, [*other, *self])

    def copy(self) -> _Listing:
        return _Listing(self.folder, self)


def _inputs(declared: Any) -> Iterator[tuple[str, tuple[Any, dict[str, Any]]]]:
    """Every input of INPUT_TYPES as (name, (type, options)), in the frontend's order."""
    for group in ("required", "optional"):
        members = declared.get(group) if isinstance(declared, Mapping) else None
        for name, spec in (members or {}).items() if isinstance(members, Mapping) else ():
            if not isinstance(spec, (tuple, list)) or not spec:
                continue
            options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            kind = spec[0]
            if kind == "COMBO" and isinstance(options.get("options"), list):
                kind = options["options"]
            yield name, (kind, options)


def _choices(
    inputs: Iterable[tuple[str, tuple[Any, dict[str, Any]]]],
) -> Iterator[tuple[str, tuple[Any, dict[str, Any]]]]:
    return ((name, spec) for name, spec in inputs if isinstance(spec[0], list))


def _widgets(inputs: Iterable[tuple[str, tuple[Any, dict[str, Any]]]]) -> Iterator[str | None]:
    for name, (kind, options) in inputs:
        if not isinstance(kind, (list, tuple)) and kind not in _WIDGET_TYPES:
            continue
        if options.get("forceInput") or options.get("rawLink"):
            continue
        yield name
        if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
            yield None
        if any(options.get(upload) for upload in _UPLOADS):
            yield None


def _marked(choices: list[Any]) -> str | None:
    """The first folder whose marker is among the choices."""
    found = (choice for choice in choices if isinstance(choice, str) and choice.startswith(_MARKER))
    first = next(found, None)
    return first.removeprefix(_MARKER) if first is not None else None
