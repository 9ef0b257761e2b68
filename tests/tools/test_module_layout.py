"""The layout of the test modules themselves."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
MODULES = sorted(TESTS.rglob("test_*.py"))


def imported(path: Path) -> Iterator[str]:
    """The name of every module that a file imports, and of everything it imports from one."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_file_imports_a_test_module() -> None:
    names = {path.stem for path in MODULES}
    found = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if names & {*name.split(".")}
    ]
    assert found == []


def test_no_two_test_modules_have_the_same_name() -> None:
    assert [name for name, count in Counter(path.name for path in MODULES).items() if count > 1] == []
