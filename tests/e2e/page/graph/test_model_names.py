"""The models that a graph names, on real ComfyUI with nodes of every kind: needed models and their names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.client import Client
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.models.model_host import model_bytes

from ....harness.browser.graphs import node, ui
from ..conftest import Send

LOST = "lost.safetensors"
# Types without a hash, inputs returned only once, dicts that contain every key, a list made by the class itself.
ODD = ("LabShowAny", "LabThrowingInputs", "LabRebuilt", "LabRows", "LabDynamicCombo", "LabLoraTexts")


async def test_no_node_class_however_odd_stops_what_is_asked_about_models(send: Send) -> None:
    nodes = [node(at, kind) for at, kind in enumerate(ODD, 2)]
    await send("load_workflow", workflow=ui([node(1, "CheckpointLoaderSimple", "Loader", [LOST]), *nodes]))
    [need] = (await send("analyze_workflow"))["models"]
    assert (need["name"], need["directory"], need["exists"]) == (LOST, "checkpoints", False)
    plan: dict[str, Any] = await send("plan_downloads")
    assert [(model["name"], model["action"]) for model in plan["models"]] == [(LOST, "no_url")]
    begun = await send("download_models", only=[])
    assert begun["download_id"]
    assert (await send("clear_nonexistant_models"))["cleared_fields"] == ["Loader.ckpt_name"]


# -- models that no list of ComfyUI contains -----------------------------------------------------------------------


async def test_models_are_needs_in_whatever_way_a_node_names_them(send: Send) -> None:
    rows = [{"name": "row", "strength": 1.0, "active": True}, {"name": "off", "strength": 1.0, "active": False}]
    nodes = [
        node(1, "LabListedCheckpoint", "Own list", ["sub/own.safetensors"]),
        node(2, "LabLoraTexts", "Texts", ["<lora:row:1> <lora:tag:0.6>", rows]),
        node(3, "CLIPTextEncode", "Prompt", ["(embedding:there:1.2), embedding:gone, hands"]),
        node(4, "Note", "A note", ["<lora:note:1> embedding:note"]),
        node(5, "LabText", "Muted", ["<lora:muted:1>"], mode=2),
    ]
    models = (await send("analyze_workflow", workflow=ui(nodes)))["models"]
    assert {(need["name"], need["directory"], need["named_in"], need["reason"]) for need in models} == {
        ("sub/own.safetensors", None, "combo", None),
        ("row.safetensors", "loras", "row", None),
        ("off.safetensors", "loras", "row", "off"),
        ("tag.safetensors", "loras", "lora_tag", None),
        ("there.safetensors", "embeddings", "embedding", None),
        ("gone.safetensors", "embeddings", "embedding", None),
        ("muted.safetensors", "loras", "lora_tag", "muted"),
    }
    plan = await send("plan_downloads", workflow=ui(nodes))
    assert {model["action"] for model in plan["models"]} == {"no_url", "not_needed"}


# -- one spelling -----------------------------------------------------------------------------------------------------

LISTED = "ltx/Some.safetensors"


@pytest.fixture
def listed(tab: Tab) -> Iterator[Path]:
    """A model file with a subdirectory in its name."""
    path = tab.comfy.base / "models" / "upscale_models" / LISTED
    path.parent.mkdir(parents=True)
    path.write_bytes(model_bytes(200))
    yield path
    path.unlink()
    path.parent.rmdir()


async def test_models_of_another_spelling_are_relinked_in_one_undo_step_and_comfyui_takes_them(
    send: Send, listed: Path
) -> None:
    held = ["ltx\\Some.safetensors", "LTX/some.safetensors", LISTED]
    paths = ["Inside.model_name", "Upscaler.model_name", "Right.model_name"]
    nodes = [
        node(at, "UpscaleModelLoader", path.partition(".")[0], [name])
        for at, (path, name) in enumerate(zip(paths, held, strict=True), 1)
    ]
    await send("load_workflow", workflow=ui(nodes))
    await send("convert_to_subgraph", nodes=["Inside"])
    paths[0] = next(node["path"] for node in (await send("query_fields"))["nodes"] if node["title"] == "Inside")
    paths[0] += ".model_name"
    found = {need["name"]: need for need in (await send("analyze_workflow"))["models"]}
    assert [(need["state"], need["listed"], need["exists"]) for need in found.values()] == [
        ("spelled_differently", LISTED, False)
    ] * 2
    assert (await send("clear_nonexistant_models"))["cleared_count"] == 0
    before = dict(zip(paths, held, strict=True))
    for dry_run in (True, False):
        assert await send("get_fields", fields=paths) == before
        answer = await send("relink_models", dry_run=dry_run)
        assert {(one["previous"], one["value"]) for one in answer["relinked"]} == {(name, LISTED) for name in held[:2]}
    assert await send("get_fields", fields=paths) == dict.fromkeys(paths, LISTED)
    assert [need["state"] for need in (await send("analyze_workflow"))["models"]] == ["present"]
    assert (await send("relink_models"))["relinked"] == []
    await send("undo")
    assert await send("get_fields", fields=paths) == before


# -- the doctor -------------------------------------------------------------------------------------------------------


async def test_the_doctors_fixes_relink_what_is_present_and_leave_the_rest_to_the_person(
    send: Send, tab: Tab, listed: Path
) -> None:
    wrong = "ltx\\Some.safetensors"
    nodes = [
        node(1, "UpscaleModelLoader", "Upscaler", [wrong]),
        node(2, "CheckpointLoaderSimple", "Loader", [LOST]),
    ]
    await send("load_workflow", workflow=ui(nodes))
    client = Client(tab.comfy.url)
    found = await asyncio.to_thread(client.doctor)
    assert [(one["name"], one["state"]) for one in found["models"]] == [(wrong, "relink"), (LOST, "unknown")]
    assert (found["ready"], found["left"]) == (False, 1)
    # The widgets of a file are not those of the open workflow.
    assert (await send("doctor", workflow=ui(nodes)))["fixes"] == []
    found = await asyncio.to_thread(client.doctor, fix=True)
    assert [(one["name"], one["state"]) for one in found["models"]] == [(LISTED, "present"), (LOST, "unknown")]
    assert (found["fixes"], found["failures"]) == ([], [])
    assert await send("get_fields", fields=["Upscaler.model_name"]) == {"Upscaler.model_name": LISTED}
    await send("undo")
    assert await send("get_fields", fields=["Upscaler.model_name"]) == {"Upscaler.model_name": wrong}
