"""`dev.py mutants`: changes the code one mistake at a time and checks whether the tests of its folder detect it.

The mistakes are those of cosmic-ray and a few more: a statement or an argument removed, `None` returned, `in` negated,
an exception not caught. The runner of cosmic-ray is not used, since it runs every test for every mistake; here only the
tests that execute the line are run, as recorded by coverage.py. Everything runs in copies of the tree.
"""

from __future__ import annotations

import ast
import concurrent.futures
import difflib
import json
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..harness import children
from . import build, steps
from .build import PYTHON, ROOT, STACK
from .lint import checks
from .steps import say

# Installed only for this command.
MUTATIONS = ("cosmic-ray==8.7.0",)
COVERAGE = ("coverage==7.17.5", "pytest-cov==7.1.0")
PLACE = STACK / "mutants"
ROOMS = {name: f"tests/{name}" for name in ("bridge", "downloads", "client")}
# The operators of cosmic-ray that resemble human mistakes; of the comparisons only the most similar ones.
PLAUSIBLE = re.compile(
    r"core/(?:AddNot|Replace(?:TrueWithFalse|FalseWithTrue|AndWithOr|OrWithAnd|BreakWithContinue|ContinueWithBreak)"
    r"|NumberReplacer|RemoveDecorator|ZeroIterationForLoop|ReplaceUnaryOperator_Delete_\w+"
    r"|ReplaceComparisonOperator_(?:Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE"
    r"|GtE_Gt|GtE_Lt)|ReplaceBinaryOperator_(?:Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul"
    r"|BitOr_BitAnd|BitAnd_BitOr|LShift_RShift|RShift_LShift))"
)


@dataclass(frozen=True)
class Mutant:
    """One file with one mistake in it."""

    room: str
    path: str
    line: int
    operator: str
    code: str
    change: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.operator}: {self.change}"


def main(files: Sequence[str], most: int, seed: int, jobs: int) -> int:
    """Try mistakes in these files (default: all) and print a report; always returns 0."""
    steps.make(PLACE, " ".join([*MUTATIONS, *COVERAGE]), _install)
    # At the end of the path, so that the versions in .venv are used first.
    sys.path.append(str(PLACE / "mutations"))
    paths = [_path(name) for name in files] or [
        path for path in map(_relative, checks.files()) if path.endswith(".py") and path.split("/")[0] in ROOMS
    ]
    mutants = [mutant for path in paths for mutant in _mutants(path)]
    if len(mutants) > most:
        mutants = sorted(random.Random(seed).sample(mutants, most), key=lambda each: (each.path, each.line))  # noqa: S311
    say(f"  {len(mutants)} mistakes in {len(paths)} files")
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(_copy(Path(place) / f"copy{number}"))
        first = copies.get()
        rooms = {name: Room(name, first) for name in {mutant.room for mutant in mutants}}
        copies.put(first)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            caught = [*pool.map(lambda mutant: _try(mutant, rooms[mutant.room], copies), mutants)]
    _report(zip(mutants, caught, strict=True))
    return 0


def _report(results: Iterable[tuple[Mutant, bool]]) -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    survivors = []
    for mutant, caught in results:
        counts[mutant.room, caught] += 1
        if not caught:
            survivors.append(mutant)
    for mutant in survivors:
        say(f"survived: {mutant}")
    for room in ROOMS:
        noticed, survived = counts[room, True], counts[room, False]
        if noticed + survived:
            share = 100 * noticed / (noticed + survived)
            say(f"{room:10} {noticed} caught, {survived} survived ({share:.0f} % noticed by {ROOMS[room]})")


