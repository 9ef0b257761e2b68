"""Revisions change with every change of the graph, and protect later changes by anyone from writes."""

from __future__ import annotations

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE

from ....harness.browser.graphs import Json, node, ui
from ....harness.browser.scripts import TITLE_AT
from ..conftest import Send


def small() -> Json:
    return ui([node(1, "EmptyImage", "Picture", [64, 64, 1, 0]), node(2, "CLIPTextEncode", "Prompt", ["a cat"])])


async def revision(attempt: Send) -> str:
    answer: str = (await attempt("get_fields", fields=[]))["revision"]
    return answer


async def test_a_revision_stays_while_nothing_changes_and_changes_with_every_write(
    attempt: Send, send: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=small())
    await tab.drawn()
    first = await revision(attempt)
    assert await revision(attempt) == first
    assert (await attempt("query_fields"))["revision"] == first
    seen = {first}
    for command, data in (
        ("set_fields", {"fields": [["Picture.width", 96]]}),
        ("set_node", {"node": "Picture", "title": "Other"}),
        ("set_node", {"node": "Other", "pos": [3, 4]}),
        ("set_node", {"node": "Other", "mode": "muted"}),
        ("add_node", {"type": "EmptyImage"}),
        ("add_group", {"title": "Frame", "nodes": ["Other"]}),
    ):
        made = await attempt(command, **data)
        assert made["status"] == "ok", made
        assert made["revision"] not in seen
        assert await revision(attempt) == made["revision"]
        seen.add(made["revision"])


async def test_a_write_that_meets_its_revision_is_made(attempt: Send, send: Send) -> None:
    await send("load_workflow", workflow=small())
    made = await attempt("set_fields", fields=[["Picture.width", 8]], if_revision=await revision(attempt))
    assert made["status"] == "ok"
    again = await attempt("set_fields", fields=[["Picture.width", 9]], if_revision=made["revision"])
    assert again["status"] == "ok"


async def test_another_programs_write_in_between_is_named(attempt: Send, send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=small())
    read = await revision(attempt)
    await send("set_fields", fields=[["Picture.height", 8]])
    error = await refused("set_fields", fields=[["Picture.width", 9]], if_revision=read)
    assert error["code"] == "revision_changed"
    assert error["details"]["changed"] == ["Picture.height"]
    assert error["details"]["revision"] == await revision(attempt)
    assert await send("get_fields", fields=["Picture.width"]) == {"Picture.width": 64}


async def test_a_revision_of_another_page_is_never_met(attempt: Send, send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=small())
    assert (await refused("undo", if_revision="gone-1"))["code"] == "revision_changed"


async def typed(tab: Tab) -> None:
    """One key, in a text box that keeps the focus: nothing is committed."""
    box = tab.page.locator("textarea").first
    await box.click()
    await box.press("End")


async def test_a_key_pressed_in_between_is_not_written_over(attempt: Send, send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=small())
    await tab.drawn()
    await typed(tab)
    read = await revision(attempt)
    await tab.page.keyboard.press("x")
    error = await refused("set_fields", fields=[["Prompt.text", "mine"]], if_revision=read)
    assert (error["code"], error["details"]["changed"]) == ("revision_changed", ["Prompt.text"])
    assert await send("get_fields", fields=["Prompt.text"]) == {"Prompt.text": "a catx"}


async def test_a_drag_that_is_not_over_counts(attempt: Send, send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=small())
    await tab.drawn()
    x, y = await tab.page.evaluate(TITLE_AT, "Picture")
    read = await revision(attempt)
    await tab.page.mouse.move(x, y)
    await tab.page.mouse.down()
    await tab.page.mouse.move(x + 80, y + 60, steps=5)
    error = await refused("set_node", node="Picture", pos=[0, 0], if_revision=read)
    await tab.page.mouse.up()
    assert (error["code"], error["details"]["changed"]) == ("revision_changed", ["Picture pos"])


# Pixels along the title: two quick clicks on one spot would be a double click, which edits the title.
@pytest.mark.parametrize(("key", "along"), [("Delete", 0), ("Control+m", 40), ("Control+b", 80)])
async def test_a_shortcut_in_between_is_not_written_over(
    attempt: Send, send: Send, refused: Send, tab: Tab, key: str, along: int
) -> None:
    await send("load_workflow", workflow=small())
    await tab.drawn()
    x, y = await tab.page.evaluate(TITLE_AT, "Picture")
    await tab.page.mouse.click(x + along, y)
    read = await revision(attempt)
    await tab.page.keyboard.press(key)

    async def moved_on() -> bool:
        return await revision(attempt) != read

    await until(moved_on, "the shortcut to take effect", PATIENCE)
    error = await refused("set_node", node="Picture", title="Mine", if_revision=read)
    assert error["code"] == "revision_changed"
    assert any("Picture" in changed for changed in error["details"]["changed"])


async def test_a_command_meant_for_another_workflow_tab_is_refused(attempt: Send, send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=small())
    mine = (await attempt("get_fields", fields=["Picture.width"]))["workflow_tab"]
    await send("new_tab")
    for command, data in (
        ("set_fields", {"fields": [["Picture.width", 8]]}),
        ("get_fields", {"fields": ["Picture.width"]}),
        ("undo", {}),
        ("batch", {"commands": [{"command": "add_node", "data": {"type": "EmptyImage"}}]}),
    ):
        error = await refused(command, **data, workflow_tab=mine)
        assert error["code"] == "tab_changed", command
        assert error["details"]["workflow_tab"] == mine
    await send("switch_tab", tab=mine)
    assert await send("get_fields", fields=["Picture.width"], workflow_tab=mine) == {"Picture.width": 64}
    assert (await refused("get_fields", fields=[], workflow_tab="nowhere"))["code"] == "unknown_tab"
