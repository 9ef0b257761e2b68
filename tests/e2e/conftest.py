"""Fixtures for tests on the real stack: ComfyUI, both frontends, Chromium.

What tests do not change is shared by the session: one Chromium, one ComfyUI per frontend, one tab that every test
gets empty, and one ComfyUI for tests without a page (`alone`). A test that kills a browser, restarts ComfyUI or needs
other settings starts its own with `new_chromium` and `new_comfy`.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab
from comfyui_uiapi.tests.harness.comfy.alone import Alone
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.harness.programs.wire import SendRequest
from comfyui_uiapi.tests.tools import build, chromium, steps
from playwright.async_api import Error, Playwright, async_playwright, expect

HERE = Path(__file__).resolve().parent
FAILED = pytest.StashKey[bool]()

# The default, five seconds, is too short for a page on a busy machine.
expect.set_options(timeout=PATIENCE * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.stack)
            if pytest_asyncio.is_async_test(item):
                # Browser and page belong to the loop they were made on, so all tests here share one.
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session", autouse=True)
def stack(pytestconfig: pytest.Config) -> None:
    """Checks that the environment is built; pytest builds nothing itself."""
    missing = build.missing(pytestconfig.getoption("--frontends"))
    if missing:
        pytest.exit(f"{missing} is not built: run python3 dev.py test (it takes pytest's arguments).", returncode=4)
    try:
        found = chromium.find()
    except steps.Stop as stop:
        pytest.exit(str(stop), returncode=4)
    if found is None:
        pytest.exit("Chromium is not installed: run python3 dev.py test (it takes pytest's arguments).", returncode=4)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that need a frontend once with each of --frontends, unless they name one themselves."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "frontend" in metafunc.fixturenames and not any(mark.args[0] == "frontend" for mark in marks):
        versions = metafunc.config.getoption("--frontends")
        metafunc.parametrize("frontend", versions, indirect=True, scope="session")


@pytest.fixture(scope="session")
def frontend(request: pytest.FixtureRequest) -> str:
    """The version of the frontend; a test that depends on it runs once with each version."""
    version: str = request.param
    return version


@pytest.fixture(scope="session")
def comfy(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyProcess]:
    """A running ComfyUI with this package, the test pack and the given frontend, shared by the session."""
    with ComfyProcess(tmp_path_factory.mktemp(f"comfy-{frontend}"), frontend=frontend, pack=True) as process:
        yield process


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alone]:
    """A running ComfyUI with its own model hosts, for tests that use only the server; no page ever opens it."""
    async with Alone(tmp_path_factory.mktemp("alone")) as running:
        yield running


@pytest.fixture
def new_comfy(tmp_path: Path) -> Iterator[Callable[..., ComfyProcess]]:
    """Starts a ComfyUI for this test only; takes ComfyProcess' keyword arguments."""
    processes: list[ComfyProcess] = []
    # Several threads may start one each at the same time.
    numbers = itertools.count()

    def start(**options: Any) -> ComfyProcess:
        process = ComfyProcess(tmp_path / f"comfy-{next(numbers)}", **options)
        processes.append(process)
        return process.start()

    yield start
    for process in processes:
        process.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    """Playwright's driver."""
    async with async_playwright() as driver:
        yield driver


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chromium]:
    """The Chromium that the session's tests share."""
    shared = await Chromium(tmp_path_factory.mktemp("chromium")).start(playwright)
    yield shared
    shared.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def new_chromium(playwright: Playwright, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Chromium]]]:
    """Starts a Chromium for this test only, to be killed or frozen."""
    browsers: list[Chromium] = []

    async def start() -> Chromium:
        browsers.append(Chromium(tmp_path / f"chromium-{len(browsers)}"))
        return await browsers[-1].start(playwright)

    yield start
    for started in browsers:
        started.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kept_tab(browser: Chromium, comfy: ComfyProcess) -> AsyncIterator[list[Tab]]:
    """The tab that `tab` passes from test to test, in a list that is empty while no tab is open."""
    kept: list[Tab] = []
    yield kept
    for tab in kept:
        await tab.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(
    request: pytest.FixtureRequest, kept_tab: list[Tab], browser: Chromium, comfy: ComfyProcess
) -> AsyncIterator[Tab]:
    """A connected tab with one empty workflow, the only one of `comfy` when the test begins.

    Errors of our scripts in it fail the test. The page is reused, because a frontend takes seconds to load, unless
    the test failed or left the page unusable.
    """
    if not kept_tab:
        kept_tab.append(await browser.open(comfy))
    [shared] = kept_tab
    shared.errors.clear()
    yield shared
    if request.node.stash.get(FAILED, False) or not await _is_fit(shared):
        kept_tab.clear()
        await _close(shared)
    assert shared.errors == []


async def _is_fit(tab: Tab) -> bool:
    """Clear the tab for the next test; False if it is closed or no longer connected."""
    try:
        await tab.clear()
    except Error:
        return False
    return tab.webui in await tab.webuis()


async def _close(tab: Tab) -> None:
    """Close a tab and wait until the server has noticed, so that the next test starts without it."""
    await tab.close()
    if tab.comfy.is_alive():
        await tab.wait_gone()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Chromium) -> AsyncIterator[Callable[..., Awaitable[Tab]]]:
    """Opens further tabs, `await open_tab(comfy)`, with Chromium.open's arguments; closed after the test.

    Each has its own storage. Errors of our scripts in them fail the test.
    """
    opened: list[Tab] = []
    async with AsyncExitStack() as closing:

        async def open_one(comfy: ComfyProcess, **options: Any) -> Tab:
            tab = await browser.open(comfy, **options)
            opened.append(tab)
            closing.push_async_callback(_close, tab)
            return tab

        yield open_one
    assert [error for tab in opened for error in tab.errors] == []


@pytest_asyncio.fixture(loop_scope="session")
async def program(tab: Tab) -> AsyncIterator[Program]:
    """A program; `tab` is open."""
    async with Program(tab.comfy) as asking:
        yield asking


@pytest_asyncio.fixture(loop_scope="session", params=["http", "websocket"])
async def send_request(request: pytest.FixtureRequest, program: Program) -> SendRequest:
    """Sends the program's requests over HTTP, then over the websocket."""
    if request.param == "http":
        return program.post
    socket = await program.socket()

    async def over_websocket(command: str, body: Any = None) -> tuple[None, dict[str, Any]]:
        return None, await socket.request(command, body)

    return over_websocket
