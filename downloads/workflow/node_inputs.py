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

from ..storage.model_folders import CLOSED_FOLDERS
from .declared_inputs import UPLOADS, Input, Listing, declared_inputs

log = logging.getLogger("uiapi")

# Input types the frontend makes a widget for.
_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
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
        lists: the names of its combos with any other list, uploads left out.
        readable: whether the class has said what it takes; if not, it is as good as one that is not installed.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    widgets: tuple[str | None, ...] = ()
    lists: frozenset[str] = frozenset()
    readable: bool = True


class NodeInputs:
    """Knows node classes; each is asked once.

    Args:
        folder_paths: ComfyUI's module, whose get_filename_list is watched.
        node_classes: answers the mapping of class name to node class as it is now.
    """

    def __init__(self, folder_paths: Any, node_classes: Callable[[], Mapping[str, type]]) -> None:
        self._folder_paths = folder_paths
        self._node_classes = node_classes
        # With the class each is known of, since a name may get another one; a class itself need not have a hash.
        self._known: dict[str, tuple[object, ClassInputs]] = {}
        self._failed: set[str] = set()

    def unknown(self, types: Iterable[str]) -> list[str]:
        """Those of the class names that were not asked yet."""
        classes = self._node_classes()
        return [name for name in types if name in classes and self._of(name, classes[name]) is None]

    def learn(self, types: Iterable[str]) -> None:
        """Ask classes. Blocks for as long as they take, so call it in a thread."""
        classes = self._node_classes()
        for name in self.unknown(types):
            node_class = classes.get(name)
            if node_class is not None:
                self._known[name] = (node_class, self._ask(name, node_class))

    def of(self, name: str) -> ClassInputs | None:
        """What is known of a class that was learnt; None for one this ComfyUI does not have."""
        return self._of(name, self._node_classes().get(name))

    def choices(self, name: str) -> dict[str, tuple[str, ...]]:
        """What a class's lists offer now, by input: the class is asked anew. Nothing for one that does not say."""
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
        """A class's inputs; None, and a line in the log the first time, where its own code fails."""
        try:
            return declared_inputs(node_class)
        except BaseException as error:
            # A node's own code may raise anything, SystemExit and CancelledError included.
            if name not in self._failed:
                self._failed.add(name)
                kind = type(error).__name__
                log.warning("The class %s does not say what it takes (%s).", name, kind, exc_info=True)
            return None

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
