"""Browser faults on the real stack: killed and frozen browsers, and pages that are reloaded often."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import endless, picture, write_upscaler
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

NewChromium = Callable[[], Awaitable[Chromium]]
# For what is the browser's and the server's, whatever the page shows.
ONE_FRONTEND = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")

# Seconds within which requests to a killed browser are answered: less than the heartbeat takes to notice it, however
# much else the machine does.
REPORTED_WITHIN = 5.0
# A page that runs only the real transport, so that it loads fast.
LIGHT_PAGE = f"""async () => {{
    const nothing = () => null
    const of = name => import(`/extensions/{PACKAGE_NAME}/connection/${{name}}.js`)
    const [{{createTransport}}, {{createPageKey}}] = await Promise.all([of('transport'), of('page_key')])
    const pageKey = createPageKey({{url: () => '/uiapi/page_key', token: nothing}})
    await pageKey.renew()
    const means = {{
        pageKey, url: () => `ws://${{location.host}}/uiapi/ws`, info: () => ({{browser: 'light'}}), capabilities: [],
        page: window, random: Math.random,
    }}
    createTransport(new Proxy(means, {{get: (own, name) => own[name] ?? nothing}})).start()
}}"""


@pytest.fixture(scope="module")
def own_comfy(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyProcess]:
    """A ComfyUI for the tests here that begin and end without a tab."""
    with ComfyProcess(tmp_path_factory.mktemp(f"faults-{frontend}"), frontend=frontend) as process:
        write_upscaler(process.base)
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def program(own_comfy: ComfyProcess) -> AsyncIterator[Program]:
    """A program of `own_comfy`; nothing it started runs on after the test."""
    async with Program(own_comfy) as asking:
        yield asking
        await asking.comfy_post("/interrupt")

        async def idle() -> bool:
            return await asking.queue() == ([], [])

        await until(idle, "an empty queue", PATIENCE)


async def pending(program: Program, webui: int | None) -> int:
    """How many requests wait for this tab."""
    return int((await program.get(f"connection_status?client_id={webui}"))[1]["pending_requests"])


async def timed(answer: Awaitable[Any]) -> tuple[Any, float]:
    """An answer and when it came."""
    return await answer, time.monotonic()


def envelope_of(answer: Any) -> dict[str, Any]:
    """The envelope, whichever way it came."""
    envelope: dict[str, Any] = answer[1] if isinstance(answer, tuple) else answer
    return envelope


# -- browsers that go -----------------------------------------------------------------------------------------------


async def test_when_the_browser_is_killed_its_requests_are_answered_and_the_run_continues(
    program: Program, new_chromium: NewChromium
) -> None:
    chromium = await new_chromium()
    tab = await chromium.open(program.comfy)
    await program.ok("load_workflow", {"workflow": endless()})
    socket = await program.socket()
    run = socket.start("run")
    await socket.event(lambda event: event["event"] == "progress")
    dialog = program.spawn(program.post("send_workflow", {"workflow": picture(), "title": "An offer"}))
    await tab.page.get_by_role("dialog", name="An offer").wait_for()
    # From here on the page answers nothing, though its browser does.
    await tab.page.evaluate("() => void setTimeout(() => { for (;;); })")
    read = program.spawn(program.post("get_fields", {"fields": ["Canvas.width"]}))

    async def all_wait() -> bool:
        return await pending(program, tab.webui) == 2

    await until(all_wait, "both to wait", PATIENCE)
    answers = [program.spawn(timed(asked)) for asked in (dialog, read)]
    await asyncio.sleep(0)
    killed = time.monotonic()
    chromium.kill()
    for answer, when in await asyncio.wait_for(asyncio.gather(*answers), PATIENCE):
        assert (envelope_of(answer)["status"], envelope_of(answer)["error"]) == ("error", "Client disconnected")
        assert when - killed < REPORTED_WITHIN
    asked = time.monotonic()
    status, envelope = await program.post("get_fields", {"fields": ["Canvas.width"]})
    assert (status, envelope["code"]) == (503, "no_webui")
    assert time.monotonic() - asked < REPORTED_WITHIN
    received = len(socket.events)
    await socket.event(lambda event: event["event"] == "progress" and event in socket.events[received:])
    assert not run.done()
    await program.comfy_post("/interrupt")
    assert (await asyncio.wait_for(run, PATIENCE))["code"] == "execution_interrupted"


@ONE_FRONTEND
async def test_a_frozen_browser_is_dropped_by_the_heartbeat(program: Program, new_chromium: NewChromium) -> None:
    chromium = await new_chromium()
    await chromium.open(program.comfy)
    heartbeat = (await program.socket()).welcome["heartbeat"]
    # The whole group: the helper that holds the sockets would go on answering pings.
    os.killpg(chromium.pid, signal.SIGSTOP)
    frozen = time.monotonic()
    status, envelope = await program.post("get_workflow", {"timeout": 10 * heartbeat})
    assert (status, envelope["error"]) == (502, "Client disconnected")
    # A ping at most one heartbeat after it froze, and half of one to answer it.
    assert time.monotonic() - frozen < 1.5 * heartbeat + REPORTED_WITHIN
    assert (await program.get("webuis"))[1]["response"] == []


# -- pages that come and go ---------------------------------------------------------------------------------------


@ONE_FRONTEND
async def test_reloads_of_a_page_leave_nothing_behind(tab: Tab, browser: Chromium) -> None:
    before = descriptors(tab.comfy.pid)
    page = await browser.new_page()

    async def load(known: set[int | None]) -> int:
        await page.goto(f"{tab.comfy.url}/system_stats")
        await page.evaluate(LIGHT_PAGE)

        async def only_new() -> int | None:
            ids = await tab.webuis() - {tab.webui}
            return ids.pop() if len(ids) == 1 and not ids & known else None

        return await until(only_new, "the reloaded page's connection", PATIENCE)

    last = await load(set())
    for _ in range(25):
        last = await load({last})
    # With the page's own storage go the connections that its browser keeps open for later requests.
    await page.context.close()

    async def no_more() -> bool:
        return descriptors(tab.comfy.pid) <= before and await tab.webuis() == {tab.webui}

    await until(no_more, f"as few descriptors as before ({before}), and only the first tab", PATIENCE)


async def test_a_frontend_that_was_reloaded_and_closed_leaves_nothing_behind(
    tab: Tab, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    before = descriptors(tab.comfy.pid)
    other = await open_tab(tab.comfy)
    for _ in range(2):
        await other.load()
    assert await tab.webuis() == {tab.webui, other.webui}
    # With the page goes what its browser keeps open for later requests.
    await other.close()

    async def no_more() -> bool:
        return descriptors(tab.comfy.pid) <= before

    await until(no_more, f"as few descriptors as before ({before})", PATIENCE)
    assert await tab.webuis() == {tab.webui}


def descriptors(pid: int) -> int:
    """How many files and sockets this process has open."""
    return len([*Path(f"/proc/{pid}/fd").iterdir()])
