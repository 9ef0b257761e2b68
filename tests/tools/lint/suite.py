"""The rules for tests/: a folder for each room of the code, unique file names, and no imports between test modules."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from .architecture import ALLOWED

PACKAGE = "comfyui_uiapi"
# Rooms whose tests are in another folder than the room's own.
ELSEWHERE = {"client/examples": "tests/e2e/programs"}
# Every folder that is a room; the others of the table are single files.
ROOMS = tuple(room for room in ALLOWED if room != "." and "'" not in room)


def problems(root: Path, rooms: Collection[str] = ROOMS) -> Iterator[str]:
    """Yields a sentence for each rule that the tests at `root` break."""
    modules = [path.relative_to(root) for path in sorted((root / "tests").rglob("test_*.py"))]
    scripts = [path.relative_to(root) for path in sorted((root / "tests").rglob("*.test.mjs"))]
    yield from _same_names([*modules, *scripts])
    for module in modules:
        yield from _imports_of_tests(root, module)
    for room in rooms:
        folder = Path(ELSEWHERE.get(room, f"tests/{room}"))
        if not any(folder in test.parents for test in (*modules, *scripts)):
            yield f"{room}: has no tests; add some to {folder}/."


def _same_names(tests: Collection[Path]) -> Iterator[str]:
    named = defaultdict(list)
    for test in tests:
        named[test.name].append(test.as_posix())
    for paths in named.values():
        if len(paths) > 1:
            yield f"{' and '.join(paths)}: have the same name; rename one."


def _imports_of_tests(root: Path, module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((root / module).read_text("utf-8"))):
        # Other packages have modules of such names, such as aiohttp.test_utils.
        if not isinstance(node, ast.ImportFrom) or not (node.level or (node.module or "").startswith(PACKAGE)):
            continue
        names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        found = next((name for name in names if name.startswith("test_")), None)
        if found:
            where = f"{module.as_posix()}:{node.lineno}"
            yield f"{where}: imports {found}; move what both need to tests/harness or a conftest."
