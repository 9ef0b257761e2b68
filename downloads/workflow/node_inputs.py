"""Finds the model folder that each input of a node class lists, by watching the class build its lists.

A loader uses `folder_paths.get_filename_list(folder)` as an input's choices. The lists of empty folders all look the
same, so the class is asked for its inputs while that function returns lists that carry their folder's name. A class
that builds a new list from them is asked again, with lists that contain a marker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..storage.model_folders import CLOSED_FOLDERS
from .declared_inputs import UPLOADS, Input, Listing, declared_inputs

log = logging.getLogger("uiapi")

# Input types for which the frontend creates a widget.
_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_MARKER = "uiapi marks the folder "

# Only one class is asked at a time, since the function being replaced is shared by all of ComfyUI.
_watching = threading.Lock()


@dataclass(frozen=True)
class ClassInputs:
    """The inputs of a node class.

    Attributes:
        folders: the model folder by input name, for inputs that list one.
        widgets: the names of its widgets in the order of `widgets_values`; None for values that the frontend adds
            (what happens to a seed after a run, an upload button).
        lists: the names of its combos with other lists, except uploads.
        readable: whether its inputs could be read; if not, it is treated like a class that is not installed.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    widgets: tuple[str | None, ...] = ()
    lists: frozenset[str] = frozenset()
    readable: bool = True


class NodeInputs:
    """Caches the inputs of node classes; each class is asked once.

    Args:
        folder_paths: ComfyUI's module, whose get_filename_list is watched.
        node_classes: returns the current mapping of class name to node class.
    """

    def __init__(self, folder_paths: Any, node_classes: Callable[[], Mapping[str, type]]) -> None:
        self._folder_paths = folder_paths
        self._node_classes = node_classes
        # With the class itself, since a name may be given another class. Not a key, since classes may be unhashable.
        self._known: dict[str, tuple[object, ClassInputs]] = {}
        self._failed: set[str] = set()

    def unknown(self, types: Iterable[str]) -> list[str]:
        """The class names among `types` that have not been asked yet."""
        classes = self._node_classes()
        return [name for name in types if name in classes and self._of(name, classes[name]) is None]

    def learn(self, types: Iterable[str]) -> None:
        """Ask classes for their inputs. Blocks for as long as they take, so call it in a thread."""
        classes = self._node_classes()
        for name in self.unknown(types):
            node_class = classes.get(name)
            if node_class is not None:
                self._known[name] = (node_class, self._ask(name, node_class))

    def of(self, name: str) -> ClassInputs | None:
        """The inputs of a class that was asked; None for one that is not installed."""
        return self._of(name, self._node_classes().get(name))

    def choices(self, name: str) -> dict[str, tuple[str, ...]]:
        """The current choices of a class's lists, by input; the class is asked again. Empty if it fails."""
        node_class = self._node_classes().get(name)
        inputs = self._declared(name, node_class) if node_class is not None else None
        return {one.name: one.choices for one in inputs or () if one.choices is not None}

    def _of(self, name: str, node_class: object) -> ClassInputs | None:
        known = self._known.get(name)
        return known[1] if known is not None and known[0] is node_class else None

    def _ask(self, name: str, node_class: Any) -> ClassInputs:
        with self._watch(lambda folder, files: Listing(folder, files)) as listed:
            inputs = self._declared(name, node_class)
        if inputs is None:
            return ClassInputs(readable=False)
        folders = {one.name: one.folder for one in inputs if one.folder is not None}
        if set(listed) - set(folders.values()):
            with self._watch(lambda folder, files: [_MARKER + folder]):
                again = self._declared(name, node_class) or []
            marked = {one.name: _marked(one.choices or ()) for one in again}
            folders = {**{key: folder for key, folder in marked.items() if folder}, **folders}
        return ClassInputs(
            folders={key: folder for key, folder in folders.items() if folder not in CLOSED_FOLDERS},
            widgets=tuple(_widgets(inputs)),
            lists=frozenset(
                one.name
                for one in inputs
                if one.choices is not None and one.name not in folders and not one.options & UPLOADS
            ),
        )

    def _declared(self, name: str, node_class: Any) -> list[Input] | None:
        """A class's inputs; None if its own code fails, which is logged the first time."""
        try:
            return declared_inputs(node_class)
        except BaseException as error:
            # A node's own code may raise anything, SystemExit and CancelledError included.
            if name not in self._failed:
                self._failed.add(name)
                kind = type(error).__name__
                log.warning("The inputs of the node class %s cannot be read (%s).", name, kind, exc_info=True)
            return None

    @contextmanager
    def _watch(self, answer: Callable[[str, list[str]], list[str]]) -> Iterator[list[str]]:
        """Make get_filename_list return the result of `answer` on this thread; yields the folders that were listed."""
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


def _widgets(inputs: Iterable[Input]) -> Iterator[str | None]:
    for one in inputs:
        if one.kind not in _WIDGET_TYPES or one.options & {"forceInput", "rawLink"}:
            continue
        yield one.name
        if "control_after_generate" in one.options or (one.kind == "INT" and one.name in ("seed", "noise_seed")):
            yield None
        if one.options & UPLOADS:
            yield None


def _marked(choices: Iterable[str]) -> str | None:
    """The first folder whose marker is among the choices."""
    first = next((choice for choice in choices if choice.startswith(_MARKER)), None)
    return first.removeprefix(_MARKER) if first is not None else None
