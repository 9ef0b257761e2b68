"""On a machine without a screen: from nothing to a picture of a workflow in UI format, in one command each."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.programs import installed_client
from comfyui_uiapi.tests.tools import build, chromium

CANVAS = build.ROOT / "client" / "examples" / "canvas.json"


def processes_of(profile: Path) -> list[int]:
    """The ids of the processes whose command line names a browser profile."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"--user-data-dir={profile}".encode() in words:
            found.append(int(folder.name))
    return found


async def test_a_tab_without_a_window_runs_workflows_is_opened_again_after_a_crash_and_closes(
    new_comfy: Callable[..., ComfyProcess], tmp_path: Path
) -> None:
    comfy = await asyncio.to_thread(lambda: new_comfy(frontend=build.FRONTENDS[-1]))
    # The browser itself must not use the network.
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nexec {shlex.quote(str(chromium.ensure()))} {" ".join(chromium.FLAGS)} "$@"\n')
    browser.chmod(0o755)
    env = {**installed_client.environment(tmp_path, comfy.url), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        env.pop(name, None)
    [profile] = [tmp_path / "cache" / "uiapi" / f"tab-127.0.0.1-{comfy.port}"]

    async def uiapi(*words: str | Path, code: int = 0) -> str:
        command = [sys.executable, "-m", "uiapi", *map(str, words)]
        done = await asyncio.to_thread(
            lambda: subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)  # noqa: S603
        )
        assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout or done.stderr

    async def tabs() -> list[Any]:
        return list(json.loads(await uiapi("webuis", "--json")))

    try:
        assert "uiapi tab" in await uiapi("query", code=3)
        assert "is connected" in await uiapi("tab", "--detach", "--browser", browser)
        assert "--stop" in await uiapi("tab", "--browser", browser, code=6)
        await uiapi("load", CANVAS)
        await uiapi("run", "-o", tmp_path / "picture.png")
        # The picture holds the workflow that made it.
        width = await uiapi("get", "Canvas.width")
        await uiapi("set", "Canvas.width=96")
        await uiapi("load", tmp_path / "picture.png")
        assert await uiapi("get", "Canvas.width") == width != "96\n"
        [crashed] = await tabs()
        for process in processes_of(profile):
            os.kill(process, signal.SIGKILL)

        async def gone() -> bool:
            return await tabs() == []

        async def back() -> bool:
            # There may have been none only for a moment.
            return [tab["id"] != crashed["id"] for tab in await tabs()] == [True]

        await until(back, "the tab after the crash", 240)
        assert await uiapi("tab", "--stop") == "Closed the tab.\n"

        async def no_processes() -> bool:
            return not processes_of(profile)

        await until(no_processes, "the browser's end", 120)
        await until(gone, "the tab's end", 120)
        assert "no tab" in await uiapi("tab", "--stop", code=4)
    finally:
        for process in processes_of(profile):
            os.kill(process, signal.SIGKILL)
