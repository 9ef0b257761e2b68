"""Measures how long ComfyUI takes to import this package when it starts, compared with a fresh import of aiohttp."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.tools import build

# The yardstick: importing a package that ComfyUI itself imports, in a fresh process. Both are compiled, as from
# ComfyUI's second start on.
MEASURE = "import time; started = time.process_time(); import aiohttp.web; print(time.process_time() - started)"
# Takes the package's place in custom_nodes, imports it as ComfyUI does, and prints the processor time of the import.
# Other processes slow that down too, since they share the processor's caches, so the yardstick is measured right before
# and right after it.
TIMED_NODE = """
import importlib.util, subprocess, sys, time

NODE_CLASS_MAPPINGS = {{}}

def measure():
    command = [sys.executable, "-c", {measure!r}]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

before = measure()
spec = importlib.util.spec_from_file_location("/timed/package", {entry!r}, submodule_search_locations=[{root!r}])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
started = time.thread_time()
spec.loader.exec_module(package)
took = time.thread_time() - started
print(f"uiapi was imported in {{took:.4f}} s, aiohttp in {{(before + measure()) / 2:.4f}} s", flush=True)
"""
# The most of the time of aiohttp that this package may take.
SHARE = 0.4
CODE = ("__init__.py", "server.py", "model_defs.py", "common", "bridge", "downloads")


def measured(base: Path, *, compiled: bool = True) -> tuple[float, float]:
    """Return the seconds of processor time that importing this package takes while ComfyUI starts, and aiohttp's."""
    if compiled:
        compile_all = [str(build.PYTHON), "-m", "compileall", "-q", *CODE]
        subprocess.run(compile_all, cwd=build.ROOT, check=True)  # noqa: S603 - our own files
    else:
        shutil.rmtree(build.ROOT / "__pycache__", ignore_errors=True)
        for room in ("common", "bridge", "downloads"):
            for compiled_files in [*(build.ROOT / room).rglob("__pycache__")]:
                shutil.rmtree(compiled_files, ignore_errors=True)
    comfy = ComfyProcess(base, package=None)
    node = TIMED_NODE.format(entry=str(build.ROOT / "__init__.py"), root=str(build.ROOT), measure=MEASURE)
    (base / "custom_nodes" / "timed.py").write_text(node)
    with comfy:
        assert comfy.get("/uiapi/webuis")["status"] == "ok"
    found = re.search(r"uiapi was imported in ([\d.]+) s, aiohttp in ([\d.]+) s", comfy.log_text())
    assert found is not None
    return float(found[1]), float(found[2])
