"""Measures how long ComfyUI takes to import this package when it starts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.tools import build

# Takes the package's place in custom_nodes, imports it as ComfyUI does, and prints the processor time of the import,
# which other processes on the machine do not affect.
TIMED_NODE = """
import importlib.util, sys, time

NODE_CLASS_MAPPINGS = {{}}
spec = importlib.util.spec_from_file_location("/timed/package", {entry!r}, submodule_search_locations=[{root!r}])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
started = time.thread_time()
spec.loader.exec_module(package)
print(f"uiapi was imported in {{time.thread_time() - started:.4f}} s", flush=True)
"""

# The yardstick, measured in the same run: importing a package that ComfyUI itself imports, in a fresh process. Both
# packages are compiled, as they are from ComfyUI's second start on.
MEASURE = "import time; started = time.process_time(); import aiohttp.web; print(time.process_time() - started)"
SHARE = 0.4
CODE = ("__init__.py", "server.py", "model_defs.py", "common", "bridge", "downloads")


def fresh_aiohttp() -> float:
    """Return the seconds of processor time that importing aiohttp takes."""
    done = subprocess.run([build.PYTHON, "-c", MEASURE], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def own_import(base: Path, *, compiled: bool = True) -> float:
    """Return the seconds of processor time that importing this package takes while ComfyUI starts."""
    if compiled:
        compile_all = [str(build.PYTHON), "-m", "compileall", "-q", *CODE]
        subprocess.run(compile_all, cwd=build.ROOT, check=True)  # noqa: S603 - our own files
    else:
        shutil.rmtree(build.ROOT / "__pycache__", ignore_errors=True)
        for room in ("common", "bridge", "downloads"):
            for compiled_files in [*(build.ROOT / room).rglob("__pycache__")]:
                shutil.rmtree(compiled_files, ignore_errors=True)
    comfy = ComfyProcess(base, package=None)
    node = TIMED_NODE.format(entry=str(build.ROOT / "__init__.py"), root=str(build.ROOT))
    (base / "custom_nodes" / "timed.py").write_text(node)
    with comfy:
        assert comfy.get("/uiapi/webuis")["status"] == "ok"
    found = re.search(r"uiapi was imported in ([\d.]+) s", comfy.log_text())
    assert found is not None
    return float(found[1])
