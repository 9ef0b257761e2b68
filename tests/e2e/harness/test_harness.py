"""The test harness: the real ComfyUI is complete, and no process outlives its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from comfyui_uiapi.tests.harness import children
from comfyui_uiapi.tests.harness.browser.tab import Chromium
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess

PICTURE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "scaffold"}},
}


def wait_for(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return answer


def running() -> dict[int, int]:
    """The group of every running process by its id; zombies do not run."""
    groups = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # proc(5): "pid (name) state parent group …"; the name may hold spaces and brackets.
            state, _parent, group, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state != "Z":
            groups[int(status.parent.name)] = int(group)
    return groups


def test_every_builtin_node_class_is_loaded(comfy: ComfyProcess) -> None:
    assert "IMPORT FAILED" not in comfy.log_text()
    classes = comfy.get("/object_info")
    assert {"EmptyImage", "UpscaleModelLoader", "AudioEncoderLoader", "Canny", "LoadAudio"} <= classes.keys()


def test_this_package_is_loaded_from_its_hyphenated_folder_without_an_error(comfy: ComfyProcess) -> None:
    status = comfy.get("/uiapi/connection_status")
    assert (status["status"], status["active_clients"]) == ("ok", len(comfy.get("/uiapi/webuis")["response"]))
    # The page's half is served under the folder's own name.
    assert f"/extensions/{PACKAGE_NAME}/uiapi.js" in comfy.get("/extensions")
    assert "Cannot import" not in comfy.log_text()


def test_a_workflow_without_models_makes_a_picture(comfy: ComfyProcess) -> None:
    prompt_id = comfy.post("/prompt", {"prompt": PICTURE})["prompt_id"]
    [entry] = wait_for(lambda: comfy.get(f"/history/{prompt_id}")).values()
    [image] = entry["outputs"]["2"]["images"]
    assert (comfy.output / image["filename"]).read_bytes().startswith(b"\x89PNG")


async def test_a_killed_chromium_leaves_no_process(new_chromium: Callable[[], Awaitable[Chromium]]) -> None:
    chromium = await new_chromium()
    group = chromium.pid
    assert list(running().values()).count(group) > 1
    chromium.kill()
    wait_for(lambda: group not in running().values())


def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import children\n"
        "child = children.start([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[2], 'w').write(str(child.pid) + '.'); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, Path(children.__file__).parent, pid_file])  # noqa: S603
    try:
        pid = int(
            wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith(".") and pid_file.read_text()[:-1])
        )
        assert pid in running()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_for(lambda: pid not in running())
