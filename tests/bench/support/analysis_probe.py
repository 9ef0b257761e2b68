"""Times the analysis of every official template with ComfyUI's real node classes; run with ComfyUI's modules.

Usage: python analysis_probe.py CHECKOUT COMFYUI_FOLDER TEMPLATES_FOLDER BASE_DIRECTORY MANAGER; prints JSON. MANAGER is
the folder that ComfyUI-Manager's package is in.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

# Readings of one workflow; the fastest counts, since other processes may disturb the others.
TRIES = 5


def load(name: str, path: Path, *, package: bool = False) -> ModuleType:
    """Load a module or package from a file."""
    search = [str(path.parent)] if package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def comfyui(checkout: Path, folder: Path, base: str) -> tuple[Any, Any]:
    """Return ComfyUI's folder_paths and nodes modules, with all of its own node classes."""
    main = load("comfy_main", checkout / "tests" / "harness" / "comfy" / "main.py")
    sys.modules["comfy_main"].declared = main.declare_missing_operators()  # type: ignore[attr-defined]
    sys.argv = ["main.py", "--cpu", "--disable-api-nodes", "--base-directory", base]
    sys.path[0] = str(folder)
    importlib.import_module("comfy.options").enable_args_parsing()
    importlib.import_module("utils.install_util")
    folder_paths, nodes = importlib.import_module("folder_paths"), importlib.import_module("nodes")
    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    return folder_paths, nodes


def main() -> None:
    """Print the seconds for all classes ("learn") and for the lists of models ("lists"), and those of each template
    for its analysis ("read") and for finding URLs ("find"), with the number of "needs"."""
    checkout, folder, templates = map(Path, sys.argv[1:4])
    base, manager = sys.argv[4:6]
    folder_paths, nodes = comfyui(checkout, folder, base)
    load("comfyui_uiapi", checkout / "__init__.py", package=True)
    needs = importlib.import_module("comfyui_uiapi.downloads.workflow.required_models")
    lookups = importlib.import_module("comfyui_uiapi.downloads.workflow.model_lookup")
    places = importlib.import_module("comfyui_uiapi.downloads.storage.model_folders").Places(folder_paths)
    inputs = importlib.import_module("comfyui_uiapi.downloads.workflow.node_inputs").NodeInputs(
        folder_paths, lambda: nodes.NODE_CLASS_MAPPINGS
    )
    began = time.perf_counter()
    inputs.learn(nodes.NODE_CLASS_MAPPINGS)
    learnt = time.perf_counter() - began
    catalogs = importlib.import_module("comfyui_uiapi.downloads.finding.catalog")
    catalogs.template_folders = lambda: [("1", templates)]  # type: ignore[attr-defined]
    sys.path.append(manager)
    listed = []
    for _ in range(TRIES):
        catalog = catalogs.Catalog(folder_paths)
        began = time.perf_counter()
        asyncio.run(catalog.warm())
        listed.append(time.perf_counter() - began)
    reader, took, finding, found = needs.Needs(places, inputs), [], [], 0
    for path in sorted(templates.glob("*.json")):
        workflow = json.loads(path.read_text("utf-8"))
        if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
            continue
        tries = []
        for _ in range(TRIES):
            began = time.perf_counter()
            models, lookup = reader.read(workflow), lookups.Lookup(places)
            for model in models:
                lookup.of(model)
            tries.append(time.perf_counter() - began)
        took.append(min(tries))
        tries = []
        for _ in range(TRIES):
            began = time.perf_counter()
            notes = catalogs.note_links(workflow)
            for model in models:
                catalog.candidates(model, notes)
            tries.append(time.perf_counter() - began)
        finding.append(min(tries))
        found += len(models)
    result = {"learn": learnt, "lists": min(listed), "read": took, "find": finding, "needs": found}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
