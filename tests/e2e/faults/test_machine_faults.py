"""Faults of the machine under a real ComfyUI: a full disk, a changed clock, a second ComfyUI on the same models,
stalled readers and vanished clients."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from comfyui_uiapi.downloads.storage.disk import DISK_RESERVE
from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.programs.program import PATIENCE, Program

SIZE = 12 << 20
# Bytes of the small disk: what downloads leave free, and room for two models.
DISK = DISK_RESERVE + 30 * (1 << 20)
NAME = "x.safetensors"
# Bytes per second of a host that sends all the time, but not all of a file while a test waits.
HELD = 5e4
DAY = 86_400

New = Callable[..., ComfyProcess]


@pytest_asyncio.fixture(loop_scope="session")
async def host() -> AsyncIterator[Host]:
    """Offers a model, slowly."""
    host = await Host().start()
    host.offer(f"/{NAME}", model_bytes(SIZE), rate=1e6)
    yield host
    await host.close()


async def coming(host: Host, amount: int = 2 << 20) -> None:
    """Wait until some of the model is on its way."""

    async def sent() -> bool:
        return host.sent.get(f"/{NAME}", 0) > amount

    await until(sent, "some of the model", PATIENCE)
    # The rest takes minutes, unless the test asks for it.
    host.answers[f"/{NAME}"].rate = HELD


def loras(comfy: ComfyProcess) -> Path:
    return comfy.base / "models" / "loras"


# -- a full disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[Path]:
    """A ComfyUI's base whose loras and whose state of this package are on small disks of their own."""
    base = tmp_path / "comfy"
    mounted: list[Path] = []
    for folder, size in ((base / "models" / "loras", DISK), (base / "user" / "__uiapi", 1 << 20)):
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        if done.returncode == 0:
            mounted.append(folder)
    if len(mounted) == 2:
        yield base
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)  # noqa: S603, S607
    if len(mounted) < 2:
        pytest.skip("A small disk can be mounted by root on Linux only.")


def fill(folder: Path) -> Path:
    """Fill the disk and return the file that does."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for piece in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(piece))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


async def test_a_full_disk_is_reported_before_the_transfer_and_leaves_space_for_running_downloads(
    small_disks: Path, host: Host
) -> None:
    host.offer("/large.safetensors", model_bytes(40 << 20))
    with ComfyProcess(small_disks, env={"UIAPI_ALLOWED_HOSTS": host.authority}) as comfy:
        async with Program(comfy) as program:
            status, envelope = await program.post("download_model", host.wanted("large.safetensors"))
            assert (status, envelope["code"]) == (507, "disk_full"), envelope
            assert [*loras(comfy).iterdir()] == []

            fetching = program.spawn(program.post("download_model", host.wanted(NAME)))
            await coming(host)
            filler = await asyncio.to_thread(fill, loras(comfy))
            host.answers[f"/{NAME}"].rate = None
            assert (await fetching)[1]["status"] == "success"
            assert (loras(comfy) / NAME).read_bytes() == host.answers[f"/{NAME}"].data

            # If the host does not send the file's length, the download fills the disk.
            filler.unlink()
            host.offer("/long.safetensors", model_bytes(SIZE, 3), rate=4e6, ranges=False, framing="close")
            growing = program.spawn(program.post("download_model", host.wanted("long.safetensors")))

            async def some() -> bool:
                return host.sent.get("/long.safetensors", 0) > 1 << 20

            await until(some, "some of the file", PATIENCE)
            host.answers["/long.safetensors"].rate = HELD
            filler = await asyncio.to_thread(fill, loras(comfy))
            host.answers["/long.safetensors"].rate = None
            status, envelope = await growing
            assert (status, envelope["code"]) == (507, "disk_full"), envelope
            assert sorted(path.name for path in loras(comfy).iterdir()) == [filler.name, NAME]

            host.offer("/more.safetensors", model_bytes(SIZE, 2))
            status, envelope = await program.post("download_model", host.wanted("more.safetensors"))
            assert (status, envelope["code"]) == (507, "disk_full"), envelope
            assert sorted(path.name for path in loras(comfy).iterdir()) == [filler.name, NAME]


async def test_a_save_on_a_full_disk_is_an_error_and_earlier_saves_stay(small_disks: Path) -> None:
    def address(name: str) -> dict[str, Any]:
        url = f"https://huggingface.co/a/b/resolve/main/{name}"
        return {"model_name": name, "url": url, "model_type": "loras"}

    with ComfyProcess(small_disks) as comfy:
        async with Program(comfy) as program:
            await program.ok("add_model_url", address("first.safetensors"))
            state = small_disks / "user" / "__uiapi"
            before = sorted(path.name for path in state.iterdir())
            filler = await asyncio.to_thread(fill, state)
            status, envelope = await program.post("add_model_url", address("second.safetensors"))
            assert status == 507, envelope
            assert [*(await program.get("model_urls"))[1]["response"]["urls"]] == ["first.safetensors"]
            assert sorted(path.name for path in state.iterdir()) == sorted([*before, "filler"])
            filler.unlink()
            await program.ok("add_model_url", address("second.safetensors"))
            urls = (await program.get("model_urls"))[1]["response"]["urls"]
            assert sorted(urls) == ["first.safetensors", "second.safetensors"]


# -- a clock that is set ------------------------------------------------------------------------------------------

# The clock as every part of this ComfyUI sees it; that of the machine is not a test's to set.
CLOCK = """
import time
from aiohttp import web
import server

