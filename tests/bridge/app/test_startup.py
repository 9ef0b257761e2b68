"""What ComfyUI waits for when it imports this package."""

from __future__ import annotations

import json
import subprocess
import sys

from comfyui_uiapi.tests.tools.build import ROOT

# Imports the package as ComfyUI does, and prints the modules of it.
IMPORT = """
import gc, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("uiapi_pack", "__init__.py", submodule_search_locations=["."])
sys.modules[spec.name] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
assert gc.isenabled()
import uiapi_pack.server
print(json.dumps([name.removeprefix("uiapi_pack.") for name in sys.modules if name.startswith("uiapi_pack.")]))
"""
# What only some commands need.
LATER = {
    "bridge.api.openapi",
    "bridge.comfyui.missing_nodes",
    "bridge.comfyui.node_packs",
    "bridge.protocol.schemas",
    "bridge.system.log_tail",
    "downloads.api.diagnosis",
    "downloads.api.requests",
    "downloads.api.schemas",
    "downloads.api.service",
}


def test_what_only_some_commands_need_is_not_imported_at_the_start() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    found = {*json.loads(done.stdout)}
    assert "bridge.commands.fields" in found
    assert found & LATER == set()
