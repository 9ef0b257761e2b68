"""The table of rooms with the imports that each may have, and a check of the code against it.

A room is a folder. Imports in functions and for the type checker count too; types in JSDoc do not.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Every room and the rooms it may import, from the lowest to the highest. "." contains the files at the root.
ALLOWED: dict[str, tuple[str, ...]] = {
    "common": (),
    "models' definitions": ("common",),
    "bridge": (),
    "bridge/protocol": ("common",),
    "bridge/metadata": ("common",),
    "bridge/comfyui": ("common", "bridge/protocol"),
    "bridge/system": ("common", "bridge/comfyui"),
    "bridge/tabs": ("common", "bridge/protocol", "bridge/comfyui"),
    "bridge/policy": ("common", "bridge/protocol", "bridge/comfyui", "bridge/tabs"),
    "bridge/sweeps": ("common", "bridge/protocol", "bridge/comfyui"),
    "bridge/app": (
        *("common", "bridge/metadata", "bridge/protocol", "bridge/comfyui", "bridge/tabs", "bridge/policy"),
        "bridge/sweeps",
    ),
    "bridge/api/docs": ("bridge/protocol", "bridge/api"),
    "bridge/api": ("common", "bridge/protocol", "bridge/tabs", "bridge/policy", "bridge/app"),
    "bridge/commands": (
        *("common", "bridge/protocol", "bridge/comfyui", "bridge/system", "bridge/tabs", "bridge/policy"),
        "bridge/sweeps",
        "bridge/app",
    ),
    "downloads": (),
    "downloads/common": ("common",),
    "downloads/storage": ("common", "models' definitions", "downloads/common"),
    "downloads/transfer": ("common", "bridge/comfyui", "downloads/common", "downloads/storage"),
    "downloads/sources": (
        *("common", "models' definitions", "downloads/common", "downloads/storage"),
        "downloads/transfer",
    ),
    "downloads/workflow": (
        *("common", "bridge/comfyui", "downloads/common", "downloads/storage"),
        "downloads/sources",
    ),
    "downloads/finding": (
        *("common", "bridge/comfyui", "downloads/common", "downloads/storage", "downloads/transfer"),
        *("downloads/sources", "downloads/workflow"),
    ),
    "downloads/searching": (
        *("common", "downloads/common", "downloads/storage", "downloads/transfer", "downloads/sources"),
        *("downloads/workflow", "downloads/finding"),
    ),
    "downloads/jobs": (
        *("common", "models' definitions", "downloads/common", "downloads/storage", "downloads/transfer"),
        *("downloads/sources", "downloads/workflow", "downloads/finding", "downloads/searching"),
    ),
    "downloads/api": (
        *("common", "models' definitions", "bridge/protocol", "bridge/comfyui", "bridge/app", "bridge/commands"),
        "downloads/common",
        *("downloads/storage", "downloads/transfer", "downloads/sources", "downloads/workflow", "downloads/finding"),
        "downloads/searching",
        "downloads/jobs",
    ),
    ".": (
        *("common", "bridge/protocol", "bridge/comfyui", "bridge/tabs", "bridge/policy", "bridge/app", "bridge/api"),
        "bridge/api/docs",
        *("bridge/commands", "downloads/storage", "downloads/jobs", "downloads/api"),
    ),
    "client/common": (),
    "client/protocol": ("client/common",),
    "client/transport": ("client/common", "client/protocol"),
    "client/sweep": ("client/common", "client/protocol"),
    "client/sweep/files": ("client/common", "client/sweep"),
    "client/farm/comfyui": ("client/common", "client/protocol", "client/transport"),
    "client/farm": ("client/common", "client/protocol", "client/sweep", "client/farm/comfyui"),
    "client/base": ("client/common", "client/protocol", "client/transport", "client/sweep", "client/farm"),
    "client": (
        *("client/common", "client/protocol", "client/transport", "client/sweep", "client/sweep/files"),
        *("client/farm", "client/base"),
    ),
    "client/mcp": ("client/common", "client/sweep", "client/sweep/files", "client"),
    "client/cli": (
        *("client/common", "client/protocol", "client/sweep", "client/sweep/files", "client/farm", "client"),
        "client/mcp",
    ),
    "client's start": ("client/cli",),
    "client/examples": (),
    "web/common": (),
    "web/connection": ("web/common",),
    "web/paths": ("web/common",),
    "web/widgets": ("web/common", "web/paths"),
    "web/graph": ("web/common", "web/paths", "web/widgets"),
    "web/exports": ("web/common", "web/paths", "web/widgets", "web/graph"),
    "web/page": ("web/common", "web/paths", "web/widgets", "web/graph", "web/exports"),
    "web/ui": ("web/common", "web/paths", "web/widgets", "web/graph", "web/page"),
    "web/ui/look": ("web/ui",),
    "web/ui/questions": ("web/common", "web/paths", "web/graph", "web/page", "web/ui"),
    "web/ui/models": ("web/common", "web/ui"),
    "web/ui/panel": (
        *("web/common", "web/paths", "web/widgets", "web/graph", "web/ui", "web/ui/look", "web/ui/models"),
        "web/ui/controls",
    ),
    "web/ui/missing": (
        *("web/common", "web/paths", "web/widgets", "web/page", "web/ui", "web/ui/models"),
        "web/ui/controls",
    ),
    "web/ui/controls": ("web/common", "web/graph", "web/ui"),
    "web": (
        *("web/common", "web/connection", "web/paths", "web/widgets", "web/graph", "web/exports", "web/page", "web/ui"),
        *("web/ui/look", "web/ui/questions", "web/ui/models", "web/ui/panel", "web/ui/missing", "web/ui/controls"),
    ),
}
# Files that belong to another room than their folder, since their path is fixed.
APART = {
    "model_defs.py": "models' definitions",
    "client/__main__.py": "client's start",
}
TABLE = "tests/tools/lint/architecture.py"

# The only file that may import scripts of ComfyUI's frontend.
ENTRY = "web/uiapi.js"
# An import statement or a dynamic import. Types in JSDoc do not count, since browsers ignore them.
JAVASCRIPT_IMPORT = re.compile(
    r"""(?:^(?:import|export)\b(?:[^"';]*\bfrom)?|(?:\bawait|=>|\breturn)\s+import\()\s*["'](\.[^"']*)["']""",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Import:
    """An import of one file by another; paths are relative to the root, with slashes."""

    file: str
    line: int
    target: str


@dataclass(frozen=True)
class Plan:
    """The rooms and the imports that each may have.

    Args:
        allowed: the rooms that each room may import; a room is named after its folder.
        apart: the room of files that do not belong to that of their folder.
    """

    allowed: Mapping[str, Collection[str]]
    apart: Mapping[str, str] = field(default_factory=dict)

    def problems(self, root: Path) -> Iterator[str]:
        """Yields a sentence for each violation of the plan at `root`, and for each error in the plan itself."""
        yield from self.errors()
        files = [*self._files(root)]
        yield from self._judged(files, [found for file in files for found in imports(root, file)])

    def errors(self) -> Iterator[str]:
        """Yields a sentence for every room in the plan that does not exist, and for every circle."""
        for room, others in self.allowed.items():
            for other in [other for other in others if other not in self.allowed]:
                yield f"{room}: may import {other}, which is not a room; correct the table in {TABLE}."
        for circle in _circles(self.allowed):
            yield f"{' → '.join(circle)}: may import each other in a circle; remove an arrow from the table in {TABLE}."

    def _judged(self, files: Sequence[str], found: Iterable[Import]) -> Iterator[str]:
        rooms = {file: self.apart.get(file) or posixpath.dirname(file) or "." for file in files}
        for folder in sorted({room for room in rooms.values() if room not in self.allowed}):
            yield f"{folder}: is not a room; add it, with the rooms it may import, to the table in {TABLE}."
        for room in [room for room in self.allowed if room not in rooms.values()]:
            yield f"{room}: contains no code; remove it from the table in {TABLE}."
        links: dict[str, list[str]] = {file: [] for file in files}
        for one in found:
            where = f"{one.file}:{one.line}: imports {one.target}"
            if one.target in rooms:
                links[one.file].append(one.target)
                room, other = rooms[one.file], rooms[one.target]
                allowed = self.allowed.get(room, [other])
                if other not in (room, *allowed):
                    may = f"only {', '.join(allowed)}" if allowed else "no other room"
                    advice = "move the shared code to a lower room, or pass it as an argument"
                    yield f"{where}, but {room} may import {may}; {advice}."
            elif one.file != ENTRY:
                yield f"{where}, which is outside of all rooms; only {ENTRY} may import it, and passes it on."
        for circle in _circles(links):
            yield f"{' → '.join(circle)}: import each other in a circle; move the shared code into another file."

    def _files(self, root: Path) -> Iterator[str]:
        """Yields the source files of all rooms."""
        tops = {top for room in self.allowed if (root / (top := room.partition("/")[0])).is_dir()}
        for top in sorted(tops):
            found = (root / top).rglob("*.js" if top == "web" else "*.py") if top != "." else root.glob("*.py")
            yield from sorted(path.relative_to(root).as_posix() for path in found)


PLAN = Plan(ALLOWED, APART)


def imports(root: Path, file: str) -> Iterator[Import]:
    """Yields the relative imports of a file."""
    text = (root / file).read_text("utf-8")
    if file.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            for target in _targets(root, file, node):
                yield Import(file, getattr(node, "lineno", 0), target)
    else:
        for match in JAVASCRIPT_IMPORT.finditer(text):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file), match[1]))
            yield Import(file, text.count("\n", 0, match.start()) + 1, target)


