"""Sweeps: prompts as of a press of Run, a graph that stays as it is, and results of every variation."""

from __future__ import annotations

from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import node, ui
from ..conftest import Send

# The graph as the page saves it, without the view; the undo history, and the mark of a change.
STATE = """() => {
    const {activeWorkflow} = app.extensionManager.workflow
    const {extra, ...graph} = app.rootGraph.serialize()
    const {changeTracker: {undoQueue, redoQueue, changeCount}, isModified} = activeWorkflow
    return JSON.stringify([graph, undoQueue.length, redoQueue.length, changeCount, isModified])
}"""


async def test_a_sweep_runs_every_combination_and_leaves_the_graph_as_it_was(
    send: Send, attempt: Send, tab: Tab
) -> None:
    image = [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]
    workflow = ui(
        [
            node(1, "EmptyImage", "Canvas", [16, 16, 1, 0], outputs=image),
            node(2, "LabSilent", "Out", inputs=[{"name": "image", "type": "IMAGE", "link": 1}]),
        ],
        [[1, 1, 0, 2, 0, "IMAGE"]],
    )
    await tab.load_workflow(workflow)
    before = await tab.page.evaluate(STATE)
    revision = (await attempt("query_fields"))["revision"]
    swept = await send("sweep", grid={"Canvas.width": [16, 32], "Canvas.height": [8, 24]})
    assert swept["status"] == "finished"
    values = [[field["value"] for field in result["fields"]] for result in swept["results"]]
    assert values == [[16, 8], [16, 24], [32, 8], [32, 24]]
    assert [result["status"] for result in swept["results"]] == ["success"] * 4
    assert await tab.page.evaluate(STATE) == before
    assert (await attempt("query_fields"))["revision"] == revision