class Room:
    """The tests of a folder, and the lines that each of them executes."""

    def __init__(self, name: str, copy: Path) -> None:
        self.tests = ROOMS[name]
        self._copy = copy
        data = copy / f".coverage.{name}"
        started = time.monotonic()
        command = ["--cov-report=", "--cov-context=test", f"--cov={copy / name}", "-rfE", self.tests]
        output = _pytest(command, copy, COVERAGE_FILE=str(data), PYTHONPATH=str(PLACE / "coverage"))
        # Tests that fail without a mistake cannot detect one.
        self.failing = [line[7:].partition(" - ")[0] for line in output.splitlines() if line.startswith("FAILED ")]
        if "ERROR" in output or not data.exists():
            raise steps.Stop(f"The tests of {name} must pass first:\n{output[-2000:]}")
        for test in self.failing:
            say(f"  skipped, since it fails without a mistake: {test}")
        self.seconds = time.monotonic() - started
        say(f"  {self.tests}: {self.seconds:.0f} s")
        self._contexts: dict[str, dict[int, list[str]]] = {}
        self._read(data)

    def _read(self, data: Path) -> None:
        """Read the tests by file and line from coverage.py's data, in a process that can import coverage.py."""
        script = (
            "import coverage, json, sys; data = coverage.CoverageData(sys.argv[1]); data.read(); "
            "print(json.dumps({name: data.contexts_by_lineno(name) for name in data.measured_files()}))"
        )
        environment = {**os.environ, "PYTHONPATH": str(PLACE / "coverage")}
        command: list[str | Path] = [PYTHON, "-c", script, str(data)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603

        for name, lines in json.loads(done.stdout).items():
            path = str(Path(name).relative_to(self._copy))
            self._contexts[path] = {int(line): contexts for line, contexts in lines.items()}

    def witnesses(self, mutant: Mutant, source: str) -> Iterator[list[str]]:
        """Yields the tests to run for a mistake, the most likely to fail first.

        These are the tests that execute its line; for a line that runs on import, those that execute any line of the
        file; and all tests of the folder for a line that runs only in another process.
        """
        lines = self._contexts.get(mutant.path, {})
        contexts = {context for line in _statement(source, mutant.line) for context in lines.get(line, ())}
        if "" in contexts:
            contexts.update(context for line in lines.values() for context in line)
        tests = {context.rpartition("|")[0] for context in contexts if context}
        stem = Path(mutant.path).stem
        likely = [path for path in sorted((self._copy / self.tests).rglob("test_*.py")) if _mentions(path, stem)]
        likely.sort(key=lambda path: path.stem != f"test_{stem}")
        first = [str(path.relative_to(self._copy)) for path in likely]
        if tests:
            # Importing a few test files is much faster than importing all.
            for name in first:
                yield sorted(test for test in tests if test.partition("::")[0] == name)
            yield sorted(test for test in tests if test.partition("::")[0] not in first)
        else:
            yield first
            yield [self.tests, *(f"--ignore={name}" for name in first)]


def _mentions(test: Path, stem: str) -> bool:
    return test.stem == f"test_{stem}" or re.search(rf"import {stem}\b|\.{stem}\b", test.read_text("utf-8")) is not None


def _try(mutant: Mutant, room: Room, copies: queue.SimpleQueue[Path]) -> bool:
    """Returns whether the tests detect the mistake."""
    copy = copies.get()
    target = copy / mutant.path
    source = target.read_text("utf-8")
    try:
        target.write_text(mutant.code, "utf-8")
        left_out = [f"--deselect={test}" for test in room.failing]
        caught = any(
            _fails(_pytest(["-x", *left_out, *tests], copy, seconds=60 + 2 * room.seconds))
            for tests in room.witnesses(mutant, source)
            if tests
        )
    finally:
        target.write_text(source, "utf-8")
        copies.put(copy)
    say(f"  {'caught' if caught else 'SURVIVED'} {mutant}")
    return caught


def _fails(output: str) -> bool:
    """Returns whether a run of pytest failed, including a module that cannot be imported."""
    passed = re.search(r"\b\d+ (?:passed|deselected)\b", output) is not None
    return not passed or re.search(r"\b\d+ (?:failed|error)", output) is not None


def _pytest(arguments: Sequence[str], copy: Path, seconds: float = 3600, **environment: str) -> str:
    """Returns the output of pytest without ComfyUI; a run that takes too long is ended and counts as failed."""
    command: list[str | Path] = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not stack", *arguments]
    # Compiled files are matched by the second of their source, which may change several times within one.
    variables = {"PYTHONDONTWRITEBYTECODE": "1", **environment}
    with tempfile.TemporaryFile() as output:
        process = children.start(command, output=output, cwd=copy, env=variables)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "1 failed: took too long"
        finally:
            children.stop(process)
        output.seek(0)
        return output.read().decode(errors="replace")


def _install(folder: Path) -> None:
    """Install both outside of `.venv`; coverage.py without the packages that `.venv` has."""
    for name, packages, how in (("mutations", MUTATIONS, []), ("coverage", COVERAGE, ["--no-deps"])):
        where: list[str | Path] = ["--quiet", "--target", folder / name, *how]
        command: list[str | Path] = [PYTHON, "-m", "pip", "install", *where, *packages]
        steps.run(f"installing {' '.join(packages)}", command, build.LOGS / "pip-mutants.log")


def _copy(folder: Path) -> Path:
    for path in checks.files():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target, follow_symlinks=False)
    for name in (".venv", ".stack"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    return folder


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _path(name: str) -> str:
    path = Path(name).resolve()
    if not path.is_relative_to(ROOT) or path.suffix != ".py" or _relative(path).split("/")[0] not in ROOMS:
        raise steps.Stop(f"{name} is not a Python file in {', '.join(ROOMS)}.")
    if not path.is_file():
        raise steps.Stop(f"{name} does not exist.")
    return _relative(path)


def _mutants(path: str) -> Iterator[Mutant]:
    """Yields all mistakes in a file, at most one of each kind at each position."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import MutationVisitor

    source = (ROOT / path).read_text("utf-8")
    spared = [*_spared(ast.parse(source))]
    nodes = [*ast_nodes(get_ast(source))]
    for name, operator in _operators():
        places = [(node, place[0]) for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (node, start) in enumerate(places):
            # A number is changed in two ways at one position; the first is enough.
            if start in (other for _, other in places[:occurrence]) or any(a <= start < b for a, b in spared):
                continue
            # The star before keyword-only parameters is not a multiplication.
            if node.type == "operator" and node.parent.type in ("parameters", "lambdef"):
                continue
            code = MutationVisitor.mutate_code(source, operator, occurrence)
            if code is None or code == source or not _compiles(code):
                continue
            yield Mutant(path.split("/")[0], path, start[0], name, code, _change(source, code))


def _operators() -> Iterator[tuple[str, Any]]:
    from cosmic_ray.plugins import get_operator, operator_names

    for name in operator_names():
        if PLAUSIBLE.fullmatch(name):
            yield name.removeprefix("core/"), get_operator(name)()
    for operator in (StatementDropped(), ArgumentDropped(), NoneReturned(), MembershipSwapped(), NothingCaught()):
        yield type(operator).__name__, operator


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _change(before: str, after: str) -> str:
    """Returns the changed lines, shortened."""
    lines = [*difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)][2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old}  ->  {new}"[:300]


def _spared(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yields ranges where a mistake has no effect: annotations, and code for the type checker only."""
    for node in ast.walk(tree):
        places: list[Any] = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            places = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            places = [node.returns]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            places = [node]
        for place in places:
            if place is not None:
                yield (place.lineno, place.col_offset), (place.end_lineno, place.end_col_offset)


def _statement(source: str, line: int) -> range:
    """Returns the lines of the innermost statement at a line, without its body."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) else (node.end_lineno or node.lineno)
            if line <= end:
                found = range(node.lineno, max(end, node.lineno) + 1)
    return found


class StatementDropped:
    """Removes a call or a raise statement, except log calls."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        effect = node.type == "simple_stmt" and node.children[0].type in ("atom_expr", "power", "raise_stmt")
        if effect and not re.match(r"\s*(?:log|self\._log)\.", node.get_code(include_prefix=False)):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        from parso.python.tree import Keyword

        first = node.get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, first.prefix)
        return node


