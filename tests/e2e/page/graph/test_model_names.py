"""The models that a graph names, on real ComfyUI with nodes of every kind: needed models and their names."""

from __future__ import annotations

import asyncio
import shutil
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
        node(3, "UpscaleModelLoader", "Moved", ["Some.safetensors"]),
        node(2, "CheckpointLoaderSimple", "Loader", [LOST]),
    ]
    await send("load_workflow", workflow=ui(nodes))
    client = Client(tab.comfy.url)
    found = await asyncio.to_thread(client.doctor)
    assert [(one["name"], one["state"]) for one in found["models"]] == [
        (wrong, "relink"),
        ("Some.safetensors", "relink"),
        (LOST, "unknown"),
    ]
    assert (found["ready"], found["left"]) == (False, 1)
    # The widgets of a file are not those of the open workflow.
    assert (await send("doctor", workflow=ui(nodes)))["fixes"] == []
    found = await asyncio.to_thread(client.doctor, fix=True)
    assert [(one["name"], one["state"]) for one in found["models"]] == [(LISTED, "present"), (LOST, "unknown")]
    assert (found["fixes"], found["failures"]) == ([], [])
    paths = ["Upscaler.model_name", "Moved.model_name"]
    assert await send("get_fields", fields=paths) == dict.fromkeys(paths, LISTED)
    await send("undo")
    assert await send("get_fields", fields=paths) == dict(zip(paths, [wrong, "Some.safetensors"], strict=True))


# -- another path -----------------------------------------------------------------------------------------------------

# A file as a workflow may name it that was saved before the file was moved, on Windows, or with another letter case.
MOVED = ["probe-{}.safetensors", "sub\\probe-{}.safetensors", "Sub/PROBE-{}.safetensors"]


@pytest.fixture
def probes(tab: Tab) -> Iterator[list[str]]:
    """A model file in a subfolder of every model folder; the names of the folders."""
    folders = [name for name in tab.comfy.get("/models") if name not in ("configs", "custom_nodes")]
    subs = [tab.comfy.base / "models" / folder / "sub" for folder in folders]
    for folder, sub in zip(folders, subs, strict=True):
        sub.mkdir(parents=True)
        (sub / f"probe-{folder}.safetensors").write_bytes(model_bytes(200))
    yield folders
    for sub in subs:
        shutil.rmtree(sub)


def core_loaders(described: dict[str, Any], folders: list[str]) -> dict[tuple[str, str], str]:
    """The folder of every input of ComfyUI's own classes that lists a model folder, by class and input."""
    by_name = {f"sub/probe-{folder}.safetensors": folder for folder in folders}
    found = {}
    for kind, about in described.items():
        own = about["python_module"] == "nodes" or about["python_module"].startswith("comfy_extras.")
        inputs = {**about["input"].get("required", {}), **about["input"].get("optional", {})} if own else {}
        for name, (choices, *options) in inputs.items():
            listed = options[0].get("options") if choices == "COMBO" else choices
            folder = (
                next((by_name[one] for one in listed if one in by_name), None) if isinstance(listed, list) else None
            )
            if folder is not None:
                found[kind, name] = folder
    return found


async def test_a_moved_model_is_proposed_and_relinked_in_every_loader_of_core_as_one_undo_step(
    send: Send, tab: Tab, probes: list[str]
) -> None:
    loaders = core_loaders(await asyncio.to_thread(tab.comfy.get, "/object_info"), probes)
    assert len({kind for kind, _ in loaders}) > 20
    expected = {key: f"sub/probe-{folder}.safetensors" for key, folder in loaders.items()}

    def named(spellings: list[str]) -> dict[str, Any]:
        return {
            str(at): {"class_type": kind, "inputs": {name: spellings[at % len(spellings)].format(folder)}}
            for at, ((kind, name), folder) in enumerate(loaders.items(), 1)
        }

    for spelling in MOVED:
        needs = (await send("analyze_workflow", workflow=named([spelling])))["models"]
        uses = {(use["type"], use["widget"]): use["listed"] for need in needs for use in need["nodes"]}
        assert uses == expected
        assert {need["state"] for need in needs} <= {"relink", "spelled_differently"}
    # All of them on one page, each with one of the spellings.
    mixed = named(MOVED)
    await send("load_workflow", workflow=mixed)

    async def held() -> dict[tuple[str, str], str]:
        output = (await send("get_workflow_api"))["output"]
        keys = [(at, kind, name) for at, (kind, name) in enumerate(loaders, 1)]
        return {(kind, name): output[str(at)]["inputs"][name] for at, kind, name in keys}

    before = await held()
    proposed = (await send("relink_models", dry_run=True))["relinked"]
    assert await held() == before and len(proposed) == len(loaders)
    answer = await send("relink_models")
    assert (answer["relinked"], answer["unchosen"]) == (proposed, [])
    assert await held() == expected
    await send("undo")
    assert await held() == before


async def test_of_two_different_files_of_a_name_the_program_chooses_and_nothing_else_is_changed(
    send: Send, refused: Send, tab: Tab
) -> None:
    folder = tab.comfy.base / "models" / "upscale_models"
    names = [f"{place}/twice.safetensors" for place in ("one", "two")]
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(model_bytes(200, seed))
    nodes = [node(at, "UpscaleModelLoader", title, ["twice.safetensors"]) for at, title in enumerate(["A", "B"], 1)]
    paths = ["A.model_name", "B.model_name"]
    await send("load_workflow", workflow=ui(nodes))
    answer = await send("relink_models")
    [unchosen] = answer["unchosen"]
    assert (answer["relinked"], unchosen["name"]) == ([], "twice.safetensors")
    assert [(copy["name"], copy["size"]) for copy in unchosen["copies"]] == [(name, 200) for name in names]
    assert await send("get_fields", fields=paths) == dict.fromkeys(paths, "twice.safetensors")
    [plan] = (await send("plan_downloads"))["models"]
    assert plan["action"] == "choose"
    envelope = await refused("relink_models", choices={"twice.safetensors": "three/twice.safetensors"})
    assert (envelope["code"], envelope["details"]["offered"]) == ("invalid", names)
    chosen = await send("relink_models", choices={"upscale_models/twice.safetensors": names[1]})
    assert [one["value"] for one in chosen["relinked"]] == [names[1]] * 2 and chosen["unchosen"] == []
    assert await send("get_fields", fields=paths) == dict.fromkeys(paths, names[1])
    await send("undo")
    assert await send("get_fields", fields=paths) == dict.fromkeys(paths, "twice.safetensors")
    for name in names:
        shutil.rmtree((folder / name).parent)
