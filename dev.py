"""Sets up, tests and shows this project with one command each; `python3 dev.py --help` lists them.

Standard library only: it builds `.venv` and the real stack (ComfyUI, frontends) before it uses them. The parts
that need installed packages are in tests/tools/ and run after dev.py has restarted itself inside `.venv`.
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
    """A module of tests/tools, under the name it has in the tests but without running this package's entry point,
    which needs packages that may not be installed yet."""
    if "comfyui_uiapi" not in sys.modules:
        package = types.ModuleType("comfyui_uiapi")
        package.__path__ = [str(ROOT)]
        sys.modules["comfyui_uiapi"] = package
    return importlib.import_module(f"comfyui_uiapi.tests.tools.{name}")


def _inside_venv() -> None:
    """Go on inside `.venv`; returns only there."""
    build = _tool("build")
    if Path(sys.prefix).resolve() != build.VENV.resolve():
        _become([build.PYTHON, __file__, *sys.argv[1:]])


def _become(command: list[Any]) -> None:
    """Replace this process; one process fewer to pass signals to."""
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
    # pytest finds its configuration from here, wherever dev.py was called from.
    os.chdir(ROOT)
    # All of them in two processes, as tests/conftest.py divides them; a choice is shown as it runs.
    how = sys.argv[2:] or ["-n", "2"]
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
    _tool("screenshots").main()


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, description: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=description, description=description)
        command.set_defaults(function=function)
        return command

    demo = add("demo", _demo, "Drive a real ComfyUI with an open tab as a program would, and write the pictures.")
    add("test", _test, "Run all tests; every argument is passed on to pytest.")
    run = add("run", _run, "Start ComfyUI with this extension and leave it running until Ctrl-C.")
    bench = add("bench", _bench, "Measure, and print one table.")
    soak = add("soak", _soak, "Use ComfyUI hard for some minutes, and draw what it holds meanwhile to a PNG.")
    add("screenshots", _screenshots, "Take the pictures of the documentation again.")
    compat = add("compat", _compat, "Run the fast tests on every Python, and the core of the rest on every frontend.")
    add("lint", _lint, "Check style, types and the rules of the house.")
    mutants = add("mutants", _mutants, "Put mistakes into Python files one at a time, and list which no test notices.")
    add("generate", _generate, "Write the client's table and types anew from the commands' declarations.")
    add("build", _build, "Only build what the others use.")

    versions = _tool("build").FRONTENDS
    for command in (demo, run):
        command.add_argument("--frontend", default=versions[0], choices=versions, help="version of ComfyUI's frontend")
    run.add_argument("--port", type=int, default=8188, help="where ComfyUI listens")
    run.add_argument("--no-browser", action="store_true", help="open no tab; a browser on this machine can be one")
    soak.add_argument("--minutes", type=float, default=10, help="how long (10)")
    soak.add_argument("--kills", type=int, default=0, help="kill ComfyUI that often instead, and look what it lost")
    soak.add_argument("--output", type=Path, default=ROOT / "tests/soak/soak.png", help="the PNG (tests/soak/soak.png)")
    mutants.add_argument("files", nargs="*", help="files of bridge/, downloads/ or client/ (all if none is named)")
    mutants.add_argument("--most", type=int, default=100, help="how many mistakes at most, chosen at random (100)")
    mutants.add_argument("--seed", type=int, default=0, help="which choice (0)")
    mutants.add_argument("--jobs", type=int, default=2, help="how many are tried at a time (2)")
    compat.add_argument("frontends", nargs="*", help="only these versions of the frontend, and no other Python")
    compat.add_argument("--python", help="only the fast tests, on this version of Python (3.10), which must be there")
    bench.add_argument("names", nargs="*", help="modules of tests/bench (all if none is named)")
    return parser


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit("dev.py needs Python 3.11 or newer; run it with one, for example python3.11 dev.py.")
    steps = _tool("steps")
    importlib.import_module("comfyui_uiapi.tests.harness.children").end_on_signals()
    # What follows `test` is pytest's to read.
    options = _parser().parse_args(sys.argv[1:2] if sys.argv[1:2] == ["test"] else None)
    try:
        options.function(options)
    except steps.Stop as stop:
        sys.exit(f"dev.py: {stop}")
    except KeyboardInterrupt:
        sys.exit(130)


main()
