"""Browser faults on the real stack: killed and frozen browsers, and pages that are reloaded often."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.adjusting import adjusting
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import endless, picture, write_upscaler
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

NewChromium = Callable[[], Awaitable[Chromium]]
# For what is the browser's and the server's, whatever the page shows.
ONE_FRONTEND = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")

# A custom node that sets the seconds between the pings of websockets that are opened from then on.
HEARTBEAT_NODE = adjusting("/heartbeat", ".bridge.api.websocket", "HEARTBEAT")
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
    process = ComfyProcess(tmp_path_factory.mktemp(f"faults-{frontend}"), frontend=frontend)
    (process.base / "custom_nodes" / "heartbeat.py").write_text(HEARTBEAT_NODE)
    with process:
        write_upscaler(process.base)
        yield process


@pytest.fixture
def no_heartbeat(own_comfy: ComfyProcess) -> Iterator[None]:
    """Websockets that are opened meanwhile are not pinged."""
    before = own_comfy.get("/heartbeat?value=36000")
    yield
    own_comfy.get(f"/heartbeat?value={before}")


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


def envelope_of(answer: Any) -> dict[str, Any]:
    """The envelope, whichever way it came."""
    envelope: dict[str, Any] = answer[1] if isinstance(answer, tuple) else answer
    return envelope


# -- browsers that go -----------------------------------------------------------------------------------------------


async def test_when_the_browser_is_killed_its_requests_are_answered_and_the_run_continues(
    program: Program, new_chromium: NewChromium, no_heartbeat: None
) -> None:
    chromium = await new_chromium()
    tab = await chromium.open(program.comfy)
    await program.ok("load_workflow", {"workflow": endless()})
    socket = await program.socket()
    run = socket.start("run")
    await socket.event(lambda event: event["event"] == "progress")
    dialog = program.spawn(program.post("send_workflow", {"workflow": picture(), "title": "An offer"}))
    await tab.page.get_by_role("dialog", name="An offer").wait_for()

    async def one_waits() -> bool:
        return await pending(program, tab.webui) == 1

    await until(one_waits, "the run to be answered for, and the offer to wait", PATIENCE)
    # From here on the page answers nothing, though its browser does.
    await tab.page.evaluate("() => void setTimeout(() => { for (;;); })")
    read = program.spawn(program.post("get_fields", {"fields": ["Canvas.width"], "timeout": 10 * PATIENCE}))

    async def all_wait() -> bool:
        return await pending(program, tab.webui) == 2

    await until(all_wait, "both to wait", PATIENCE)
    chromium.kill()
    # Long before the read would time out.
    for answer in await asyncio.wait_for(asyncio.gather(dialog, read), PATIENCE):
        assert (envelope_of(answer)["status"], envelope_of(answer)["error"]) == ("error", "Client disconnected")
    status, envelope = await program.post("get_fields", {"fields": ["Canvas.width"]})
    assert (status, envelope["code"]) == (503, "no_webui")
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
    # A ping at most one heartbeat after it froze, and half of one to answer it; the rest is for a busy machine.
    status, envelope = await program.post("get_workflow", {"timeout": 6 * heartbeat})
    assert (status, envelope["error"]) == (502, "Client disconnected")
    assert (await program.get("webuis"))[1]["response"] == []


# -- pages that come and go ---------------------------------------------------------------------------------------


@ONE_FRONTEND
async def test_reloads_of_a_page_leave_nothing_behind(tab: Tab, browser: Chromium) -> None:
    page = await browser.new_page()

    async def load(known: set[int | None]) -> int:
        await page.goto(f"{tab.comfy.url}/system_stats")
        await page.evaluate(LIGHT_PAGE)

        async def only_new() -> int | None:
            ids = await tab.webuis() - {tab.webui}
            return ids.pop() if len(ids) == 1 and not ids & known else None

        return await until(only_new, "the reloaded page's connection", PATIENCE)

    before = descriptors(tab.comfy.pid)
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

    async def only_two() -> bool:
        return await tab.webuis() == {tab.webui, other.webui}

    await until(only_two, "what was reloaded to be gone", PATIENCE)
    # With the page goes what its browser keeps open for later requests.
    await other.close()

    async def no_more() -> bool:
        return descriptors(tab.comfy.pid) <= before and await tab.webuis() == {tab.webui}

    await until(no_more, f"as few descriptors as before ({before}), and only the first tab", PATIENCE)


def descriptors(pid: int) -> int:
    """How many files and sockets this process has open."""
    return len([*Path(f"/proc/{pid}/fd").iterdir()])
