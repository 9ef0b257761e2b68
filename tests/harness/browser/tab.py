"""Chromium with ComfyUI: a browser that can be killed, and tabs that report when they are connected."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Playwright, Route, ViewportSize

from ...tools import chromium
from ...tools.steps import Stop
from .. import children
from ..comfy.process import PACKAGE_NAME, ComfyProcess

# Seconds for Chromium to open its debugging port, for the frontend to load, and for a tab to say hello.
BROWSER_DEADLINE = 120.0
PAGE_DEADLINE = 240.0
CONNECT_DEADLINE = 120.0

# The size of the page by default, and a large one.
SMALL: ViewportSize = {"width": 1280, "height": 800}
LARGE: ViewportSize = {"width": 1920, "height": 1080}

# A host name that resolves to this machine, as after DNS rebinding.
REBOUND = "rebound.example"

# The frontend has opened its first workflow and is ready.
READY = """() => {
    const manager = window.app?.extensionManager
    return Boolean(manager?.workflow?.activeWorkflow && !manager.spinner)
}"""

# A dialog that opens only after the test would cover the page of the next one.
LOAD = """workflow => app.loadGraphData(
    workflow, true, true, null, {showMissingNodesDialog: false, showMissingModelsDialog: false})"""
DRAWN = "() => new Promise(resume => requestAnimationFrame(() => requestAnimationFrame(() => resume())))"
# A page that waits in a script does nothing else until the response.
BUSY = """() => void setTimeout(() => {
    const request = new XMLHttpRequest()
    request.open('GET', '/held', false)
    request.send()
})"""
# Leaves one empty workflow without undo steps.
CLEAR = """async () => {
    const {workflow, command} = app.extensionManager
    while (app.canvas.subgraph) app.canvas.setGraph(app.rootGraph)
    for (const other of [...workflow.openWorkflows])
        if (other.path !== workflow.activeWorkflow.path) await workflow.closeWorkflow(other)
    await command.execute('Comfy.ClearWorkflow')
    app.rootGraph.clear()
    const tracker = workflow.activeWorkflow.changeTracker
    tracker.captureCanvasState ? tracker.captureCanvasState() : tracker.checkState()
    tracker.undoQueue.length = tracker.redoQueue.length = 0
}"""

T = TypeVar("T")


async def until(check: Callable[[], Awaitable[T | None]], what: str, deadline: float) -> T:
    """Ask until the answer is truthy, and return it.

    Raises:
        TimeoutError: naming `what`, when `deadline` seconds have passed.
    """
    end = time.monotonic() + deadline
    while True:
        answer = await check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {deadline:g} s")
        await asyncio.sleep(0.02)


class Chromium:
    """A headless Chromium that can be killed, as if it had crashed."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self._browser: Browser | None = None

    async def start(self, playwright: Playwright) -> Chromium:
        """Start it and connect to it."""
        self.profile.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            chromium.ensure(),
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={self.profile}",
            "--window-size=1280,800",
            # Other names do not resolve, so requests to other hosts fail at once.
            f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            *chromium.FLAGS,
            "about:blank",
        ]
        with (self.profile / "chromium.log").open("wb") as output:
            self._process = children.start(command, output=output)
        try:
            port = await until(self._debugging_port, "Chromium's debugging port", BROWSER_DEADLINE)
            self._browser = await playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        except BaseException:
            self.kill()
            raise
        return self

    async def _debugging_port(self) -> str | None:
        if self._process is not None and self._process.poll() is not None:
            log = (self.profile / "chromium.log").read_text(errors="replace")
            raise Stop(f"Chromium ended while starting; the end of its log:\n{log[-2000:]}")
        try:
            # Two lines: the port and the path of the browser's own websocket.
            return (self.profile / "DevToolsActivePort").read_text().splitlines()[0]
        except (FileNotFoundError, IndexError):
            return None

    async def open(self, comfy: ComfyProcess, *, clear: bool = True, connected: bool = True) -> Tab:
        """Open ComfyUI in a new page with separate storage.

        Args:
            clear: begin with an empty graph instead of the frontend's default one.
            connected: return only once the server lists the tab.
        """
        tab = Tab(await self.new_page(), comfy)
        await tab.load(clear=clear, connected=connected)
        return tab

    async def new_page(self) -> Page:
        """An empty page with separate storage."""
        if self._browser is None:
            raise RuntimeError("this Chromium is not running")
        context = await self._browser.new_context(viewport=SMALL)
        context.set_default_timeout(PAGE_DEADLINE * 1000)
        return await context.new_page()

    @property
    def pid(self) -> int:
        """The process id of the browser, which is also the id of its process group."""
        if self._process is None:
            raise RuntimeError("this Chromium is not running")
        return self._process.pid

    def kill(self) -> None:
        """Send SIGKILL to it and its helpers; no connection is closed properly."""
        if self._process is not None:
            children.stop(self._process, grace=0)
        self._process = None
        self._browser = None

    def freeze(self) -> None:
        """Freeze it: its sockets stay open and silent. `kill` still works."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)


class Tab:
    """One page with ComfyUI.

    Attributes:
        page: Playwright's page, for whatever is not here.
        webui: the id the server gave this tab; None until it is connected.
        errors: what our own scripts wrote to the console as an error or threw.
    """

    def __init__(self, page: Page, comfy: ComfyProcess) -> None:
        self.page = page
        self.comfy = comfy
        self.webui: int | None = None
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", self._on_page_error)

    async def load(self, *, clear: bool = True, connected: bool = True) -> None:
        """Load the page (again) and wait until the frontend is ready."""
        known = await self.webuis() if connected else set()
        self.webui = None
        await self.page.goto(self.comfy.url, timeout=PAGE_DEADLINE * 1000)
        await self.page.wait_for_function(READY, timeout=PAGE_DEADLINE * 1000)
        if clear:
            await self.clear()
        if connected:
            self.webui = await self.wait_connected(known)

    async def wait_connected(self, known: set[int]) -> int:
        """Wait until the server lists a tab other than the `known` ones, and return its id."""

        async def listed() -> int | None:
            return next(iter(await self.webuis() - known), None)

        return await until(listed, "the tab's connection to /uiapi", CONNECT_DEADLINE)

    async def wait_gone(self) -> None:
        """Wait until the server no longer lists this tab."""

        async def gone() -> bool:
            return self.webui not in await self.webuis()

        await until(gone, "the server to notice that the tab is gone", CONNECT_DEADLINE)

    async def webuis(self) -> set[int]:
        """The ids of all tabs that the server lists."""
        answer = await asyncio.to_thread(self.comfy.get, "/uiapi/webuis")
        return {tab["id"] for tab in answer["response"]}

    async def clear(self) -> None:
        """Leave one empty workflow without undo steps."""
        await self.page.evaluate(CLEAR)

    async def load_workflow(self, workflow: dict[str, Any]) -> None:
        """Put UI-format JSON into the page without the bridge, and without a dialog about what it lacks."""
        await self.page.evaluate(LOAD, workflow)
        await self.drawn()

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Have the page do nothing meanwhile, as in a script that takes long."""
        begun, over, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def hold(route: Route) -> None:
            begun.set()
            await over.wait()
            await route.fulfill(body="")
            answered.set()

        await self.page.route("**/held", hold)
        await self.page.evaluate(BUSY)
        await asyncio.wait_for(begun.wait(), PAGE_DEADLINE)
        try:
            yield
        finally:
            over.set()
            await asyncio.wait_for(answered.wait(), PAGE_DEADLINE)
            await self.page.unroute("**/held", hold)

    async def drawn(self) -> None:
        """Wait until the page has drawn twice.

        In the frame after a load the frontend moves its view to the graph, sizes nodes and adds their text boxes.
        """
        await self.page.evaluate(DRAWN)

    async def screenshot(self, path: Path) -> None:
        """Save a screenshot of the page as PNG."""
        await self.page.screenshot(path=path)

    async def close(self) -> None:
        """Close the page and its storage; the browser may be gone already."""
        try:
            await self.page.context.close()
        except Error:
            # Playwright has no narrower class for a closed browser.
            if self.page.context.browser is not None and self.page.context.browser.is_connected():
                raise

    def _on_console(self, message: ConsoleMessage) -> None:
        # The frontend reports errors of extensions from its own file, with their stack in the text.
        if message.type == "error" and PACKAGE_NAME in message.location.get("url", "") + message.text:
            self.errors.append(message.text)

    def _on_page_error(self, error: Error) -> None:
        if PACKAGE_NAME in (error.stack or ""):
            self.errors.append(f"{error.message}\n{error.stack}")
