"""A model counts as present only under the name that ComfyUI lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import model_bytes
from comfyui_uiapi.tests.harness.models.node_reader import Listed, Reader, classes_of, graph, node, put


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr(Listed, "files", ["None", "ltx/some.safetensors"])
    reader = Reader(tmp_path)
    reader.classes["Listed"] = Listed
    return reader


SPELLINGS = ["ltx\\some.safetensors", "LTX/some.safetensors", "Ltx\\Some.SafeTensors"]


@pytest.mark.parametrize("held", SPELLINGS)
@pytest.mark.parametrize("kind", ["Checkpoint", "Listed"])
async def test_another_spelling_than_the_listed_one_is_not_present(reader: Reader, kind: str, held: str) -> None:
    path = put(reader, "checkpoints", "ltx/some.safetensors")
    workflow = graph(node(kind, [held]))
    [need] = await reader.analysis.describe(workflow)
    assert (need["exists"], need["state"], need["reason"], need["listed"]) == (
        False,
        "spelled_differently",
        "spelled_differently",
        "ltx/some.safetensors",
    )
    assert (need["path"], need["size"], need["needed"]) == (str(path), 200, True)
    widget = {"Checkpoint": "ckpt_name", "Listed": "file"}[kind]
    use = {"node": "1", "widget": widget, "value": held}
    assert (await reader.analysis.relinks(workflow, {})).links == [
        {**use, "listed": "ltx/some.safetensors", "reason": "spelled_differently"}
    ]
    assert await reader.analysis.absent(workflow) == []


async def test_forward_slashes_are_another_spelling_where_comfyui_lists_backslashes(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(reader, "checkpoints", "ltx/some.safetensors")
    monkeypatch.setattr(reader.folders, "get_filename_list", lambda name: ["ltx\\some.safetensors"])
    [need] = await reader.analysis.describe(graph(node("Checkpoint", ["ltx/some.safetensors"])))
    assert (need["state"], need["listed"]) == ("spelled_differently", "ltx\\some.safetensors")
    [need] = await reader.analysis.describe(graph(node("Checkpoint", ["ltx\\some.safetensors"])))
    assert (need["state"], need["listed"], need["exists"]) == ("present", None, True)


async def test_a_file_of_that_name_in_another_folder_than_the_one_that_is_named_is_not_the_model(
    reader: Reader,
) -> None:
    put(reader, "loras", "a.safetensors")
    record = {"models": [{"name": "a.safetensors", "directory": "vae"}]}
    unknown = node("NotInstalled", ["a.safetensors"], properties=record)
    assert [need["state"] for need in await reader.analysis.describe(graph(unknown))] == ["missing"]
    bare = node("NotInstalled", ["a.safetensors"])
    assert [need["state"] for need in await reader.analysis.describe(graph(bare))] == ["present"]


async def test_a_file_of_the_same_letter_case_goes_before_one_of_another(reader: Reader) -> None:
    for name in ("a/X.safetensors", "a/x.safetensors"):
        put(reader, "checkpoints", name)
    [need] = await reader.analysis.describe(graph(node("Checkpoint", ["a\\x.safetensors"])))
    assert need["listed"] == "a/x.safetensors"


async def test_every_use_says_its_own_spelling_and_those_that_are_right_stay(reader: Reader) -> None:
    put(reader, "checkpoints", "ltx/some.safetensors")
    nodes = [node("Checkpoint", [held], at) for at, held in enumerate(["ltx/some.safetensors", SPELLINGS[0]], 1)]
    [need] = await reader.analysis.describe(graph(*nodes))
    assert need["state"] == "spelled_differently"
    assert [use["listed"] for use in need["nodes"]] == [None, "ltx/some.safetensors"]


async def test_a_wrong_spelling_that_does_not_run_is_none_for_the_run(reader: Reader) -> None:
    put(reader, "checkpoints", "ltx/some.safetensors")
    nodes = [node("Checkpoint", ["ltx/some.safetensors"]), node("Checkpoint", [SPELLINGS[0]], 2, mode=4)]
    [need] = await reader.analysis.describe(graph(*nodes))
    assert (need["state"], need["reason"]) == ("present", None)
    assert len((await reader.analysis.relinks(graph(*nodes), {})).links) == 1


@pytest.mark.parametrize("held", SPELLINGS)
async def test_the_plan_and_the_download_say_so_and_fetch_nothing(
    service: Service, classes: dict[str, type], held: str
) -> None:
    classes.update(classes_of(service.folders))
    path = service.path("ltx/some.safetensors")
    path.parent.mkdir()
    path.write_bytes(model_bytes(200))
    workflow = graph(node("Checkpoint", [held]))
    plan = await service.downloads.plan(workflow, {})
    [model] = plan["models"]
    fields: dict[str, Any] = {key: model[key] for key in ("action", "listed", "path", "size")}
    assert fields == {"action": "spelled_differently", "listed": "ltx/some.safetensors", "path": str(path), "size": 200}
    assert model["reason"]["code"] == "spelled_differently" and "relink_models" in model["reason"]["message"]
    assert (plan["verdict"], plan["totals"]["spelled_differently"], plan["totals"]["download"]) == ("ready", 1, 0)
    run = await service.downloads.begin(workflow, {})
    await service.ended(run)
    assert [(item.to_dict()["status"], item.to_dict()["path"]) for item in run.items] == [("success", str(path))]