NODE_CLASS_MAPPINGS = {}
real = time.time

async def set_clock(request):
    ahead = float(request.query["ahead"])
    time.time = lambda: real() + ahead
    return web.json_response({"now": time.time()})

server.PromptServer.instance.routes.post("/set_clock")(set_clock)
"""


@pytest.mark.parametrize("ahead", [DAY, -DAY], ids=["a day ahead", "a day back"])
async def test_a_clock_that_is_set_ends_nothing_and_makes_nothing_old(host: Host, tmp_path: Path, ahead: int) -> None:
    host.offer("/done.safetensors", model_bytes(1 << 20, 2))
    comfy = ComfyProcess(tmp_path / "comfy", env={"UIAPI_ALLOWED_HOSTS": host.authority})
    (comfy.base / "custom_nodes" / "clock.py").write_text(CLOCK)
    with comfy:
        async with Program(comfy) as program:
            _, done = await program.post("download_model", host.wanted("done.safetensors"))
            assert done["status"] == "success", done
            socket = await program.socket()
            fetching = program.spawn(program.post("download_model", host.wanted(NAME)))
            await coming(host)
            short, long = (
                socket.start("get_workflow", {"wait_for_webui": True, "timeout": seconds})
                for seconds in (5, 10 * PATIENCE)
            )
            # Answered once the requests before it have been read.
            assert (await socket.request("webuis"))["status"] == "ok"
            await program.comfy_post(f"/set_clock?ahead={ahead}")
            listed = (await program.get("downloads"))[1]["response"]["downloads"]
            assert sorted(one["completed"] for one in listed) == [False, True]
            assert all(0 <= one["elapsed_time"] < DAY / 2 for one in listed), listed
            state = (await program.get("connection_status"))[1]
            assert state["active_downloads"] == 1 and 0 <= state["server_uptime"] < DAY / 2
            assert (await asyncio.wait_for(short, PATIENCE))["code"] in ("timeout", "no_webui")
            assert not long.done()
            host.answers[f"/{NAME}"].rate = None
            assert (await fetching)[1]["status"] == "success"
            assert (loras(comfy) / NAME).read_bytes() == host.answers[f"/{NAME}"].data
        assert "Traceback" not in comfy.log_text()


# -- two on the same models ---------------------------------------------------------------------------------------


async def test_two_comfyuis_on_the_same_models_fetch_once_and_one_goes_on_when_the_other_is_killed(
    host: Host, tmp_path: Path
) -> None:
    env = {"UIAPI_ALLOWED_HOSTS": host.authority}
    first = ComfyProcess(tmp_path / "first", env=env)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "models").symlink_to(tmp_path / "first" / "models")
    second = ComfyProcess(tmp_path / "second", env=env)
    small = host.offer("/small.safetensors", model_bytes(4 << 20, 2), rate=1e6)
    await asyncio.gather(asyncio.to_thread(first.start), asyncio.to_thread(second.start))
    try:
        async with Program(first) as one, Program(second) as other:
            asked = [program.post("download_model", host.wanted("small.safetensors")) for program in (one, other)]
            assert [body["status"] for _, body in await asyncio.gather(*asked)] == ["success", "success"]
            assert host.sent["/small.safetensors"] == len(small.data)

            killed = one.spawn(one.post("download_model", host.wanted(NAME)))
            await coming(host)
            goes_on = other.spawn(other.post("download_model", host.wanted(NAME)))
            await asyncio.sleep(0)
            os.kill(first.pid, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await killed
            host.answers[f"/{NAME}"].rate = None
            assert (await asyncio.wait_for(goes_on, PATIENCE))[1]["status"] == "success"
            assert (loras(second) / NAME).read_bytes() == host.answers[f"/{NAME}"].data
            assert sorted(path.name for path in loras(second).iterdir()) == ["small.safetensors", NAME]
    finally:
        first.kill()
        second.kill()


# -- readers that stall, callers that vanish ----------------------------------------------------------------------


def descriptors(comfy: ComfyProcess) -> int:
    return len([*Path(f"/proc/{comfy.pid}/fd").iterdir()])


async def no_more_than(comfy: ComfyProcess, before: int) -> None:
    """Wait until ComfyUI has no more open than then."""

    async def few() -> bool:
        return descriptors(comfy) <= before

    await until(few, f"as few descriptors as before ({before})", PATIENCE)


@pytest.fixture
def comfy(new_comfy: New) -> ComfyProcess:
    return new_comfy()


async def test_a_stalled_reader_is_dropped_and_others_are_served(comfy: ComfyProcess) -> None:
    # The answer is as long as the request.
    prompt = {"1": {"class_type": "n" * (1 << 20), "inputs": {}}}
    async with Program(comfy) as other, Program(comfy) as stalled:
        assert (await other.get("connection_status"))[0] == 200
        before = descriptors(comfy)
        ws = await stalled.http.ws_connect(stalled.url("/uiapi/ws"))
        # Its name comes to stand in the log.
        await ws.send_json({"type": "hello", "role": "client", "protocol": 1, "name": "slow\n[forged] line"})
        assert (await ws.receive_json(timeout=PATIENCE))["type"] == "welcome"
        with pytest.raises(ConnectionError):
            for number in range(1000):
                frame = {"type": "request", "id": number, "command": "validate", "data": {"workflow": prompt}}
                await asyncio.wait_for(ws.send_json(frame), PATIENCE)
                assert (await other.get("connection_status"))[0] == 200
        lines = comfy.log_text().splitlines()
        assert [line for line in lines if "slow [forged] line reads too slowly" in line]
        assert [line for line in lines if line.startswith("[forged]")] == []
        await ws.close()
        await no_more_than(comfy, before)


# Programs with a websocket each that freeze: their machine still receives data, but they never answer.
FROZEN = """
import asyncio, os, signal, sys
import aiohttp

