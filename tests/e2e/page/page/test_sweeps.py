"""Sweeps: prompts as of a press of Run, a graph that stays as it is, results of every variation, and ways to stop."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from comfyui_uiapi.tests.harness.browser.sweep import content, first_writes, sample, templates, workflow_of
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from playwright.async_api import Request

from ....harness.browser.graphs import everywhere, node, seeded, seeded_by_primitive, seeded_inside, ui
from ..conftest import Send

# Seconds.
PATIENCE = 60
# Templates whose prompts are compared; UIAPI_TEST_TEMPLATES sets another number.
TEMPLATES = int(os.environ.get("UIAPI_TEST_TEMPLATES", "8"))

# The graph as the page saves it, without the view; the undo history, the mark of a change, and the errors of a run.
STATE = """() => {
    const {activeWorkflow} = app.extensionManager.workflow
    const {extra, ...graph} = app.rootGraph.serialize()
    const {changeTracker: {undoQueue, redoQueue, changeCount}, isModified} = activeWorkflow
    const errors = app.extensionManager.lastNodeErrors ?? app.lastNodeErrors
    return JSON.stringify([graph, undoQueue.length, redoQueue.length, changeCount, isModified, errors])
}"""
# Counts how often the graph is drawn.
DRAWS = """() => {
    const {canvas} = app, {drawFrontCanvas} = canvas
    window.draws = 0
    canvas.drawFrontCanvas = function (...args) {
        draws++
        return drawFrontCanvas.apply(this, args)
    }
}"""
# Presses Run up to the submission, which is not sent, and returns it.
WOULD_SUBMIT = """async () => {
    let sent
    const {fetchApi} = app.api
    app.api.fetchApi = function (route, options) {
        if (route !== '/prompt') return fetchApi.call(this, route, options)
        sent = JSON.parse(options.body)
        return Promise.resolve(new Response('{"error": {"type": "test", "message": "", "details": ""}}', {status: 400}))
    }
    try { await app.queuePrompt(0, 1) } finally { app.api.fetchApi = fetchApi }
    const {dialogStack, closeDialog} = app.extensionManager._p._s.get('dialog')
    for (const {key} of [...dialogStack]) closeDialog({key})
    return {prompt: sent.prompt, workflow: sent.extra_data.extra_pnginfo.workflow}
}"""
# What is drawn at random is the same each time.
NO_CHANCE = "() => { window.chance ??= Math.random; Math.random = () => 0.25 }"
CHANCE = "() => { Math.random = window.chance }"
EVENTS = """() => {
    window.events = []
    for (const event of ['promptQueueing', 'promptQueued']) app.api.addEventListener(event, () => events.push(event))
}"""
# When seed controls act.
MODE = "mode => app.extensionManager.setting.set('Comfy.WidgetControlMode', mode)"
# As popular packs do, the node shows its result in a widget that is saved.
SHOWS = """() => {
    const node = app.rootGraph.getNodeById(3)
    const widget = node.addWidget('text', 'shown', '', () => {})
    node.onExecuted = ({text}) => { widget.value = text[0] }
}"""
SHOW = """shown => {
    const output = {text: [shown]}
    app.api.dispatchCustomEvent('executed', {node: '3', display_node: '3', prompt_id: 'p', output})
}"""
# Where the page asks ComfyUI for its lists of prompts.
LISTS = {"queue", "history", "jobs"}
PACK = ["LabRebuilt", "LabRetyped", "LabHiddenCombos", "LabRows", "LabSeed", "LabSlow", "LabText", "LabShowText"]


def canvas(*, slow: float | None = None) -> dict[str, Any]:
    """`Canvas` (1), through `Slow` (2) if that takes any time, to `Out` (3), which has no preview."""
    links = [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]
    nodes = [node(1, "EmptyImage", "Canvas", [16, 16, 1, 0], outputs=links)]
    last = {"name": "image", "type": "IMAGE", "link": 1}
    wires = [[1, 1, 0, 3, 0, "IMAGE"]]
    if slow is not None:
        made = [{"name": "IMAGE", "type": "IMAGE", "links": [2]}]
        taken = [{"name": "image", "type": "IMAGE", "link": 1}]
        nodes.append(node(2, "LabSlow", "Slow", [slow, 0, "fixed"], inputs=taken, outputs=made))
        last = {**last, "link": 2}
        wires = [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]
    return ui([*nodes, node(3, "LabSilent", "Out", inputs=[last])], wires)


async def test_a_sweep_runs_every_combination_and_leaves_the_graph_as_it_was(
    send: Send, attempt: Send, tab: Tab
) -> None:
    await tab.load_workflow(canvas())
    await tab.page.evaluate(EVENTS)
    before = await tab.page.evaluate(STATE)
    revision = (await attempt("query_fields"))["revision"]
    swept = await send("sweep", grid={"Canvas.width": [16, 32], "Canvas.height": [8, 24]})
    assert swept["status"] == "finished"
    values = [[field["value"] for field in result["fields"]] for result in swept["results"]]
    assert values == [[16, 8], [16, 24], [32, 8], [32, 24]]
    assert [result["status"] for result in swept["results"]] == ["success"] * 4
    assert await tab.page.evaluate(STATE) == before
    assert await tab.page.evaluate("events") == []
    assert (await attempt("query_fields"))["revision"] == revision


async def test_the_graph_is_not_drawn_for_each_export(send: Send, tab: Tab) -> None:
    await tab.load_workflow(canvas())
    # After a run the page knows that it had no errors, and redraws when that changes.
    await send("run", fields=[["Canvas.width", 8]])
    await tab.page.evaluate(DRAWS)
    await send("export_prompts", grid={"Canvas.width": [*range(16, 76)]})
    drawn = await tab.page.evaluate("() => (delete app.canvas.drawFrontCanvas, draws)")
    assert drawn < 30


async def test_the_prompts_of_a_sweep_are_those_of_runs_with_the_same_fields(send: Send, tab: Tab) -> None:
    known: set[str] = set(await asyncio.to_thread(tab.comfy.get, "/object_info"))
    workflows = [ui([node(ident, kind) for ident, kind in enumerate(PACK, 1)]), everywhere()]
    workflows += [seeded("increment"), seeded_inside("increment"), seeded_by_primitive("increment")]
    workflows += [workflow_of(path) for path in sample(templates(known), TEMPLATES)]
    different = []
    for number, workflow in enumerate(workflows):
        await send("load_workflow", workflow=workflow)
        await tab.drawn()
        await tab.page.evaluate(NO_CHANCE)
        writes = first_writes((await send("query_fields"))["nodes"], 4)
        if not writes:
            await tab.clear()
            continue
        before = await tab.page.evaluate(STATE)
        [first, last] = (await send("export_prompts", variations=[writes[:1], writes]))["prompts"]
        if await tab.page.evaluate(STATE) != before:
            different.append((number, "the graph is not as before"))
        for exported, fields in ((first, writes[:1]), (last, writes)):
            await send("set_fields", fields=fields)
            submitted = await tab.page.evaluate(WOULD_SUBMIT)
            if exported["prompt"] != submitted["prompt"]:
                different.append((number, "prompt"))
            if content({"workflow": exported["workflow"]}) != content({"workflow": submitted["workflow"]}):
                different.append((number, "workflow"))
        await tab.clear()
    await tab.page.evaluate(CHANCE)
    assert different == []


@pytest.mark.parametrize("mode", ["after", "before"])
@pytest.mark.parametrize("seed", ["own", "of a primitive node", "promoted"])
async def test_seed_controls_act_between_the_prompts_of_a_variation_only(
    send: Send, tab: Tab, frontend: str, seed: str, mode: str
) -> None:
    make = {"own": seeded, "of a primitive node": seeded_by_primitive, "promoted": seeded_inside}[seed]
    await tab.load_workflow(make("increment"))
    before = await tab.page.evaluate(STATE)
    await tab.page.evaluate(MODE, mode)
    try:
        prompts = (await send("export_prompts", grid={"Canvas.width": [16, 32]}, seeds=3))["prompts"]
    finally:
        await tab.page.evaluate(MODE, "after")
    seeds = [part["inputs"]["seed"] for one in prompts for part in one["prompt"].values() if "seed" in part["inputs"]]
    # The control of a promoted seed has no effect on runs in 1.32 and 1.35.
    step = 0 if seed == "promoted" and frontend in {"1.32.9", "1.35.9"} else 1
    assert [number - seeds[0] for number in seeds] == [0, step, 2 * step] * 2
    assert await tab.page.evaluate(STATE) == before


async def test_a_result_that_a_node_shows_meanwhile_stays_and_costs_no_variation(send: Send, tab: Tab) -> None:
    await tab.load_workflow(canvas())
    await tab.page.evaluate(SHOWS)
    for shown in ("first", "second"):
        await tab.page.evaluate(SHOW, shown)
        prompts = (await send("export_prompts", grid={"Canvas.width": [16, 32]}))["prompts"]
        assert [one["error"] for one in prompts] == [None, None]
        assert await tab.page.evaluate("app.rootGraph.getNodeById(3).widgets.at(-1).value") == shown


async def test_a_cancelled_sweep_leaves_the_queue_and_the_persons_run_stays(send: Send, tab: Tab) -> None:
    await tab.load_workflow(canvas(slow=0.3))
    swept = await send("sweep", grid={"Slow.seed": [*range(1, 121)]}, wait=False)
    assert swept["status"] == "running"
    await tab.page.evaluate("() => app.queuePrompt(0, 1)")
    ours = {result["prompt_id"] for result in (await send("sweep_status", sweep_id=swept["sweep_id"]))["results"]}
    cancelled = await send("sweep_cancel", sweep_id=swept["sweep_id"])
    assert cancelled["status"] == "cancelled"
    assert cancelled["done"] + cancelled["cancelled"] == 120
    queue = await asyncio.to_thread(tab.comfy.get, "/uiapi/queue")
    left = [item["prompt_id"] for part in ("running", "waiting") for item in queue["response"][part]]
    assert len(left) <= 1 and not ours & {*left}

    async def done() -> bool:
        entries = await asyncio.to_thread(tab.comfy.get, "/history")
        return any(
            entry["status"]["status_str"] == "success" and entry["prompt"][2]["2"]["inputs"]["seed"] == 0
            for entry in entries.values()
            if entry["prompt"][2].get("2", {}).get("class_type") == "LabSlow"
        )

    await until(done, "the person's own run", PATIENCE)


async def test_the_person_sees_how_far_a_sweep_is_and_can_stop_it(send: Send, tab: Tab) -> None:
    await tab.load_workflow(canvas(slow=0.3))
    swept = await send("sweep", grid={"Slow.seed": [*range(1000, 1200)]}, wait=False)
    badge = tab.page.locator(".uiapi-sweeps .uiapi-badge")
    await badge.get_by_text(" of 200").wait_for(timeout=PATIENCE * 1000)
    await badge.get_by_role("button").click()
    await badge.wait_for(state="detached", timeout=PATIENCE * 1000)
    ended = await send("sweep_status", sweep_id=swept["sweep_id"])
    assert (ended["status"], ended["next"]) == ("cancelled", None)


async def test_the_page_does_not_ask_comfyui_for_its_lists_at_every_prompt_but_does_after_the_last(
    send: Send, tab: Tab
) -> None:
    await tab.load_workflow(canvas(slow=0.05))
    asked: list[Request] = []

    def note(request: Request) -> None:
        if urlsplit(request.url).path.rpartition("/")[2] in LISTS:
            asked.append(request)

    tab.page.on("request", note)
    try:
        started = monotonic()
        swept = await send("sweep", grid={"Slow.seed": [*range(3000, 3024)]})
        history = await asyncio.to_thread(tab.comfy.get, "/history")
        messages = history[swept["results"][-1]["prompt_id"]]["status"]["messages"]
        ended = max(about["timestamp"] for _, about in messages)

        async def up_to_date() -> bool:
            latest = {request.url: request.timing["startTime"] for request in asked}
            return bool(latest) and min(latest.values()) > ended

        await until(up_to_date, "the lists of the page", PATIENCE)
        taken = monotonic() - started
    finally:
        tab.page.remove_listener("request", note)
    # Three lists twice a second, and at the end; not four times for each prompt, as 1.32 does.
    assert len(asked) <= 3 * (2 * taken + 3)


async def test_stopping_the_run_in_comfyui_stops_the_whole_sweep(send: Send, tab: Tab) -> None:
    await tab.load_workflow(canvas(slow=0.3))
    swept = await send("sweep", grid={"Slow.seed": [*range(2000, 2200)]}, wait=False)

    async def stopped() -> bool:
        await send("interrupt")
        return bool((await send("sweep_status", sweep_id=swept["sweep_id"]))["status"] == "cancelled")

    await until(stopped, "the end of the sweep", PATIENCE)


async def test_a_path_that_does_not_exist_is_an_error_before_anything_is_queued(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=canvas())
    error = await refused("sweep", grid={"Canvas.nothing": [1, 2]})
    assert error["code"] == "unknown_path"
