"""The packs of custom nodes: which are installed, which of them failed to import, and ComfyUI-Manager's list of all.

ComfyUI-Manager's files are read directly, since its routes may ask the internet before they answer. Everything here
reads files, so it runs on threads.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...common.manager_files import newest_list
from ...common.shorten import sentence
from .adapter import Comfy

log = logging.getLogger("uiapi")

NODE_MAP, PACK_LIST = "extension-node-map.json", "custom-node-list.json"
# Bytes of a file that is read, several times the size of ComfyUI-Manager's.
MAX_LIST, MAX_PROJECT = 50_000_000, 100_000
# Characters of a name that is read from a file or a workflow.
MAX_NAME = 300
# Packs that have the same type.
MAX_PACKS = 100
# Patterns of type names that are tried for a type that no pack lists.
MAX_PATTERNS = 1000
# The routes that install a pack, by the name this package gives to each kind of ComfyUI-Manager.
INSTALL_ROUTES = {
    "/v2/manager/queue/task": "tasks",
    "/v2/manager/queue/batch": "batch",
    "/manager/queue/install": "queue",
}
# ComfyUI logs this for a pack that it cannot import.
FAILED = re.compile(r"Cannot import (.+?) module for custom nodes: (.*)", re.DOTALL)
ENTRY_FAILED = re.compile(r"Error while calling comfy_entrypoint in (.+?): (.*)", re.DOTALL)
PROJECT_NAME = re.compile(r"""^name\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class Pack:
    """A pack as ComfyUI-Manager lists it: its id in the registry, if the list has it, and the URL of its repository."""

    id: str | None
    title: str
    repository: str


@dataclass(frozen=True)
class Installed:
    """A pack in custom_nodes.

    Attributes:
        names: its lower-case names: that of its folder and that of its project.
        state: "loaded", "failed", "disabled", or "not_loaded" if it was added after ComfyUI started.
        error: why it failed to import, if known.
    """

    names: frozenset[str]
    state: str
    error: str | None = None


@dataclass(frozen=True)
class PackLists:
    """ComfyUI-Manager's lists: the packs that have a node type, and packs by a lower-case name or repository."""

    by_type: dict[str, list[Pack]] = field(default_factory=dict)
    by_name: dict[str, Pack] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], Pack]] = field(default_factory=list)

    def having(self, node_type: str) -> list[Pack]:
        """Return the packs that have a node type; the one that the list prefers comes first."""
        found = self.by_type.get(node_type)
        if found is None and len(node_type) <= MAX_NAME:
            found = [pack for pattern, pack in self.patterns if pattern.search(node_type)]
        return found or []


class NodePacks:
    """Reads packs; ComfyUI-Manager's lists are kept until a file changes.

    Args:
        comfy: the running ComfyUI.
    """

    def __init__(self, comfy: Comfy) -> None:
        self._comfy = comfy
        self._read: tuple[Any, PackLists] = None, PackLists()
        # Errors by the path of the pack. ComfyUI's log soon forgets them.
        self._errors: dict[str, str] = {}

    def keep_errors(self) -> None:
        """Keep the errors of failed imports from ComfyUI's log; called once when all packs have been imported."""
        self._errors = dict(_logged_errors())

    def install_api(self) -> str | None:
        """Return the kind of ComfyUI-Manager's routes that install a pack, or None if there are none."""
        paths = {getattr(route, "path", None) for route in self._comfy.prompt_server.routes}
        return next((kind for path, kind in INSTALL_ROUTES.items() if path in paths), None)

    def lists(self) -> PackLists:
        """Return ComfyUI-Manager's lists; empty ones if it is not installed."""
        users = self._comfy.user_directory()
        files = [newest_list(name, self._manager_folders(), users) for name in (NODE_MAP, PACK_LIST)]
        key = [file and (str(file), file.stat().st_mtime_ns) for file in files]
        if self._read[0] != key:
            node_map, packs = (_object(file) for file in files)
            self._read = key, _lists(node_map, packs)
        return self._read[1]

    def installed(self) -> list[Installed]:
        """Return the packs in custom_nodes."""
        loaded = {str(folder) for folder in getattr(sys.modules.get("nodes"), "LOADED_MODULE_DIRS", {}).values()}
        kept, collected = {**self._errors, **_startup_errors()}, _manager_errors()
        return [_installed(path, loaded, kept, collected) for path in self._pack_paths()]

    def _pack_paths(self) -> Iterator[Path]:
        for root in self._comfy.pack_roots():
            for folder in (root, root / ".disabled"):
                try:
                    entries = sorted(folder.iterdir())
                except OSError:
                    # A configured folder need not exist.
                    continue
                yield from (
                    entry for entry in entries if entry.is_dir() and entry.name not in ("__pycache__", ".disabled")
                )

    def _manager_folders(self) -> Iterator[Path]:
        """The folders of ComfyUI-Manager in custom_nodes."""
        yield from (path for path in self._pack_paths() if "comfyui-manager" in plain_name(path.name))


def _installed(path: Path, loaded: set[str], kept: dict[str, str], collected: dict[str, str]) -> Installed:
    """Describe one pack.

    Args:
        path: its folder.
        loaded: the folders that ComfyUI has loaded.
        kept: ComfyUI's errors by folder.
        collected: ComfyUI-Manager's errors by the folder's name, which may be about packs that work nonetheless.
    """
    names = frozenset({plain_name(path.name), plain_name(_project_name(path))} - {""})
    if path.name.endswith(".disabled") or path.parent.name == ".disabled":
        return Installed(names, "disabled")
    error = kept.get(str(path))
    if error is None and str(path.absolute()) in loaded:
        return Installed(names, "loaded")
    error = error or collected.get(path.name)
    # ComfyUI registers a module before it runs it, and leaves it there if that fails.
    if error is None and str(path).replace(".", "_x_") not in sys.modules:
        return Installed(names, "not_loaded")
    return Installed(names, "failed", None if error is None else sentence(error.strip()))


