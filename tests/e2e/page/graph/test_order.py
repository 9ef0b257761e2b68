"""Writes of one call in order, and widgets as packs create them, in the real page with the tests' pack."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import node, ui
from ..conftest import Send

UNDO = "() => app.extensionManager.command.execute('Comfy.Undo')"
UNDO_STEPS = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length"
SEED = 593927061734313


async def exported(send: Send) -> dict[str, Any]:
    """The inputs of node 1 in a run."""
    inputs: dict[str, Any] = (await send("get_workflow_api"))["output"]["1"]["inputs"]
    return inputs


async def load(send: Send, tab: Tab, kind: str) -> None:
    """Open a workflow of one node of the tests' pack, `R`, and an EmptyImage, `Picture`."""
    await send("load_workflow", workflow=ui([node(1, kind, "R"), node(2, "EmptyImage", "Picture", [64, 64, 1, 0])]))
    await tab.drawn()


async def test_a_field_that_an_earlier_write_makes_is_what_runs_and_one_undo_step(send: Send, tab: Tab) -> None:
    await load(send, tab, "LabRebuilt")
    steps = await tab.page.evaluate(UNDO_STEPS)
    fields: list[list[Any]] = [["R.format", "h265"], ["R.crf", 30], ["R.preset", "fast"]]
    answer = await send("set_fields", fields=fields)
    assert [[path, answer[path]["value"], answer[path]["warnings"]] for path, _ in fields] == [
        [path, value, []] for path, value in fields
    ]
    assert (await exported(send)).items() >= {"format": "h265", "crf": 30, "preset": "fast"}.items()
    assert await tab.page.evaluate(UNDO_STEPS) == steps + 1
    await tab.page.evaluate(UNDO)
    assert await send("get_fields", fields=["R.format", "R.crf"]) == {"R.format": "h264", "R.crf": 19}


async def test_fields_of_a_new_node_and_of_a_batch_are_written_in_order(send: Send) -> None:
    made = await send("add_node", type="LabRebuilt", title="V", fields=[["format", "gif"], ["loop", False]])
    assert made["set"]["loop"] == {"requested": False, "value": False, "warnings": []}
    parts = [[["V.format", "h264"], ["V.crf", 7]], [["V.format", "h265"], ["V.crf", 8]]]
    done = await send("batch", commands=[{"command": "set_fields", "data": {"fields": fields}} for fields in parts])
    assert [part["V.crf"]["value"] for part in done["results"]] == [7, 8]
    assert await send("get_fields", fields=["V.crf", "V.preset"]) == {"V.crf": 8, "V.preset": "slow"}


async def test_a_value_is_checked_against_the_type_that_an_earlier_write_has_made(
    send: Send, refused: Send, tab: Tab
) -> None:
    await load(send, tab, "LabRetyped")
    assert (await refused("set_fields", fields=[["R.type", "INT"], ["R.value", "abc"]]))["code"] == "invalid"
    assert (await send("get_fields", fields=["R.type", "R.value"])) == {"R.type": "STRING", "R.value": ""}
    assert (await send("set_fields", fields=[["R.type", "INT"], ["R.value", 5]]))["R.value"]["value"] == 5
    assert (await exported(send))["value"] == 5


async def test_a_dynamic_combo_and_what_it_brings_are_set_in_one_call(send: Send, refused: Send, tab: Tab) -> None:
    await load(send, tab, "LabDynamicCombo")
    listed = next(item for item in (await send("query_fields"))["nodes"] if item["id"] == "1")
    if all(widget["name"] != "resize_type.width" for widget in listed["widgets"]):
        pytest.skip("this frontend has no dynamic combos")
    for choice, name, value in (("scale width", "width", 777), ("scale by multiplier", "multiplier", 2.5)):
        answer = await send("set_fields", fields=[["R.resize_type", choice], [f"R.resize_type.{name}", value]])
        assert answer[f"R.resize_type.{name}"] == {"requested": value, "value": value, "warnings": []}
        assert (await exported(send))[f"resize_type.{name}"] == value
    before = (await send("get_workflow"))["workflow"]
    fields = [["R.resize_type", "scale width"], ["R.resize_type.width", 5], ["R.resize_type.multiplier", 1]]
    error = await refused("set_fields", fields=fields)
    assert error["code"] == "unknown_path" and "no longer exists once" in error["error"]
    assert (await send("get_workflow"))["workflow"] == before