def _targets(root: Path, file: str, node: ast.AST) -> Iterator[str]:
    """Yields the files that an AST node imports."""
    if isinstance(node, ast.ImportFrom) and node.level:
        named = f"{'.' * node.level}{node.module or ''}"
        target = _python_file(root, file, named)
        inside = f"{named}." if node.module else named
        modules = {alias.name: _python_file(root, file, f"{inside}{alias.name}") for alias in node.names}
        yield from (module for module in modules.values() if module)
        # The package itself, unless all names are modules of it.
        if target and not all(modules.values()):
            yield target
    elif isinstance(node, ast.Call) and "__package__" in [word.id for word in node.args if isinstance(word, ast.Name)]:
        # import_module(".name", __package__), for imports at first use.
        words = [word.value for word in node.args if isinstance(word, ast.Constant)]
        found = [_python_file(root, file, word) for word in words if isinstance(word, str) and word.startswith(".")]
        yield from (module for module in found if module)


def _python_file(root: Path, file: str, name: str) -> str | None:
    """Returns the file of a module by its relative name, such as "..bridge.errors", or None."""
    level = len(name) - len(name.lstrip("."))
    place = (root / file).parents[level - 1].joinpath(*filter(None, name.lstrip(".").split(".")))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file() and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return None


def _circles(links: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Yields a shortest circle for every group that import each other, with the first name again at the end."""
    left = set(links)
    for start in sorted(links):
        if start not in left:
            continue
        circle = _way_back(start, links)
        if circle:
            yield circle
            # All names on a path from it and back belong to the same group.
            left -= {name for name in _reached(start, links) if start in _reached(name, links)}


def _way_back(start: str, links: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Returns the shortest path from a name along its imports back to itself."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        longer = []
        for way in ways:
            for name in sorted(set(links.get(way[-1], ()))):
                if name == start:
                    return [*way, start]
                if name not in seen:
                    seen.add(name)
                    longer.append([*way, name])
        ways = longer
    return None


def _reached(start: str, links: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns everything that a name imports, directly or indirectly."""
    found: set[str] = set()
    left = [start]
    while left:
        for name in links.get(left.pop(), ()):
            if name not in found:
                found.add(name)
                left.append(name)
    return found