def plain_name(name: str) -> str:
    """Return the name of a pack's folder as names are compared: lower case, without a version or ".disabled"."""
    return name.lower().removesuffix(".disabled").partition("@")[0].removesuffix(".git").replace("_", "-")


def text_of(value: Any) -> str:
    """Return a name from a file or a workflow; empty if it is not a text or too long."""
    return value if isinstance(value, str) and len(value) <= MAX_NAME else ""


def _object(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        if file.stat().st_size > MAX_LIST:
            raise ValueError(f"it has more than {MAX_LIST} bytes")
        read = json.loads(file.read_bytes())
        if not isinstance(read, dict):
            raise ValueError("it is not an object")
        return read
    except (OSError, ValueError, RecursionError) as error:
        log.warning("ComfyUI-Manager's list %s cannot be used: %s.", file, error)
        return {}


def _lists(node_map: dict[str, Any], packs: dict[str, Any]) -> PackLists:
    lists = PackLists()
    preferred: dict[str, Pack] = {}
    listed = packs.get("custom_nodes")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            _add_pack(lists, entry, preferred)
    for key, entry in node_map.items():
        if not (text_of(key) and isinstance(entry, list) and entry):
            continue
        about = entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}
        pack = lists.by_name.get(repository_key(key))
        if pack is None:
            # Newer lists have ids in place of repositories.
            repository = key if "/" in key else ""
            title = text_of(about.get("title_aux")) or last_part(key)
            pack = Pack(None if repository else key, title, repository)
            lists.by_name.setdefault(repository_key(key), pack)
        _add_types(lists, pack, entry[0], about.get("nodename_pattern"))
    for node_type, pack in preferred.items():
        others = [other for other in lists.by_type.get(node_type, ()) if other is not pack]
        lists.by_type[node_type] = [pack, *others]
    return lists


def _add_pack(lists: PackLists, entry: dict[str, Any], preferred: dict[str, Pack]) -> None:
    files = entry.get("files")
    given = [text_of(entry.get("reference")), *(map(text_of, files) if isinstance(files, list) else ())]
    urls = [url for url in given if url]
    if not urls:
        return
    pack = Pack(None, text_of(entry.get("title")) or last_part(urls[0]), urls[0])
    for url in urls:
        lists.by_name.setdefault(repository_key(url), pack)
    # Often, but not always, its id in the registry.
    lists.by_name.setdefault(text_of(entry.get("id")).lower(), pack)
    types = entry.get("preemptions")
    for node_type in types if isinstance(types, list) else ():
        if text_of(node_type):
            preferred.setdefault(node_type, pack)


def _add_types(lists: PackLists, pack: Pack, types: Any, pattern: Any) -> None:
    for node_type in types if isinstance(types, list) else ():
        if text_of(node_type):
            known = lists.by_type.setdefault(node_type, [])
            # A pack's types come one after the other, so a repeated one is the last.
            if len(known) < MAX_PACKS and (not known or known[-1] is not pack):
                known.append(pack)
    if text_of(pattern) and len(lists.patterns) < MAX_PATTERNS:
        try:
            lists.patterns.append((re.compile(pattern), pack))
        except re.error:
            log.debug("ComfyUI-Manager's pattern %r is not a regular expression.", pattern)


def repository_key(url: str) -> str:
    """Return a repository's URL, or "owner/name" at GitHub, as they are compared."""
    key = url.strip().lower().rstrip("/").removesuffix(".git")
    return re.sub(r"^(https?://|git@)?(www\.)?github\.com[/:]", "", key)


def last_part(url: str) -> str:
    """Return the last part of a URL or path, without ".git"."""
    return url.rstrip("/").rpartition("/")[2].removesuffix(".git")


def _project_name(path: Path) -> str:
    try:
        with (path / "pyproject.toml").open("rb") as file:
            match = PROJECT_NAME.search(file.read(MAX_PROJECT).decode(errors="replace"))
    except OSError:
        # Many packs have none.
        return ""
    return text_of(match[1]) if match is not None else ""


def _logged_errors() -> Iterator[tuple[str, str]]:
    """The errors of failed imports in ComfyUI's log, by the path of the pack."""
    entries = getattr(sys.modules.get("app.logger"), "logs", None)
    for entry in [*(entries or ())]:
        message = entry.get("m") if isinstance(entry, dict) else None
        match = (FAILED.match(message) or ENTRY_FAILED.match(message)) if isinstance(message, str) else None
        if match is not None:
            yield match[1], match[2]


def _startup_errors() -> dict[str, str]:
    """The errors that newer versions of ComfyUI keep, by the path of the pack."""
    kept = getattr(sys.modules.get("nodes"), "NODE_STARTUP_ERRORS", None)
    entries = [entry for entry in kept.values() if isinstance(entry, dict)] if isinstance(kept, dict) else []
    return {str(entry.get("module_path")): str(entry.get("error")) for entry in entries}


def _manager_errors() -> dict[str, str]:
    """The last line of what ComfyUI-Manager has collected for each pack that failed to import, by its folder's name."""
    modules = [sys.modules.get(name) for name in ("comfyui_manager.common.cm_global", "cm_global")]
    kept = next((found for module in modules if isinstance(found := getattr(module, "error_dict", None), dict)), {})
    texts = {str(name): str(entry.get("msg", "")) for name, entry in kept.items() if isinstance(entry, dict)}
    return {name: text.strip().rpartition("\n")[2] for name, text in texts.items() if text.strip()}
