"""The rules for tests/: a folder for each room of the code, unique file names, no imports between test modules, and
patience with a slow machine."""

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
# Seconds that a test waits at least for what has to come. A shorter limit fails on a machine that is busy.
PATIENCE = 30
WAITS = frozenset({"wait_for", "run", "receive", "receive_json", "receive_str", "receive_bytes"})


def problems(root: Path, rooms: Collection[str] = ROOMS) -> Iterator[str]:
    """Yields a sentence for each rule that the tests at `root` break."""
    modules = [path.relative_to(root) for path in sorted((root / "tests").rglob("test_*.py"))]
    scripts = [path.relative_to(root) for path in sorted((root / "tests").rglob("*.test.mjs"))]
    yield from _same_names([*modules, *scripts])
    for module in modules:
        yield from _imports_of_tests(root, module)
    for path in sorted((root / "tests").rglob("*.py")):
        yield from _short_waits(root, path.relative_to(root))
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


def _short_waits(root: Path, module: Path) -> Iterator[str]:
    tree = ast.parse((root / module).read_text("utf-8"))
    in_vain = {id(inner) for node in ast.walk(tree) if _expects_time_out(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in in_vain:
            limit = _limit(node)
            if limit is not None and limit < PATIENCE:
                where = f"{module.as_posix()}:{node.lineno}"
                yield f"{where}: waits only {limit} s, which fails on a busy machine; wait at least {PATIENCE} s."


def _expects_time_out(node: ast.AST) -> bool:
    return isinstance(node, ast.With | ast.AsyncWith) and any("TimeoutError" in ast.unparse(one) for one in node.items)


def _limit(call: ast.Call) -> float | None:
    """Returns the seconds that a wait may take at most, if they are written there as a number."""
    function = call.func
    if _last(function) == "to_thread" and call.args:
        function = call.args[0]
    if _last(function) not in WAITS or (_last(function) == "run" and ast.unparse(function) != "subprocess.run"):
        return None
    limits = [word.value for word in call.keywords if word.arg == "timeout"]
    if _last(function) == "wait_for":
        limits += call.args[1:2]
    numbers = (one.value for one in limits if isinstance(one, ast.Constant))
    return next((number for number in numbers if isinstance(number, int | float)), None)


def _last(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else ""
