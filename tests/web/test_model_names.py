"""The models that a graph names, on real ComfyUI with nodes of every kind: what is needed, and what it is called."""

from __future__ import annotations

from typing import Any

from .conftest import Ask
from .graphs import node, ui

LOST = "lost.safetensors"
# Types without a hash, an answer given once only, dicts that have every key, a list of the class's own.
ODD = ("LabShowAny", "LabThrowingInputs", "LabRebuilt", "LabRows", "LabDynamicCombo", "LabLoraTexts")


async def test_no_node_class_however_odd_stops_what_is_asked_about_models(tell: Ask) -> None:
    nodes = [node(at, kind) for at, kind in enumerate(ODD, 2)]
    await tell("load_workflow", workflow=ui([node(1, "CheckpointLoaderSimple", "Loader", [LOST]), *nodes]))
    [need] = (await tell("analyze_workflow"))["models"]
    assert (need["name"], need["directory"], need["exists"]) == (LOST, "checkpoints", False)
    plan: dict[str, Any] = await tell("plan_downloads")
    assert [(model["name"], model["action"]) for model in plan["models"]] == [(LOST, "no_url")]
    begun = await tell("download_models", only=[])
    assert begun["download_id"]
    assert (await tell("clear_nonexistant_models"))["cleared_fields"] == ["Loader.ckpt_name"]
