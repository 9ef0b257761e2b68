"""Exports equal what a run submits, including additions by packs, and leave no trace."""

from __future__ import annotations

import asyncio

from comfyui_uiapi.tests.harness.browser.sweep import sample, templates, workflow_of
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import everywhere, node, seeded, seeded_inside, ui
from ..conftest import Send

# A run as by the Run button, up to the submission, which is not sent to ComfyUI.
WOULD_SUBMIT = """async () => {
    let sent
    const {fetchApi} = app.api
    app.api.fetchApi = function (route, options) {
        if (route !== '/prompt') return fetchApi.call(this, route, options)
        sent = JSON.parse(options.body).prompt
        return Promise.resolve(new Response('{"error": {"type": "test", "message": "", "details": ""}}', {status: 400}))
    }
    try { await app.queuePrompt(0, 1) } finally { app.api.fetchApi = fetchApi }
    const {dialogStack, closeDialog} = app.extensionManager._p._s.get('dialog')
    for (const {key} of [...dialogStack]) closeDialog({key})
    return sent
}"""
# The state that an export must not change.
TRACES = """() => {
    const {activeWorkflow} = app.extensionManager.workflow
    return JSON.stringify([
        app.rootGraph.serialize(), activeWorkflow.isModified, activeWorkflow.changeTracker.undoQueue.length,
        app.extensionManager.lastNodeErrors ?? app.lastNodeErrors, app.queueItems.length, app.processingQueue,
        document.querySelectorAll('.p-toast-message:not([data-earlier])').length,
    ])
}"""
# Toasts of earlier tests go away by themselves, so that only those that are new may be counted.
EVENTS = """() => {
    for (const toast of document.querySelectorAll('.p-toast-message')) toast.dataset.earlier = ''
    window.events = []
    for (const event of ['promptQueueing', 'promptQueued']) app.api.addEventListener(event, () => events.push(event))
}"""


async def test_links_that_a_pack_adds_to_a_run_are_in_every_export(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=everywhere())
    output = (await send("get_workflow_api"))["output"]
    assert output["3"]["inputs"] == {"image": ["1", 0]}
    whole = (await send("get_workflow"))["workflow"]
    assert whole["output"] == output
    assert [link[:5] for link in whole["workflow"]["links"]] == [[1, 1, 0, 2, 0], [2, 3, 0, 4, 0]]
    assert (await send("validate"))["valid"]
    assert await tab.page.evaluate(WOULD_SUBMIT) == output


async def test_an_export_leaves_no_trace_in_the_page_and_queues_nothing(send: Send, attempt: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=everywhere())
    # A change that can be undone, and an output with red marks next to one that runs.
    await send("add_node", type="LabShowText")
    assert (await send("run"))["node_errors"] != {}
    # ComfyUI may finish a run before the page does.
    await tab.page.wait_for_function("!app.processingQueue")
    await tab.drawn()
    await tab.page.evaluate(EVENTS)
    before = await tab.page.evaluate(TRACES)
    revision = (await attempt("query_fields"))["revision"]
    queued = await asyncio.to_thread(tab.comfy.get, "/queue")
    for command in ("get_workflow", "get_workflow_api", "validate"):
        await send(command)
    assert await tab.page.evaluate(TRACES) == before
    assert (await attempt("query_fields"))["revision"] == revision
    assert await asyncio.to_thread(tab.comfy.get, "/queue") == queued
    assert await tab.page.evaluate("events") == []


async def test_an_export_is_what_a_run_right_after_it_submits(send: Send, tab: Tab) -> None:
    packs = ["LabRebuilt", "LabRetyped", "LabHiddenCombos", "LabRows", "LabSeed", "LabSlow", "LabText", "LabShowText"]
    workflows = [ui([node(ident, kind) for ident, kind in enumerate(packs, 1)])]
    workflows += [seeded("randomize"), seeded_inside("randomize")]
    known: set[str] = set(await asyncio.to_thread(tab.comfy.get, "/object_info"))
    workflows += [workflow_of(path) for path in sample(templates(known), 6)]
    different = []
    for number, workflow in enumerate(workflows):
        await send("load_workflow", workflow=workflow)
        output = (await send("get_workflow_api"))["output"]
        if await tab.page.evaluate(WOULD_SUBMIT) != output:
            different.append(number)
        await tab.clear()
    assert different == []
