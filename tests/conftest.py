"""Loads this package once, as `comfyui_uiapi`, whatever the checkout's folder is called.

The checkout's root is itself a package (ComfyUI imports it), but its folder may have any name, hyphens
included. By default pytest would take the root's `__init__.py` for a package of tests and import it
under an invalid name or a second time.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Files whose tests start a ComfyUI of their own for every frontend, so that they need not run where the shared one is.
OWN_COMFYUI = ("test_document_fuzz", "test_missing", "test_nodes_notice", "test_restart")
# A file whose tests take long without a ComfyUI, so that it should not be the last one.
SLOW = ("test_units",)


class RootIsNoTestPackage:
    """Makes pytest collect the root as a plain directory although it has an `__init__.py`."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if path == ROOT:
            return pytest.Dir.from_parent(parent, path=path)
        return None


def pytest_addoption(parser: pytest.Parser) -> None:
    from comfyui_uiapi.tests.tools.build import FRONTENDS

    parser.addoption("--fuzz", action="store_true", help="send ten thousand requests to every kind of command")
    parser.addoption(
        "--frontends",
        type=lambda names: tuple(names.split(",")),
        default=FRONTENDS,
        help=f"versions of ComfyUI's frontend to test with, separated by commas ({','.join(FRONTENDS)})",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RootIsNoTestPackage())
    # A shell ignores Ctrl-C in the processes it starts in the background, and child processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the files that take long first, so that no process runs one of them when the others have nothing left."""

    def turn(item: pytest.Item) -> tuple[int, str, bool]:
        version = frontend_of(item.nodeid, config) or ""
        if item.path.stem in OWN_COMFYUI:
            place = 1
        elif version:
            place = 0
        else:
            place = 2 if item.get_closest_marker("stack") or item.path.stem in SLOW else 3
        # Together, since their page is closed after the last of them: an idle page takes a tenth of a processor.
        return place, version, "played" not in getattr(item, "fixturenames", ())

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute tests over processes: the tests of a frontend to one process, which starts one ComfyUI and one
    Chromium for them; the other tests, and files that start a ComfyUI of their own, by file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFrontend(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if Path(file).stem in OWN_COMFYUI else frontend_of(nodeid, config) or file

    # By default the files with the fewest tests come last, among them those that take longest.
    config.option.loadscopereorder = False
    return ByFrontend(config, log)


def frontend_of(nodeid: str, config: pytest.Config) -> str | None:
    """Return the version of the frontend that a test runs with, if it needs one."""
    parameters = re.split(r"[\[\]-]", nodeid.partition("[")[2])
    return next((version for version in config.getoption("--frontends") if version in parameters), None)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Return a function that waits until a condition holds; it fails after a minute."""

    async def wait_until(condition: Callable[[], Any]) -> None:
        async def spin() -> None:
            while not condition():  # noqa: ASYNC110 - any condition; most have no event
                await asyncio.sleep(0.001)

        await asyncio.wait_for(spin(), 60)

    return wait_until


def load_package() -> None:
    spec = importlib.util.spec_from_file_location(
        "comfyui_uiapi", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    if spec is None or spec.loader is None:
        raise pytest.UsageError(f"{ROOT / '__init__.py'} cannot be loaded")
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)


# Not in pytest_configure: the conftest files of subdirectories import the package before pytest calls that.
load_package()
