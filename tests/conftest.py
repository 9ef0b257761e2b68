"""Loads this package once, as `comfyui_uiapi`, whatever the checkout's folder is called.

The checkout's root is itself a package (ComfyUI imports it), but its folder may have any name, hyphens
included. Left alone, pytest would take the root's `__init__.py` for a package of tests: it would import it
under a name that cannot be imported, or a second time.
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


class RootIsNoTestPackage:
    """Has pytest collect the root as a plain folder in spite of its `__init__.py`."""

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
    # A shell that starts us in the background has Ctrl-C ignored, by us and by all that we start and send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes: all tests of a frontend in one, which starts a ComfyUI and a Chromium for them, and
    of the others each file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFrontend(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            parameters = re.split(r"[\[\]-]", nodeid.partition("[")[2])
            versions = config.getoption("--frontends")
            return next((version for version in versions if version in parameters), nodeid.partition("::")[0])

    return ByFrontend(config, log)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Give the loops turns until a condition holds; fails after twenty seconds."""

    async def wait_until(condition: Callable[[], Any]) -> None:
        async def spin() -> None:
            while not condition():  # noqa: ASYNC110 - any condition; there is no event for most of them
                await asyncio.sleep(0.001)

        await asyncio.wait_for(spin(), 20)

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


# Here and not in pytest_configure: the rooms' own conftests import the package before that is called.
load_package()