class NoneReturned:
    """Returns None instead of a value."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "return_stmt" and node.children[1].get_code().strip() != "None":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        from parso.python.tree import Keyword

        node.children[1] = Keyword("None", node.children[1].start_pos, " ")
        return node


class ArgumentDropped:
    """Removes a keyword argument."""

    def _places(self, node: Any) -> list[int]:
        if node.type != "arglist":
            return []
        return [
            number
            for number, child in enumerate(node.children)
            if child.type == "argument" and child.children[1] == "=" and number > 0
        ]

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        # A list, since the node changes while cosmic-ray iterates.
        return iter([(node.children[at].start_pos, node.children[at].end_pos) for at in self._places(node)])

    def mutate(self, node: Any, index: int) -> Any:
        number = self._places(node)[index]
        # With the comma before it.
        del node.children[number - 1 : number + 1]
        return node


class NothingCaught:
    """Makes an `except` clause catch nothing."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "except_clause":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        from parso.python.tree import Keyword

        node.children[1] = Keyword("()", node.children[1].start_pos, " ")
        return node


class MembershipSwapped:
    """Replaces `in` with `not in`, and vice versa."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "comparison" and node.children[1].get_code().split() in (["in"], ["not", "in"]):
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        from parso.python.tree import Keyword

        middle = node.children[1]
        turned = "in" if middle.get_code().split() == ["not", "in"] else "not in"
        node.children[1] = Keyword(turned, middle.start_pos, " ")
        return node
