"""Runs as by the Run button: prompt ids, errors of nodes, and no confusion of runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import empty_to_save, nested, node, ui
from ..conftest import Send

DIALOGS = "() => app.extensionManager._p._s.get('dialog').dialogStack.map(dialog => dialog.key)"
# ComfyUI's answers to all runs that begin from now on.
RECORD = """() => {
    const first = !window.submitted
    window.submitted = []
    if (!first) return
    const {queuePrompt} = app.api
    app.api.queuePrompt = async function (...args) {
        const {submitted} = window
        const answer = await queuePrompt.apply(this, args)
        submitted.push([answer.prompt_id, args[1].output['1']?.inputs.width])
        return answer
    }
}"""


async def test_a_run_answers_with_its_id_and_number(send: Send) -> None:
    await send("load_workflow", workflow=empty_to_save())
    first, second = await send("execute"), await send("execute")
    assert first["prompt_id"] != second["prompt_id"]
    assert first["number"] < second["number"]
    assert first["node_errors"] == {}
    assert "prompt_ids" not in first


async def test_a_batch_answers_with_every_id(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    answer = await send("execute", batch_count=3)
    assert answer["prompt_ids"][0] == answer["prompt_id"]
    # The server answers before the page has had its turn.
    await tab.page.wait_for_function("submitted.length === 3")
    assert answer["prompt_ids"] == [ident for ident, _ in await tab.page.evaluate("submitted")]
    assert len(set(answer["prompt_ids"])) == 3


async def test_runs_at_once_each_get_their_own_id(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    answers = await asyncio.gather(*(send("execute") for _ in range(5)))
    assert len({answer["prompt_id"] for answer in answers}) == 5
    # The server answers before the page has had its turn.
    await tab.page.wait_for_function("submitted.length === 5")
    assert {answer["prompt_id"] for answer in answers} == {ident for ident, _ in await tab.page.evaluate("submitted")}


async def test_runs_of_the_person_are_not_mistaken_for_runs_of_programs(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    await tab.page.evaluate("() => { for (let times = 0; times < 4; times++) app.queuePrompt(0, 1) }")
    answers = await asyncio.gather(*(send("execute") for _ in range(3)))
    await tab.page.wait_for_function("submitted.length === 7")
    assert len({answer["prompt_id"] for answer in answers}) == 3


async def test_fields_that_go_with_a_run_are_in_that_run(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    widths = list(range(10, 18))

    async def run(width: int) -> tuple[str, int]:
        answer = await send("run", fields=[["EmptyImage.width", width]], wait=False)
        assert answer["set"]["EmptyImage.width"]["value"] == width
        return answer["prompt_id"], width

    async def disturb(width: int) -> None:
        await send("set_fields", fields=[["EmptyImage.width", width]])

    runs, _ = await asyncio.gather(
        asyncio.gather(*(run(width) for width in widths)),
        asyncio.gather(*(disturb(width) for width in range(200, 210))),
    )
    await tab.page.wait_for_function("submitted.length === 8")
    used = dict(await tab.page.evaluate("submitted"))
    assert {ident: used[ident] for ident, _ in runs} == dict(runs)


async def test_a_seed_that_goes_with_a_run_is_not_replaced_by_the_run_before(send: Send) -> None:
    workflow = ui([node(1, "EmptyImage"), node(2, "SaveImage"), node(3, "PrimitiveInt", "Seed", [0, "randomize"])])
    await send("load_workflow", workflow=workflow)
    await send("set_connection", field=["EmptyImage", "SaveImage"])
    await send("set_connection", field=["Seed", "EmptyImage.color"])
    answers = await asyncio.gather(*(send("run", fields=[["Seed", seed]]) for seed in (11, 22, 33)))
    assert [answer["set"]["Seed"]["value"] for answer in answers] == [11, 22, 33]
    assert all(answer["status"] == "success" for answer in answers)


async def test_a_refused_run_names_the_node_and_leaves_no_dialog(send: Send, refused: Send, tab: Tab) -> None:
    workflow = ui(
        [node(1, "CheckpointLoaderSimple", "My loader", ["missing.safetensors"]), node(2, "SaveImage", "Save")]
    )
    await send("load_workflow", workflow=workflow)
    error = await refused("execute")
    assert error["code"] == "execution_failed"
    assert set(error["details"]["node_errors"]) == {"2"}
    assert "#2" in error["error"] and "Save" in error["error"] and "images" in error["error"]
    assert await tab.page.evaluate(DIALOGS) == []
    assert (await refused("execute"))["code"] == "execution_failed"


async def test_a_refused_run_leaves_the_pages_red_marks(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage"), node(2, "SaveImage", "Save")]))
    await refused("execute")
    marked = "() => Object.keys(app.extensionManager.lastNodeErrors ?? app.lastNodeErrors ?? {}).join() === '2'"
    await tab.page.wait_for_function(marked)


async def test_a_workflow_without_outputs_is_refused_in_words(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage")]))
    error = await refused("execute")
    assert error["code"] == "execution_failed"
    assert "no outputs" in error["error"]


async def test_nothing_is_queued_when_its_fields_cannot_be_set(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    error = await refused("run", fields=[["EmptyImage.width", "wide"]])
    assert error["code"] == "invalid"
    assert await tab.page.evaluate("submitted") == []
    await send("execute")


@pytest.mark.parametrize("fields", [None, [["EmptyImage.width", 128]]], ids=["plain", "with fields"])
async def test_a_run_is_not_queued_when_another_tab_is_opened_during_the_export(
    send: Send, refused: Send, tab: Tab, fields: Any
) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate(RECORD)
    await tab.page.evaluate("""() => {
        const {graphToPrompt} = app
        app.graphToPrompt = async function (...args) {
            // An export in the background is none of the run's.
            if (!app.processingQueue) return graphToPrompt.apply(this, args)
            app.graphToPrompt = graphToPrompt
            const exported = await graphToPrompt.apply(this, args)
            await app.extensionManager.command.execute('Comfy.NewBlankWorkflow')
            return exported
        }
    }""")
    error = await refused("run", wait=False, **({"fields": fields} if fields else {}))
    assert error["code"] == "tab_changed"
    assert await tab.page.evaluate("submitted") == []
    assert await tab.page.evaluate(DIALOGS) == []
    await send("load_workflow", workflow=empty_to_save())
    assert (await send("execute"))["node_errors"] == {}


async def test_a_tab_clicked_during_a_run_gets_nothing_of_the_other_ones_graph(
    send: Send, refused: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=nested())
    await tab.page.evaluate("() => { window.other = app.extensionManager.workflow.activeWorkflow }")
    await send("load_workflow", workflow=empty_to_save(width=64))
    [mine] = [item["id"] for item in (await send("list_tabs"))["tabs"] if item["active"]]
    await tab.page.evaluate("""() => {
        const {graphToPrompt} = app
        app.graphToPrompt = async function (...args) {
            // An export in the background is none of the run's.
            if (!app.processingQueue) return graphToPrompt.apply(this, args)
            app.graphToPrompt = graphToPrompt
            const exported = await graphToPrompt.apply(this, args)
            await app.loadGraphData(other.activeState, true, true, other)
            return exported
        }
    }""")
    error = await refused("run", fields=[["EmptyImage.width", 96]], wait=False)
    assert error["code"] == "tab_changed"
    await send("switch_tab", tab=mine)
    assert await send("get_fields", fields=["EmptyImage.width"]) == {"EmptyImage.width": 96}
    await send("undo")
    assert await send("get_fields", fields=["EmptyImage.width"]) == {"EmptyImage.width": 64}


async def test_the_fields_of_a_run_are_a_step_of_their_own_whatever_the_page_saves_while_a_pack_prepares_it(
    send: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=empty_to_save(width=64))
    await send("set_fields", fields=[["EmptyImage.width", 80]])
    # 1.49 and later save the graph again after each step.
    await tab.page.evaluate("""() => {
        const {graphToPrompt} = app
        app.graphToPrompt = async function (...args) {
            if (!app.processingQueue) return graphToPrompt.apply(this, args)
            app.graphToPrompt = graphToPrompt
            app.extensionManager.workflow.activeWorkflow.changeTracker.squashState?.()
            await new Promise(resume => setTimeout(resume, 60))
            return graphToPrompt.apply(this, args)
        }
    }""")
    await send("run", fields=[["EmptyImage.width", 96]], wait=False)
    for width in (80, 64):
        await send("undo")
        assert await send("get_fields", fields=["EmptyImage.width"]) == {"EmptyImage.width": width}


async def test_a_failing_export_is_reported_and_the_next_run_works(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate("""() => {
        const {graphToPrompt} = app
        app.graphToPrompt = async function (...args) {
            if (!app.processingQueue) return graphToPrompt.apply(this, args)
            app.graphToPrompt = graphToPrompt
            throw new Error('no such luck')
        }
    }""")
    error = await refused("execute")
    assert error["code"] == "tab_failed"
    assert "no such luck" in error["error"]
    await send("execute")


async def test_an_error_inside_a_subgraph_names_the_inner_node(send: Send, refused: Send) -> None:
    workflow = nested()
    workflow["definitions"]["subgraphs"][1]["links"] = [
        link for link in workflow["definitions"]["subgraphs"][1]["links"] if link["id"] != 3
    ]
    workflow["definitions"]["subgraphs"][1]["nodes"][1]["inputs"][0]["link"] = None
    await send("load_workflow", workflow=workflow)
    error = await refused("execute")
    assert set(error["details"]["node_errors"]) == {"5:2"}
    assert "#5:2" in error["error"] and "Scale" in error["error"]
