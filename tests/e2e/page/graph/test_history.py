"""Undo and redo after a load: writes are undone, and no step without a change is counted."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import Json, empty_to_save, nested, node, ui
from ..conftest import Send

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


async def saved(send: Send) -> Json:
    """The open workflow as the page saves it, without its view and layout.

    1.32 marks what it loads from the UI format with the way it is drawn, and not what it loads from the API format.
    """
    workflow: Json = (await send("get_workflow"))["workflow"]["workflow"]
    looks = ("ds", "workflowRendererVersion")
    return {**workflow, "extra": {key: value for key, value in workflow["extra"].items() if key not in looks}}


@pytest.mark.parametrize("case", CASES)
async def test_right_after_a_load_there_is_nothing_to_undo_or_redo(send: Send, case: str) -> None:
    await send("load_workflow", workflow=CASES[case][0])
    before = await saved(send)
    assert [await send(way) for way in ("undo", "redo", "undo")] == [{"done": 0}] * 3
    assert await saved(send) == before
    [shown] = [item for item in (await send("list_tabs"))["tabs"] if item["active"]]
    assert not shown["modified"]


@pytest.mark.parametrize("case", CASES)
async def test_undo_after_a_load_and_a_write_takes_back_that_write_and_no_more(send: Send, case: str) -> None:
    workflow, path = CASES[case]
    await send("load_workflow", workflow=workflow)
    before, value = await saved(send), (await send("get_fields", fields=[path]))[path]
    await send("set_fields", fields=[[path, 320]])
    after = await saved(send)
    for _ in range(2):
        assert await send("undo") == {"done": 1}
        assert (await send("get_fields", fields=[path]))[path] == value
        assert await send("undo") == {"done": 0}
        assert await saved(send) == before
        assert await send("redo") == {"done": 1}
        assert await send("redo") == {"done": 0}
        assert await saved(send) == after


@pytest.mark.parametrize("case", CASES)
async def test_several_steps_are_counted_as_what_they_changed(send: Send, case: str) -> None:
    workflow, path = CASES[case]
    await send("load_workflow", workflow=workflow)
    before = await saved(send)
    for value in (96, 128, 160):
        await send("set_fields", fields=[[path, value]])
    assert await send("undo", steps=2) == {"done": 2}
    assert (await send("get_fields", fields=[path]))[path] == 96
    assert await send("undo", steps=5) == {"done": 1}
    assert await saved(send) == before
    assert await send("redo", steps=5) == {"done": 3}
    assert (await send("get_fields", fields=[path]))[path] == 160


@pytest.mark.parametrize("case", CASES)
async def test_what_the_page_adds_to_a_workflow_that_the_person_opened_is_no_step(
    send: Send, tab: Tab, case: str
) -> None:
    workflow, path = CASES[case]
    await tab.page.evaluate(BY_HAND, workflow)
    value = (await send("get_fields", fields=[path]))[path]
    assert await send("undo") == {"done": 0}
    await send("set_fields", fields=[[path, 320]])
    assert await send("undo") == {"done": 1}
    assert (await send("get_fields", fields=[path]))[path] == value
    assert await send("undo") == {"done": 0}


async def test_a_promoted_value_that_is_handed_down_later_is_no_step(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=nested())
    value = (await send("get_fields", fields=["Outer.width"]))["Outer.width"]
    await send("set_fields", fields=[["Outer.width", 320]])
    await tab.page.evaluate(CLICK)
    assert await send("undo") == {"done": 1}
    assert (await send("get_fields", fields=["Outer.width"]))["Outer.width"] == value
    assert (await send("get_workflow_api"))["output"]["5:4:1"]["inputs"]["width"] == value


async def test_a_persons_edit_is_undone_before_a_programs(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save(width=64))
    await send("set_fields", fields=[["EmptyImage.width", 128]])
    await tab.page.evaluate(RENAME)
    seen: list[Any] = []
    for _ in range(3):
        seen.append(((await send("undo"))["done"], (await send("get_fields", fields=["width"]))["width"]))
    assert seen == [(1, 128), (1, 64), (0, 64)]


async def test_a_promoted_value_outlives_a_change_of_tabs(send: Send) -> None:
    await send("load_workflow", workflow=nested(), name="promoted")
    await send("set_fields", fields=[["Outer.width", 320]])
    await send("new_tab")
    await send("switch_tab", tab="promoted")
    assert await send("get_fields", fields=["Outer.width"]) == {"Outer.width": 320}
    assert (await send("get_workflow_api"))["output"]["5:4:1"]["inputs"]["width"] == 320


async def late(send: Send, tab: Tab) -> None:
    """Wait until the node named N has added its widgets."""
    await tab.page.wait_for_function(
        "app.rootGraph.nodes.find(node => node.title === 'N')?.widgets.some(({ name }) => name === 'note')"
    )


async def test_what_a_node_adds_a_moment_after_it_is_made_is_part_of_making_it(send: Send, tab: Tab) -> None:
    await send("add_node", type="LabLate", title="N")
    await late(send, tab)
    await send("set_fields", fields=[["N.mode", False]])
    for _ in range(2):
        assert await send("undo") == {"done": 1}
        assert await send("get_fields", fields=["N.mode"]) == {"N.mode": True}
        await late(send, tab)
        assert await send("undo") == {"done": 1}
        assert (await send("query_fields"))["nodes"] == []
        assert await send("undo") == {"done": 0}
        assert await send("redo") == {"done": 1}
        await late(send, tab)
        assert await send("redo") == {"done": 1}
        assert await send("get_fields", fields=["N.mode"]) == {"N.mode": False}
        await late(send, tab)
        assert await send("redo") == {"done": 0}
    assert await send("undo", steps=5) == {"done": 2}


async def test_undo_takes_nothing_for_a_step_that_the_page_noted_of_a_node_itself(send: Send, tab: Tab) -> None:
    await send("add_node", type="LabLate", title="N")
    # A click before the node is done and one after: the page captures the changes at both.
    await tab.page.evaluate("() => window.dispatchEvent(new PointerEvent('pointerdown'))")
    await late(send, tab)
    await tab.page.evaluate(CLICK)
    assert await send("undo") == {"done": 1}
    assert (await send("query_fields"))["nodes"] == []
    assert await send("undo") == {"done": 0}


async def test_what_a_graph_does_to_itself_after_a_load_is_no_step(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "LabLate", "N", [True])]))
    await late(send, tab)
    assert await send("undo") == {"done": 0}
    await send("set_fields", fields=[["N.mode", False]])
    assert await send("undo") == {"done": 1}
    assert await send("undo") == {"done": 0}
    [shown] = [item for item in (await send("list_tabs"))["tabs"] if item["active"]]
    assert not shown["modified"]
