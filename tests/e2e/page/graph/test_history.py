"""Undo and redo after a load: writes are undone, and no step without a change is counted."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import Json, empty_to_save, nested, node, ui
from ..conftest import Ask

CASES: dict[str, tuple[Json, str]] = {
    "API format": (empty_to_save(), "EmptyImage.width"),
    "UI format": (ui([node(1, "EmptyImage", "Picture", [64, 64, 1, 0])]), "Picture.width"),
    "subgraphs": (nested(), "Outer.width"),
}
# A person is slower than the 50 ms within which 1.58 adds changes to the previous step.
RENAME = """async () => {
    await new Promise(resume => setTimeout(resume, 250))
    app.rootGraph.nodes.find(node => node.type === 'EmptyImage').title = 'Mine'
}"""
# After a click the page captures changes.
CLICK = """async () => {
    await new Promise(resume => setTimeout(resume, 250))
    window.dispatchEvent(new MouseEvent('mouseup'))
}"""
# Like a person who drops a file on the page and then clicks somewhere.
BY_HAND = """async workflow => {
    await (workflow.nodes ? app.loadGraphData(workflow) : app.loadApiJson(workflow, 'dropped'))
    await new Promise(resume => requestAnimationFrame(() => requestAnimationFrame(resume)))
    window.dispatchEvent(new MouseEvent('mouseup'))
}"""


async def saved(tell: Ask) -> Json:
    """The open workflow as the page saves it, without its view and layout.

    1.32 marks what it loads from the UI format with the way it is drawn, and not what it loads from the API format.
    """
    workflow: Json = (await tell("get_workflow"))["workflow"]["workflow"]
    looks = ("ds", "workflowRendererVersion")
    return {**workflow, "extra": {key: value for key, value in workflow["extra"].items() if key not in looks}}


@pytest.mark.parametrize("case", CASES)
async def test_right_after_a_load_there_is_nothing_to_undo_or_redo(tell: Ask, case: str) -> None:
    await tell("load_workflow", workflow=CASES[case][0])
    before = await saved(tell)
    assert [await tell(way) for way in ("undo", "redo", "undo")] == [{"done": 0}] * 3
    assert await saved(tell) == before
    [shown] = [item for item in (await tell("list_tabs"))["tabs"] if item["active"]]
    assert not shown["modified"]


@pytest.mark.parametrize("case", CASES)
async def test_undo_after_a_load_and_a_write_takes_back_that_write_and_no_more(tell: Ask, case: str) -> None:
    workflow, path = CASES[case]
    await tell("load_workflow", workflow=workflow)
    before, value = await saved(tell), (await tell("get_fields", fields=[path]))[path]
    await tell("set_fields", fields=[[path, 320]])
    after = await saved(tell)
    for _ in range(2):
        assert await tell("undo") == {"done": 1}
        assert (await tell("get_fields", fields=[path]))[path] == value
        assert await tell("undo") == {"done": 0}
        assert await saved(tell) == before
        assert await tell("redo") == {"done": 1}
        assert await tell("redo") == {"done": 0}
        assert await saved(tell) == after


@pytest.mark.parametrize("case", CASES)
async def test_several_steps_are_counted_as_what_they_changed(tell: Ask, case: str) -> None:
    workflow, path = CASES[case]
    await tell("load_workflow", workflow=workflow)
    before = await saved(tell)
    for value in (96, 128, 160):
        await tell("set_fields", fields=[[path, value]])
    assert await tell("undo", steps=2) == {"done": 2}
    assert (await tell("get_fields", fields=[path]))[path] == 96
    assert await tell("undo", steps=5) == {"done": 1}
    assert await saved(tell) == before
    assert await tell("redo", steps=5) == {"done": 3}
    assert (await tell("get_fields", fields=[path]))[path] == 160


@pytest.mark.parametrize("case", CASES)
async def test_what_the_page_adds_to_a_workflow_that_the_person_opened_is_no_step(
    tell: Ask, tab: Tab, case: str
) -> None:
    workflow, path = CASES[case]
    await tab.page.evaluate(BY_HAND, workflow)
    value = (await tell("get_fields", fields=[path]))[path]
    assert await tell("undo") == {"done": 0}
    await tell("set_fields", fields=[[path, 320]])
    assert await tell("undo") == {"done": 1}
    assert (await tell("get_fields", fields=[path]))[path] == value
    assert await tell("undo") == {"done": 0}


async def test_a_promoted_value_that_is_handed_down_later_is_no_step(tell: Ask, tab: Tab) -> None:
    await tell("load_workflow", workflow=nested())
    value = (await tell("get_fields", fields=["Outer.width"]))["Outer.width"]
    await tell("set_fields", fields=[["Outer.width", 320]])
    await tab.page.evaluate(CLICK)
    assert await tell("undo") == {"done": 1}
    assert (await tell("get_fields", fields=["Outer.width"]))["Outer.width"] == value
    assert (await tell("get_workflow_api"))["output"]["5:4:1"]["inputs"]["width"] == value


async def test_a_persons_edit_is_undone_before_a_programs(tell: Ask, tab: Tab) -> None:
    await tell("load_workflow", workflow=empty_to_save(width=64))
    await tell("set_fields", fields=[["EmptyImage.width", 128]])
    await tab.page.evaluate(RENAME)
    seen: list[Any] = []
    for _ in range(3):
        seen.append(((await tell("undo"))["done"], (await tell("get_fields", fields=["width"]))["width"]))
    assert seen == [(1, 128), (1, 64), (0, 64)]


async def test_a_promoted_value_outlives_a_change_of_tabs(tell: Ask) -> None:
    await tell("load_workflow", workflow=nested(), name="promoted")
    await tell("set_fields", fields=[["Outer.width", 320]])
    await tell("new_tab")
    await tell("switch_tab", tab="promoted")
    assert await tell("get_fields", fields=["Outer.width"]) == {"Outer.width": 320}
    assert (await tell("get_workflow_api"))["output"]["5:4:1"]["inputs"]["width"] == 320


async def late(tell: Ask, tab: Tab) -> None:
    """Wait until the node named N has added its widgets."""
    await tab.page.wait_for_function(
        "app.rootGraph.nodes.find(node => node.title === 'N')?.widgets.some(({ name }) => name === 'note')"
    )


async def test_what_a_node_adds_a_moment_after_it_is_made_is_part_of_making_it(tell: Ask, tab: Tab) -> None:
    await tell("add_node", type="LabLate", title="N")
    await late(tell, tab)
    await tell("set_fields", fields=[["N.mode", False]])
    for _ in range(2):
        assert await tell("undo") == {"done": 1}
        assert await tell("get_fields", fields=["N.mode"]) == {"N.mode": True}
        await late(tell, tab)
        assert await tell("undo") == {"done": 1}
        assert (await tell("query_fields"))["nodes"] == []
        assert await tell("undo") == {"done": 0}
        assert await tell("redo") == {"done": 1}
        await late(tell, tab)
        assert await tell("redo") == {"done": 1}
        assert await tell("get_fields", fields=["N.mode"]) == {"N.mode": False}
        await late(tell, tab)
        assert await tell("redo") == {"done": 0}
    assert await tell("undo", steps=5) == {"done": 2}


async def test_undo_takes_nothing_for_a_step_that_the_page_noted_of_a_node_itself(tell: Ask, tab: Tab) -> None:
    await tell("add_node", type="LabLate", title="N")
    # A click before the node is done and one after: the page captures the changes at both.
    await tab.page.evaluate("() => window.dispatchEvent(new PointerEvent('pointerdown'))")
    await late(tell, tab)
    await tab.page.evaluate(CLICK)
    assert await tell("undo") == {"done": 1}
    assert (await tell("query_fields"))["nodes"] == []
    assert await tell("undo") == {"done": 0}


async def test_what_a_graph_does_to_itself_after_a_load_is_no_step(tell: Ask, tab: Tab) -> None:
    await tell("load_workflow", workflow=ui([node(1, "LabLate", "N", [True])]))
    await late(tell, tab)
    assert await tell("undo") == {"done": 0}
    await tell("set_fields", fields=[["N.mode", False]])
    assert await tell("undo") == {"done": 1}
    assert await tell("undo") == {"done": 0}
    [shown] = [item for item in (await tell("list_tabs"))["tabs"] if item["active"]]
    assert not shown["modified"]
