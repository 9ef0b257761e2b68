"""The commands for development: build, test, lint, run and others.

`python3 dev.py --help` lists them. Uses only the standard library, and builds `.venv` and the stack (ComfyUI, its
frontends, Chromium) on first use. Code that needs installed packages is in tests/tools/ and runs after dev.py has
restarted itself inside `.venv`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent


def _tool(name: str) -> Any:
    """Returns a module of tests/tools under the name it has in the tests.

    The package's entry point is not run, since it needs packages that may not be installed yet.
    """
    if "comfyui_uiapi" not in sys.modules:
        package = types.ModuleType("comfyui_uiapi")
        package.__path__ = [str(ROOT)]
        sys.modules["comfyui_uiapi"] = package
    return importlib.import_module(f"comfyui_uiapi.tests.tools.{name}")


def _inside_venv() -> None:
    """Restart inside `.venv`; returns only if this is the Python of `.venv`."""
    build = _tool("build")
    if Path(sys.prefix).resolve() != build.VENV.resolve():
        _become([build.PYTHON, __file__, *sys.argv[1:]])


def _become(command: list[Any]) -> None:
    """Replace this process, so that signals reach the command directly."""
    sys.stdout.flush()
    words = [str(word) for word in command]
    os.execv(words[0], words)  # noqa: S606 - no shell is wanted


def _build(options: argparse.Namespace) -> None:
    _tool("build").build()
    _tool("chromium").ensure()


def _demo(options: argparse.Namespace) -> None:
    _tool("build").build([options.frontend])
    _tool("chromium").ensure()
    _inside_venv()
    asyncio.run(_tool("demo").demo(options.frontend))


def _run(options: argparse.Namespace) -> None:
    _tool("build").build([options.frontend])
    if not options.no_browser:
        _tool("chromium").ensure()
    _inside_venv()
    asyncio.run(_tool("demo").serve(options.port, options.frontend, not options.no_browser))


def _test(options: argparse.Namespace) -> None:
    build = _tool("build")
    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--frontends", type=lambda names: names.split(","), default=build.FRONTENDS)
    build.build(known.parse_known_args(sys.argv[2:])[0].frontends)
    _tool("chromium").ensure()
    # pytest looks for its configuration in the working directory.
    os.chdir(ROOT)
    # All tests run in three processes, divided by tests/conftest.py: one for each frontend, and one for other tests,
    # which uses the processors while those wait. A selection runs in one.
    how = sys.argv[2:] or ["-n", "3"]
    _become([build.PYTHON, "-m", "pytest", *how])


def _bench(options: argparse.Namespace) -> None:
    _build(options)
    _inside_venv()
    sys.exit(importlib.import_module("comfyui_uiapi.tests.bench.runner").main(options.names))


def _soak(options: argparse.Namespace) -> None:
    _build(options)
    _inside_venv()
    if options.kills:
        sys.exit(importlib.import_module("comfyui_uiapi.tests.soak.kills").main(options.kills))
    sys.exit(importlib.import_module("comfyui_uiapi.tests.soak.soak").main(options.minutes, options.output))


def _screenshots(options: argparse.Namespace) -> None:
    _build(options)
    _inside_venv()
    _tool("pictures.screenshots").main()


def _compat(options: argparse.Namespace) -> None:
    if options.python:
        sys.exit(_tool("compat").fast_tests(options.python))
    build = _tool("build")
    build.build([*(options.frontends or build.ALL_FRONTENDS), build.TOO_OLD])
    _tool("chromium").ensure()
    sys.exit(_tool("compat").main(options.frontends))


def _lint(options: argparse.Namespace) -> None:
    _tool("build").build()
    sys.exit(_tool("lint.checks").lint())


def _mutants(options: argparse.Namespace) -> None:
    _tool("build").build()
    _inside_venv()
    sys.exit(_tool("mutants").main(options.files, options.most, options.seed, options.jobs))


def _generate(options: argparse.Namespace) -> None:
    _tool("build").build()
    _inside_venv()
    importlib.import_module("comfyui_uiapi.tests.tools.generate").main()


def _known_models(options: argparse.Namespace) -> None:
    _tool("build").build()
    _inside_venv()
    importlib.import_module("comfyui_uiapi.tests.tools.generators.known_models").main()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, description: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(function=function)
        return command

    demo = add("demo", _demo, "Drive a real ComfyUI with an open tab, and save a picture and a screenshot.")
    add("test", _test, "Run the tests; arguments are passed to pytest (default: all tests in three processes).")
    run = add("run", _run, "Start ComfyUI with this extension and run it until Ctrl-C.")
    bench = add("bench", _bench, "Run the benchmarks and print a table.")
    soak = add("soak", _soak, "Put ComfyUI under load, and plot its memory and other resources to a PNG.")
    add("screenshots", _screenshots, "Update the pictures of the documentation.")
    compat = add("compat", _compat, "Run the fast tests on every Python, and the core tests on every frontend.")
    add("lint", _lint, "Check style, types, imports between rooms and other rules of the project.")
    mutants = add(
        "mutants", _mutants, "Mutation testing: put mistakes into Python files, and list those that no test detects."
    )
    add("generate", _generate, "Generate the client's tables, types and blocking client from their sources.")
    add("known-models", _known_models, "Make the table of well-known models from the packages that list them.")
    add("build", _build, "Build what the other commands need.")

    versions = _tool("build").FRONTENDS
    for command in (demo, run):
        command.add_argument(
            "--frontend", default=versions[0], choices=versions, help="version of the frontend (default: %(default)s)"
        )
    run.add_argument("--port", type=int, default=8188, help="port of ComfyUI (default: %(default)s)")
    run.add_argument("--no-browser", action="store_true", help="do not open a tab; open the URL in any browser instead")
    soak.add_argument("--minutes", type=float, default=10, help="duration in minutes (default: %(default)s)")
    soak.add_argument("--kills", type=int, default=0, help="instead, kill ComfyUI this many times, and check its state")
    soak.add_argument(
        "--output", type=Path, default=ROOT / "tests/soak/soak.png", help="PNG to write (tests/soak/soak.png)"
    )
    mutants.add_argument("files", nargs="*", help="files in bridge/, downloads/ or client/ (default: all)")
    mutants.add_argument(
        "--most", type=int, default=100, help="number of mistakes, chosen at random (default: %(default)s)"
    )
    mutants.add_argument("--seed", type=int, default=0, help="seed of the random choice (default: %(default)s)")
    mutants.add_argument("--jobs", type=int, default=2, help="number of parallel jobs (default: %(default)s)")
    compat.add_argument("frontends", nargs="*", help="run the core tests on these versions of the frontend only")
    compat.add_argument("--python", help="run only the fast tests on this installed version of Python, such as 3.10")
    bench.add_argument("names", nargs="*", help="modules of tests/bench (default: all)")
    return parser


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit("dev.py needs Python 3.11 or newer; run it with a newer Python, for example python3.11 dev.py.")
    # Packages are installed uncompiled. Where compiled modules are not kept, each start of ComfyUI compiles all of them
    # again, which takes twice as long as the rest of the start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    steps = _tool("steps")
    importlib.import_module("comfyui_uiapi.tests.harness.children").end_on_signals()
    # pytest parses the arguments after `test`.
    options = _parser().parse_args(sys.argv[1:2] if sys.argv[1:2] == ["test"] else None)
    try:
        options.function(options)
    except steps.Stop as stop:
        sys.exit(f"dev.py: {stop}")
    except KeyboardInterrupt:
        sys.exit(130)


main()
