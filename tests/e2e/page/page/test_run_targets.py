"""Runs to a node, and the memory of ComfyUI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import empty_to_save, nested
from ..conftest import Send

OUTPUTS = {
    **empty_to_save(),
    "3": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}, "_meta": {"title": "Invert"}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}, "_meta": {"title": "Inverted"}},
}
OUTPUTS["2"]["_meta"] = {"title": "Plain"}


@pytest_asyncio.fixture(loop_scope="session")
async def two_outputs(send: Send) -> None:
    """Makes the open workflow one with two output nodes."""
    await send("load_workflow", workflow=OUTPUTS)


def titles(ran: dict[str, Any]) -> list[str]:
    return [output["title"] for output in ran["outputs"]]


async def test_a_run_to_a_node_makes_only_its_outputs(send: Send, two_outputs: None) -> None:
    assert titles(await send("run", targets=["Inverted"])) == ["Inverted"]
    assert titles(await send("execute", targets=["#2"], wait=True)) == ["Plain"]
    assert sorted(titles(await send("run", targets=["Plain", "#4"]))) == ["Inverted", "Plain"]
    assert sorted(titles(await send("run", fields=[["EmptyImage.color", 77]]))) == ["Inverted", "Plain"]


async def test_a_target_without_outputs_is_refused_with_those_behind_it(refused: Send, two_outputs: None) -> None:
    inner = await refused("run", targets=["Invert"])
    assert inner["code"] == "invalid"
    assert inner["details"]["nearest"] == ["Inverted"]
    assert "Invert is no output node; use an output node behind it: Inverted." in inner["error"]
    first = await refused("execute", targets=["Plain", "EmptyImage"])
    assert first["details"]["nearest"] == ["Plain", "Inverted"]
    assert (await refused("run", targets=["Nowhere"]))["code"] == "unknown_node"


async def test_outputs_behind_a_subgraph_are_named(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=nested())
    nodes = (await send("query_fields", want=["path", "subgraph"]))["nodes"]
    subgraph = next(node for node in nodes if node.get("subgraph"))
    answer = await refused("run", targets=[f"#{subgraph['id']}"])
    assert answer["code"] == "invalid"
    assert len(answer["details"]["nearest"]) >= 1


async def test_freed_memory_has_no_outputs_of_earlier_runs(send: Send, tab: Tab, two_outputs: None) -> None:
    async def cached(prompt_id: str) -> set[str]:
        history = await asyncio.to_thread(tab.comfy.get, f"/history/{prompt_id}")
        return next(
            set(data["nodes"]) for name, data in history[prompt_id]["status"]["messages"] if name == "execution_cached"
        )

    await send("run", targets=["Inverted"])
    assert await cached((await send("run", targets=["Inverted"]))["prompt_id"]) == {"1", "3", "4"}
    freed = await send("free_memory")
    assert freed["freed"] is True
    assert freed["devices"][0]["vram_total"] > 0
    assert await cached((await send("run", targets=["Inverted"]))["prompt_id"]) == set()


async def test_the_log_of_comfyui_has_what_it_did(send: Send, two_outputs: None) -> None:
    await send("run", targets=["Inverted"])
    lines = [line["text"] for line in (await send("logs"))["lines"]]
    assert any(line.startswith("got prompt") for line in lines)


async def test_the_system_is_described(tab: Tab, frontend: str) -> None:
    found = (await asyncio.to_thread(tab.comfy.get, "/uiapi/system"))["response"]
    assert found["frontend_version"] == frontend
    assert all(found[key] for key in ("comfyui_version", "torch_version", "python_version", "ram_total"))