@pytest.mark.parametrize(
    "last", [["Picture.width", "x"], ["R.crf", 7], ["Nothing", 1]], ids=["type", "gone", "unknown"]
)
async def test_rebuilt_widgets_are_put_back_when_a_later_write_fails(
    send: Send, refused: Send, tab: Tab, last: list[Any]
) -> None:
    await load(send, tab, "LabRebuilt")
    await send("set_fields", fields=[["R.crf", 25]])
    before = (await send("get_workflow"))["workflow"]
    steps = await tab.page.evaluate(UNDO_STEPS)
    await refused("set_fields", fields=[["Picture.width", 128], ["R.format", "gif"], ["R.loop", False], last])
    assert (await send("get_workflow"))["workflow"] == before
    assert await tab.page.evaluate(UNDO_STEPS) == steps


async def test_rows_of_a_pack_are_added_merged_checked_and_undone(send: Send, refused: Send, tab: Tab) -> None:
    row = {"on": True, "lora": "a.safetensors", "strength": 0.5, "strengthTwo": None}
    made = await send(
        "add_node", type="LabRows", title="R", fields=[["lora_1", {"lora": "a.safetensors", "strength": 0.5}]]
    )
    assert made["set"]["lora_1"]["value"] == row
    assert [widget["name"] for widget in made["node"]["widgets"]] == ["lora_1"]
    steps = await tab.page.evaluate(UNDO_STEPS)
    answer = await send("set_fields", fields=[["R.lora_1", {"on": False}], ["R.lora_2", {"lora": "b"}]])
    assert answer["R.lora_1"]["value"] == {**row, "on": False}
    ours = (await send("get_workflow_api"))["output"][made["node"]["id"]]["inputs"]
    assert ours["lora_1"] == {"on": False, "lora": "a.safetensors", "strength": 0.5}
    assert ours["lora_2"]["lora"] == "b"
    assert await tab.page.evaluate(UNDO_STEPS) == steps + 1
    for path, value in {"R.lora_1": "x", "R.lora_2": [1], "R.divider": {}, "R.LabHeader": {"on": True}}.items():
        assert (await refused("set_fields", fields=[[path, value]]))["code"] == "invalid"
    await tab.page.evaluate(UNDO)
    assert await send("get_fields", fields=["R.lora_1"]) == {"R.lora_1": row}
    assert (await refused("get_fields", fields=["R.lora_2"]))["code"] == "unknown_path"


async def test_combos_that_a_pack_hides_take_only_their_choices(send: Send, refused: Send, tab: Tab) -> None:
    await load(send, tab, "LabHiddenCombos")
    for fields in ([["R.name_3", "nope"]], [["R.count", 2], ["R.name_2", "nope"]]):
        error = await refused("set_fields", fields=fields)
        assert error["code"] == "invalid" and "does not offer" in error["error"]
    assert (await send("set_fields", fields=[["R.name_3", "two.safetensors"]]))["R.name_3"]["warnings"] == []


async def test_a_number_of_a_node_that_is_not_installed_is_never_changed(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=ui([node(9, "NotInstalledNode", values=[SEED, -1, 0.25, "text"])]))
    error = await refused("set_fields", fields=[["#9.UNKNOWN", SEED + 1]])
    assert error["code"] == "unknown_node_type" and "NotInstalledNode" in error["error"]
    [saved] = (await send("get_workflow"))["workflow"]["workflow"]["nodes"]
    assert saved["widgets_values"] == [SEED, -1, 0.25, "text"]
