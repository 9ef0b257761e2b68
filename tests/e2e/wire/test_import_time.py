"""How long ComfyUI waits for this package when it starts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from comfyui_uiapi.tests.harness.comfy import ComfyProcess
from comfyui_uiapi.tests.tools import build

# Stands in custom_nodes for the package, imports it as ComfyUI would, and tells the processor time that took: other
# processes on the machine have no part in it.
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

# The measure in the same run: a package that ComfyUI itself waits for, in a fresh process. On the machine that the
# promise of 0.1 s was made for it takes twice that. Both are compiled, as they are from ComfyUI's second start on.
MEASURE = "import time; started = time.process_time(); import aiohttp.web; print(time.process_time() - started)"
SHARE = 0.4
CODE = ("__init__.py", "server.py", "model_defs.py", "bridge", "downloads")


def test_comfyui_waits_for_the_import_less_than_half_as_long_as_for_aiohttp(tmp_path: Path) -> None:
    tries = []
    for number in range(3):
        measure, own = fresh_aiohttp(), own_import(tmp_path / str(number))
        if own <= SHARE * measure:
            return
        tries.append((own, measure))
    raise AssertionError(f"seconds for this package and for aiohttp, three times: {tries}")


def fresh_aiohttp() -> float:
    """Seconds of processor time that importing aiohttp takes."""
    done = subprocess.run([build.PYTHON, "-c", MEASURE], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def own_import(base: Path, *, compiled: bool = True) -> float:
    """Seconds of processor time that importing this package takes while ComfyUI starts."""
    if compiled:
        compile_all = [str(build.PYTHON), "-m", "compileall", "-q", *CODE]
        subprocess.run(compile_all, cwd=build.ROOT, check=True)  # noqa: S603 - our own files
    else:
        for folder in (build.ROOT, build.ROOT / "bridge", build.ROOT / "downloads"):
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    comfy = ComfyProcess(base, package=None)
    node = TIMED_NODE.format(entry=str(build.ROOT / "__init__.py"), root=str(build.ROOT))
    (base / "custom_nodes" / "timed.py").write_text(node)
    with comfy:
        assert comfy.get("/uiapi/webuis")["status"] == "ok"
    told = re.search(r"uiapi was imported in ([\d.]+) s", comfy.log_text())
    assert told is not None
    return float(told[1])
