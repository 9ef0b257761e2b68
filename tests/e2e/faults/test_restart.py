"""ComfyUI is stopped and started again under a tab, programs and a download: none hangs, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.client.async_client import AsyncClient
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import picture
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program
from comfyui_uiapi.tests.tools import build

# Stopping is the server's; one frontend will do.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")

# Seconds that stopping may add to ComfyUI's own end: many times what it takes on a machine with nothing else to do,
# since everything here competes for the same processors, but less than ComfyUI's own minute for requests that go on.
ADDED = 40.0
# Seconds for a process to end on a machine with much else to do.
ENDS = 180.0
SIZE = 24 << 20
# Log messages of an unclean shutdown.
SIGNS = ("Traceback", "was destroyed", "Unclosed", "never awaited", "never retrieved", "ResourceWarning")
MODEL = "slow.safetensors"
# Bytes per second of a host that sends all the time, but not all of a file while a test waits.
HELD = 1e5


@pytest_asyncio.fixture(loop_scope="session")
async def host() -> AsyncIterator[Host]:
    """Offers a model, slowly."""
    host = await Host().start()
    host.offer(f"/{MODEL}", model_bytes(SIZE), rate=1e6)
    yield host
    await host.close()


@pytest.fixture
def comfy(frontend: str, host: Host, tmp_path: Path) -> Any:
    """A ComfyUI to be stopped."""
    with ComfyProcess(tmp_path / "comfy", frontend=frontend, env={"UIAPI_ALLOWED_HOSTS": host.authority}) as process:
        yield process


def missing(comfy: ComfyProcess) -> int | None:
    """How many bytes of the model are missing by the journal on the disk; None without a journal."""
    journal = comfy.base / "models" / "checkpoints" / f".{MODEL}.uiapi-json"
    try:
        gaps: list[tuple[int, int]] = json.loads(journal.read_text())["missing"]
    except FileNotFoundError:
        return None
    return sum(end - start for start, end in gaps)


async def under_way(comfy: ComfyProcess, host: Host) -> None:
    """Wait until some of the download is safe."""

    async def noted() -> bool:
        return missing(comfy) is not None

    await until(noted, "the download's journal", PATIENCE)
    host.answers[f"/{MODEL}"].rate = HELD


async def goes_on(comfy: ComfyProcess, host: Host, program: Program) -> None:
    """Resume the one unfinished download; what is on the disk is not fetched again."""
    left, before = missing(comfy) or 0, host.sent[f"/{MODEL}"]
    assert left < SIZE
    host.answers[f"/{MODEL}"].rate = None
    [listed] = (await program.get("downloads"))[1]["response"]["downloads"]
    assert (listed["status"], listed["resumable"]) == ("paused", True)
    run_id = listed["download_id"]
    await program.ok("download_resume", {"download_id": run_id})

    async def done() -> bool:
        return bool((await program.get(f"download_status/{run_id}"))[1]["completed"])

    await until(done, "the download's end", PATIENCE)
    fetched = (comfy.base / "models" / "checkpoints" / MODEL).read_bytes()
    assert sha256(fetched) == sha256(host.answers[f"/{MODEL}"].data)
    assert host.sent[f"/{MODEL}"] - before <= left


async def seconds_to_end(comfy: ComfyProcess, number: signal.Signals) -> float:
    """Signal it, and how long it takes to end."""
    began = time.monotonic()
    comfy.signal(number)

    async def ended() -> bool:
        return not comfy.is_alive()

    await until(ended, "ComfyUI's end", ENDS)
    return time.monotonic() - began


async def bare_seconds(tmp_path: Path, number: signal.Signals) -> float:
    """How long ComfyUI takes to end on that signal without this package."""
    with ComfyProcess(tmp_path / "bare", package=None) as bare:
        return await seconds_to_end(bare, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
async def test_a_stop_answers_all_requests_and_after_a_restart_everything_continues(
    comfy: ComfyProcess,
    host: Host,
    open_tab: Callable[..., Awaitable[Tab]],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    tab = await open_tab(comfy)
    async with Program(comfy) as program, AsyncClient(comfy.url) as client:
        received: list[Any] = []
        await client.on("widget_changed", lambda event: received.append(event.data["new"]))
        socket, (bare, _) = await program.socket(), await program.raw_socket()
        # It is read all the time, or it would not answer pings.
        closing = program.spawn(bare.receive())
        await program.ok("load_workflow", {"workflow": picture(width=88)})

        async def both_wait() -> bool:
            status = (await program.get(f"connection_status?client_id={tab.webui}"))[1]
            return bool(status["pending_requests"] == 2)

        # A page that is busy answers nothing before ComfyUI has stopped.
        async with tab.busy():
            waiting: list[Awaitable[Any]] = [
                program.spawn(program.post("get_fields", {"fields": ["Canvas.width"], "timeout": 10 * PATIENCE})),
                program.spawn(program.post("download_model", host.wanted(MODEL, "checkpoints"))),
                socket.start("get_workflow", {"timeout": 10 * PATIENCE}),
            ]
            await until(both_wait, "both requests to wait for the page", PATIENCE)
            await under_way(comfy, host)
            began = time.monotonic()
            ending = program.spawn(seconds_to_end(comfy, number))
            answers = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
            answered = time.monotonic() - began
            took = await ending
        envelopes = [answer[1] if isinstance(answer, tuple) else answer for answer in answers]
        gone = "client_disconnected"
        assert [envelope["code"] for envelope in envelopes] == [gone, "cancelled", gone]
        assert (await asyncio.wait_for(closing, PATIENCE)).data == 1001
        assert answered < ADDED
        assert took < await bare_seconds(tmp_path, number) + ADDED
        log = comfy.log_text()
        assert ("Stopped server" in log) is (number is signal.SIGINT)
        assert [sign for sign in SIGNS if sign in log] == []
        left = {path.name for path in (comfy.base / "models" / "checkpoints").iterdir() if MODEL in path.name}
        assert left == {f".{MODEL}.uiapi-json", f".{MODEL}.uiapi-part"}

        await back(comfy, tab, client, received)
        await goes_on(comfy, host, program)


async def back(comfy: ComfyProcess, tab: Tab, client: AsyncClient, received: list[Any]) -> None:
    """Start ComfyUI again; the tab, its graph and the program's events return."""
    comfy.kill()
    await asyncio.to_thread(comfy.start)
    assert await tab.wait_connected(set()) == tab.webui
    assert await client.get("Canvas.width") == 88

    async def event_arrived() -> bool:
        await client.set({"Canvas.height": 40 + len(received) + int(10 * time.monotonic()) % 100})
        return bool(received)

    received.clear()
    await until(event_arrived, "the program's events", PATIENCE)
    # Chromium itself reports every try that met no server.
    tab.errors[:] = [error for error in tab.errors if "ERR_CONNECTION_" not in error]
