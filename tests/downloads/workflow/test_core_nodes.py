"""On a real ComfyUI: its node classes with the official templates, and a kill during a download."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess, free_port
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.tools import build

pytestmark = pytest.mark.stack

Nodes = list[dict[str, Any]]


@pytest.fixture(scope="module")
def host_port() -> int:
    """The port of the model host, which ComfyUI is started to allow."""
    return free_port()


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory, host_port: int) -> Iterator[ComfyProcess]:
    """A running ComfyUI without any model."""
    missing = build.missing()
    if missing:
        pytest.exit(f"{missing} is not built: run python3 dev.py test (it takes pytest's arguments).", returncode=4)
    allowed = {"UIAPI_ALLOWED_HOSTS": f"127.0.0.1:{host_port}"}
    with ComfyProcess(tmp_path_factory.mktemp("comfy-models"), env=allowed) as process:
        yield process


# -- the official templates -------------------------------------------------------------------------------------


def templates() -> list[tuple[str, dict[str, Any]]]:
    """Every workflow among the official templates."""
    found = []
    for path in sorted((build.TEMPLATES / "templates").glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        if isinstance(data, dict) and isinstance(data.get("nodes"), list):
            found.append((path.name, data))
    return found


def all_nodes(workflow: dict[str, Any]) -> Nodes:
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or []
    return [*workflow["nodes"], *(node for graph in subgraphs for node in graph["nodes"])]


def records(workflow: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """The URLs by (name, directory) of a workflow's properties.models."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node in all_nodes(workflow):
        for model in (node.get("properties") or {}).get("models") or []:
            found[model["name"], model["directory"]].add(model["url"])
    return found


def analysed(comfy: ComfyProcess, workflow: dict[str, Any]) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = comfy.post("/uiapi/analyze_workflow", {"workflow": workflow})["response"]["models"]
    return models


def test_every_need_of_the_official_templates_is_found_with_its_folder_and_address(comfy: ComfyProcess) -> None:
    workflows = templates()
    wanted: set[tuple[str, str]] = set()
    for name, workflow in workflows:
        recorded = records(workflow)
        needs = {(need["name"], need["directory"]): need for need in analysed(comfy, workflow)}
        assert needs.keys() == recorded.keys(), name
        assert all(urls & set(needs[key]["urls"]) for key, urls in recorded.items()), name
        wanted |= {(name, model) for model, _ in recorded}
    assert (len(workflows), len(wanted)) == (644, 999)


def test_without_their_records_the_node_classes_give_every_folder(comfy: ComfyProcess) -> None:
    classes = set(comfy.get("/object_info"))
    checked = 0
    for name, workflow in templates():
        wanted = set()
        for node in all_nodes(workflow):
            models = (node.get("properties") or {}).pop("models", None) or []
            if node["type"] in classes:
                wanted |= {(model["name"], model["directory"]) for model in models}
        if wanted:
            needs = {(need["name"], need["directory"]) for need in analysed(comfy, workflow)}
            assert wanted <= needs, name
            checked += len(wanted)
    assert checked >= 954


def test_api_exports_of_the_templates_give_every_folder_too(comfy: ComfyProcess) -> None:
    classes = comfy.get("/object_info")
    checked = 0
    for name, workflow in templates():
        wanted, export = set(), {}
        for number, node in enumerate(all_nodes(workflow)):
            models = (node.get("properties") or {}).get("models") or []
            if node["type"] not in classes or not models:
                continue
            wanted |= {(model["name"], model["directory"]) for model in models}
            export[str(number)] = {"class_type": node["type"], "inputs": inputs_of(classes[node["type"]], node)}
        if wanted:
            needs = {(need["name"], need["directory"]) for need in analysed(comfy, export)}
            assert needs == wanted, name
            checked += len(wanted)
    assert checked >= 954


def inputs_of(declared: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A node's widgets as an API export has them; loaders have no widget that keeps a value of its own."""
    groups = [declared["input"].get(group) or {} for group in ("required", "optional")]
    plain = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")
    names = [name for group in groups for name, spec in group.items() if isinstance(spec[0], list) or spec[0] in plain]
    return dict(zip(names, node["widgets_values"], strict=False))


# -- killed midway ------------------------------------------------------------------------------------------------


@pytest.fixture
async def host(host_port: int) -> AsyncIterator[Host]:
    host = await Host().start(host_port)
    yield host
    await host.close()


async def soon(condition: Callable[[], Any], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "that did not happen in time"
        await asyncio.sleep(0.02)


def missing_bytes(journal: Path) -> int:
    """How many bytes a partial file lacks by its journal."""
    return sum(end - start for start, end in json.loads(journal.read_text("utf-8"))["missing"])


async def test_comfyui_killed_in_the_middle_of_a_download_resumes_it_with_the_right_hash(
    comfy: ComfyProcess, host: Host
) -> None:
    data = model_bytes(40_000_000)
    answer = host.offer("/x", data, rate=12_000_000)
    checkpoints = comfy.base / "models" / "checkpoints"
    need = {"name": "x.safetensors", "directory": "checkpoints", "hash": sha256(data), "hash_type": "SHA256"}
    node = {"id": 1, "type": "CheckpointLoaderSimple", "widgets_values": ["x.safetensors"]}
    workflow = {"nodes": [node | {"properties": {"models": [need | {"url": host.url("/x")}]}}], "links": []}
    begun = await asyncio.to_thread(comfy.post, "/uiapi/download_models", {"workflow": workflow})
    await soon(lambda: host.sent.get("/x", 0) > 25_000_000)
    answer.held = asyncio.Event()
    journal = checkpoints / ".x.safetensors.uiapi-json"
    await soon(lambda: journal.exists() and missing_bytes(journal) < 20_000_000)
    still_missing = missing_bytes(journal)
    os.kill(comfy.pid, signal.SIGKILL)
    await asyncio.to_thread(comfy.kill)
    left = {path.name for path in checkpoints.iterdir()}
    assert "x.safetensors" not in left and ".x.safetensors.uiapi-part" in left
    answer.rate, answer.held, already = None, None, host.sent["/x"]

    await asyncio.to_thread(comfy.start)
    listed = (await asyncio.to_thread(comfy.get, "/uiapi/downloads"))["response"]["downloads"]
    assert [(one["download_id"], one["status"], one["resumable"]) for one in listed] == [
        (begun["download_id"], "paused", True)
    ]
    await asyncio.to_thread(comfy.post, "/uiapi/download_resume", {"download_id": begun["download_id"]})
    await soon((checkpoints / "x.safetensors").exists)
    assert (checkpoints / "x.safetensors").read_bytes() == data
    assert host.sent["/x"] - already <= still_missing
    await soon(lambda: [path.name for path in checkpoints.iterdir() if "x.safe" in path.name] == ["x.safetensors"])
    listed_by_comfyui = await asyncio.to_thread(comfy.get, "/object_info/CheckpointLoaderSimple")
    assert "x.safetensors" in json.dumps(listed_by_comfyui)