async def main():
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(sys.argv[1] + "/uiapi/ws") for _ in range(20)]
        for socket in sockets[:10]:
            await socket.send_json({"type": "hello", "role": "client", "protocol": 1})
            await socket.receive_json()
        print("connected", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

asyncio.run(main())
"""


@pytest_asyncio.fixture(loop_scope="session")
async def frozen(comfy: ComfyProcess) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Starts the programs and returns when they are frozen."""
    started: list[asyncio.subprocess.Process] = []

    async def start() -> None:
        command = [sys.executable, "-c", FROZEN, comfy.url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"connected\n"

    yield start
    for process in started:
        process.kill()
        await process.communicate()


async def test_callers_that_vanish_leave_nothing_behind(
    comfy: ComfyProcess, frozen: Callable[[], Awaitable[None]]
) -> None:
    before = descriptors(comfy)
    await frozen()
    readers, writers = [], []
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", comfy.port)
        writer.write(b"POST /uiapi/get_fields HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        writer.write(b'Content-Length: 100\r\n\r\n{"fields"')
        await writer.drain()
        readers.append(reader)
        writers.append(writer)

    # The frozen ones were connected; so were these, since ComfyUI ends their connections.
    ends = asyncio.gather(*(reader.read() for reader in readers), return_exceptions=True)
    await asyncio.wait_for(ends, 2 * PATIENCE)
    await no_more_than(comfy, before)
    async with Program(comfy) as program:
        assert (await program.get("connection_status"))[1]["pending_requests"] == 0
    assert "Traceback" not in comfy.log_text()
    for writer in writers:
        writer.close()


# A disk on which fsync is slow.
SLOW_DISK = """
import os, time

NODE_CLASS_MAPPINGS = {}
real = os.fsync

def fsync(descriptor):
    time.sleep(1.5)
    real(descriptor)

os.fsync = fsync
"""


async def test_a_download_whose_client_leaves_before_it_starts_ends(host: Host, tmp_path: Path) -> None:
    comfy = ComfyProcess(tmp_path / "comfy", env={"UIAPI_ALLOWED_HOSTS": host.authority})
    (comfy.base / "custom_nodes" / "slow_disk.py").write_text(SLOW_DISK)
    with comfy:
        async with Program(comfy) as program:
            leaving = program.spawn(program.post("download_model", host.wanted(NAME)))

            async def begun() -> bool:
                return bool((await program.get("connection_status"))[1]["active_downloads"] == 1)

            await until(begun, "the download", PATIENCE)
            # Not to be over before it is missed.
            host.answers[f"/{NAME}"].rate = HELD
            leaving.cancel()

            async def none() -> bool:
                return bool((await program.get("connection_status"))[1]["active_downloads"] == 0)

            await until(none, "no download under way", PATIENCE)
