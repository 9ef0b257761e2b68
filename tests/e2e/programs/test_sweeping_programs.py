"""`uiapi sweep` and `client.sweep` on a real ComfyUI: every picture shows its values, also after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.workflows import gated
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.tools import build
from comfyui_uiapi.tests.tools.demo import WORKFLOW
from PIL import Image

# After `installed_client`, which makes the client importable.
from uiapi import AsyncClient, Client, SweepItem  # isort: skip

# One frontend: what depends on its version is in the page's own tests.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")

WIDTHS, COLORS = (32, 48, 64), (0xFF0000, 0x00FF00, 0x0000FF)


@pytest.fixture
async def start(tab: Tab, tmp_path: Path) -> Callable[..., Any]:
    """Starts the command line in a process of its own."""

    async def run(*words: str | Path) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uiapi", *map(str, words), cwd=tmp_path,
            env=installed_client.environment(tmp_path, tab.comfy.url),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    return run


async def ended(process: asyncio.subprocess.Process) -> str:
    """Waits for a process, which must succeed, and returns its output."""
    out, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def load(tab: Tab, workflow: dict[str, Any]) -> None:
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": workflow})


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


def looks(content: Path) -> tuple[int, int]:
    """Returns the width of a picture of one colour, and the colour."""
    with Image.open(content) as image:
        red, green, blue = image.convert("RGB").getpixel((1, 1))  # type: ignore[misc]
        return image.width, int(red) << 16 | int(green) << 8 | int(blue)


async def test_every_picture_of_a_grid_shows_its_values_and_the_graph_stays_as_it_was(
    tab: Tab, start: Callable[..., Any], tmp_path: Path
) -> None:
    await load(tab, WORKFLOW)
    lists = [f"Canvas.width={','.join(map(str, WIDTHS))}", f"Canvas.color={','.join(map(str, COLORS))}"]
    said = await ended(await start("sweep", *lists, "-o", "out", "--sheet", "sheet.png"))
    assert "9 of 9 variations are done." in said
    for width in WIDTHS:
        for color in COLORS:
            # The workflow inverts its canvas.
            assert looks(tmp_path / "out" / f"width={width},color={color}.png") == (width, 0xFFFFFF - color)
    with Image.open(tmp_path / "sheet.png") as sheet:
        shown = {color for _, color in sheet.convert("RGB").getcolors(sheet.width * sheet.height) or ()}
    assert {tuple((0xFFFFFF - color).to_bytes(3, "big")) for color in COLORS} <= shown
    with Client(tab.comfy.url) as client:
        now = await asyncio.to_thread(client.get, ["Canvas.width", "Canvas.color"])
    assert now == {"Canvas.width": 512, "Canvas.color": 0}


async def test_a_killed_command_line_is_completed_without_doing_one_twice(
    tab: Tab, start: Callable[..., Any], tmp_path: Path
) -> None:
    prefix = f"killed{os.getpid()}"
    await load(tab, gated(prefix))
    await asyncio.to_thread(tab.comfy.open_gate, prefix, 2)
    words = ("sweep", "Canvas.color=1..9", "-o", "out")
    process = await start(*words)

    async def two() -> bool:
        return len(rows(tmp_path / "out")) >= 2

    await until(two, "two results", 120)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert len(rows(tmp_path / "out")) == 2
    await asyncio.to_thread(tab.comfy.open_gate, prefix, 100)
    said = await ended(await start(*words, "--resume"))
    assert "9 of 9 variations are done" in said
    assert [looks(tmp_path / "out" / f"color={color}.png")[1] for color in range(1, 10)] == [*range(1, 10)]
    assert sorted(row["index"] for row in rows(tmp_path / "out")) == [*range(9)]
    assert len([*(tab.comfy.base / "output").glob(f"{prefix}_*.png")]) == 9


async def test_leaving_an_async_loop_early_ends_the_sweep(tab: Tab) -> None:
    await load(tab, gated("left"))
    await asyncio.to_thread(tab.comfy.open_gate, "left")
    seen: list[SweepItem] = []
    async with AsyncClient(tab.comfy.url) as client:
        async with client.sweep({"Canvas.color": range(11, 31)}) as sweep:
            async for item in sweep:
                seen.append(item)
                break
        state = await client.call("sweep_status", {"sweep_id": sweep.sweep_id})
        assert state["status"] == "cancelled" and state["done"] < 20
        assert (await client.call("queue"))["waiting"] == []
    assert seen[0].image.numpy()[0, 0].tolist() == [0, 0, seen[0].fields["Canvas.color"]]
