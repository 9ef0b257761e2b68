"""`uiapi sweep` on a farm of three real ComfyUIs: every picture comes once, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import slow
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.harness.programs.farms import TIMEOUT, Proxy, run, started, until
from comfyui_uiapi.tests.tools import build
from PIL import Image

# One frontend: the prompts that it exports are tested with the others.
pytestmark = pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True, scope="session")

CANVAS = {
    "1": {
        "class_type": "EmptyImage",
        "_meta": {"title": "Canvas"},
        "inputs": {"width": 512, "height": 256, "batch_size": 1, "color": 0},
    },
    "2": {
        "class_type": "SaveImage",
        "_meta": {"title": "Result"},
        "inputs": {"images": ["1", 0], "filename_prefix": "farm"},
    },
}
COUNT = 60
# How many pictures have come when something is killed.
MIDDLE = 12


def width_of(path: Path) -> int:
    """The value that a picture shows."""
    with Image.open(path) as picture:
        return picture.width


def shown(paths: Iterable[Path]) -> list[int]:
    return sorted(map(width_of, paths))


class Sweep:
    """`uiapi sweep` in a process of its own, of COUNT widths from `first` on."""

    def __init__(self, tab: Tab, folder: Path, farm: str, first: int) -> None:
        self.out = folder / f"out-{first}"
        self.widths = [*range(first, first + COUNT)]
        self._words = ["sweep", f"Canvas.width={first}..{first + COUNT - 1}", "--farm", farm, "-o", str(self.out)]
        self._env = installed_client.environment(folder, tab.comfy.url)

    async def __aenter__(self) -> Sweep:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "uiapi", *self._words, env=self._env, stderr=asyncio.subprocess.PIPE
        )
        await until(lambda: len(self.pictures()) >= MIDDLE or self._process.returncode is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()

    def pictures(self) -> list[Path]:
        """The pictures that have come."""
        return [*self.out.glob("*.png")]

    async def ended(self) -> None:
        """Wait for its end, which must be a success."""
        _, errors = await asyncio.wait_for(self._process.communicate(), 240)
        assert self._process.returncode == 0, errors.decode()


async def test_sixty_pictures_come_once_although_a_connection_a_comfyui_and_a_worker_are_killed(
    tab: Tab, new_comfy: Callable[..., ComfyProcess], tmp_path: Path
) -> None:
    # Two of them are bare, without this extension, and save into one folder, as two of one installation do.
    folder = tmp_path / "output"
    folder.mkdir()
    args = ["--output-directory", str(folder)]
    bare = await asyncio.gather(*(asyncio.to_thread(new_comfy, package=None, args=args) for _ in range(2)))
    comfys = [tab.comfy, *bare]
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": CANVAS, "webui": tab.webui})
    words: list[Any] = [word for comfy in comfys for word in ("--comfyui", comfy.url)]
    before = {*tab.comfy.output.glob("*.png")}

    def made() -> list[int]:
        """What the pictures show that were saved since the last call."""
        new = [path for place in (tab.comfy.output, folder) for path in place.glob("farm*.png") if path not in before]
        before.update(new)
        return shown(new)

    async with started(tmp_path, "--port", "0", "--dashboard-port", "0", *words) as farm:
        proxy = Proxy(farm["address"])
        async with proxy.serving() as address, Sweep(tab, tmp_path, address, 600) as sweep:
            proxy.cut()
            await sweep.ended()
        assert shown(sweep.pictures()) == sweep.widths
        assert made() == sweep.widths
        assert all([await asyncio.to_thread(comfy.get, "/history") for comfy in bare])

        async with Sweep(tab, tmp_path, farm["address"], 700) as sweep:
            bare[0].kill()
            os.kill(farm["workers"][bare[1].url], signal.SIGKILL)
            await sweep.ended()
        assert shown(sweep.pictures()) == sweep.widths
        # The one that was killed may have saved the pictures of its worker that nobody could get from it any more.
        saved = made()
        assert {*saved} == {*sweep.widths} and len(saved) <= COUNT + 2


def queued(comfy: ComfyProcess, *kinds: str) -> set[str]:
    """The IDs of the prompts that are "running" or "pending"; of both by default."""
    found = comfy.get("/queue")
    return {one[1] for kind in kinds or ("running", "pending") for one in found[f"queue_{kind}"]}


def theirs(comfy: ComfyProcess, seed: int) -> str:
    """Queues the run of somebody else, which takes longer than this test; returns its ID."""
    prompt = slow(600)
    prompt["2"]["inputs"]["seed"] = seed
    return str(comfy.post("/prompt", {"prompt": prompt})["prompt_id"])


async def test_an_interrupted_or_killed_sweep_leaves_no_prompt_on_any_machine_and_touches_nobody_elses(
    tab: Tab, new_comfy: Callable[..., ComfyProcess], tmp_path: Path
) -> None:
    bare = await asyncio.to_thread(new_comfy, package=None, pack=True)
    comfys = [tab.comfy, bare]
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": slow(600), "webui": tab.webui})
    others = {await asyncio.to_thread(theirs, bare, 1001)}
    words: list[Any] = [word for comfy in comfys for word in ("--comfyui", comfy.url)]

    def ours() -> list[set[str]]:
        return [queued(comfy) - others for comfy in comfys]

    try:
        async with started(tmp_path, "--port", "0", "--dashboard-port", "0", *words) as farm:
            for number, sent in enumerate((signal.SIGINT, signal.SIGKILL)):
                sweep = ["sweep", "Slow.seed=1..9", "--farm", farm["address"], "-o", f"out-{number}"]
                async with run(tmp_path, sweep, tab.comfy.url) as process:
                    # On one machine it runs, and on the other it waits for the run of somebody else.
                    await until(lambda: all(ours()) and queued(tab.comfy, "running"))
                    others.add(await asyncio.to_thread(theirs, tab.comfy, 1002 + number))
                    process.send_signal(sent)
                    ended = await asyncio.wait_for(process.wait(), TIMEOUT)
                # Ctrl-C waits for it; of a program that was killed the farm removes them.
                assert sent is signal.SIGKILL or (ended == 130 and not any(ours()))
                await until(lambda: not any(ours()))
                assert {one for comfy in comfys for one in queued(comfy)} == others
                # The next sweep runs there at once.
                await asyncio.to_thread(clear, tab.comfy)
                others &= queued(bare)
    finally:
        await asyncio.to_thread(clear, tab.comfy)


def clear(comfy: ComfyProcess) -> None:
    """Ends what is left."""
    while queued(comfy):
        # A run that just begins overlooks an interrupt.
        for path, body in (("/queue", {"clear": True}), ("/interrupt", {})):
            with suppress(ValueError):
                # Their answers are empty.
                comfy.post(path, body)
