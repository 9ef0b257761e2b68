"""Sweeps whose tab, person or program does something else meanwhile: results say what happened, and nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from playwright.async_api import Route

from ....harness.browser.graphs import Json, seeded

# Seconds.
PATIENCE = 90
# A seed that the person has chosen, and those of the variations.
PERSONS, FIRST = 424242, 7770001
# Exports wait, with the values of their variation in the graph, as if a pack took long; the first take so long that the
# page answers before it exports the one that is held. Others, as for the list of missing models, are not counted.
HOLD = """left => {
    const {graphToPrompt} = app
    window.isHeld = false
    const released = new Promise(resolve => window.letGo = resolve)
    app.graphToPrompt = async function (...all) {
        const [seed] = app.rootGraph.nodes.filter(({title}) => title === 'Slow').map(({widgets}) => widgets[1].value)
        if (seed >= FIRST && left-- <= 0) {
            window.isHeld = true
            await released
        }
        await new Promise(resolve => setTimeout(resolve, 20))
        return graphToPrompt.apply(this, all)
    }
    window.endHold = () => {
        app.graphToPrompt = graphToPrompt
        window.letGo()
    }
}""".replace("FIRST", str(FIRST))
HELD = "() => window.isHeld"
# The page has saved the graph for its next start.
KEEPS = """seed => [localStorage, sessionStorage].some(
    storage => Object.values(storage).some(kept => kept.includes(seed)))"""
# 1.49 and later save the graph a little after each step: in the undo history, and for the next start of the page.
FOLLOWS = """async () => {
    const {changeTracker} = app.extensionManager.workflow.activeWorkflow
    if (!changeTracker.squashState) return
    changeTracker.squashState()
    app.api.dispatchCustomEvent('graphChanged', changeTracker.activeState)
    await new Promise(resume => setTimeout(resume, 60))
}"""
# The seed in the last step of the undo history.
NOTED = """() => app.extensionManager.workflow.activeWorkflow.changeTracker.activeState.nodes
    .find(({title}) => title === 'Slow').widgets_values[1]"""
# The person changes the width of the canvas.
EDIT = """() => {
    const [widget] = app.rootGraph.nodes.find(({title}) => title === 'Canvas').widgets
    widget.value = 48
    widget.callback?.(48)
    const {changeTracker} = app.extensionManager.workflow.activeWorkflow
    changeTracker.captureCanvasState ? changeTracker.captureCanvasState() : changeTracker.checkState()
}"""
STATE = """() => {
    const {undoQueue, redoQueue} = app.extensionManager.workflow.activeWorkflow.changeTracker
    const values = app.rootGraph.nodes.map(({widgets}) => widgets?.map(({value}) => value))
    return [values, undoQueue.length, redoQueue.length]
}"""
COMMAND = "name => app.extensionManager.command.execute(name)"
SEED = "() => app.rootGraph.nodes.find(({title}) => title === 'Slow')?.widgets[1].value"

Open = Callable[..., Awaitable[Tab]]


class Asking:
    """A program that addresses one tab."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab

    async def get(self, path: str) -> Any:
        """Ask ComfyUI itself."""
        return await asyncio.to_thread(self.tab.comfy.get, path)

    async def post(self, path: str, body: Any) -> Any:
        """Send something to ComfyUI itself."""
        return await asyncio.to_thread(self.tab.comfy.post, path, body, PATIENCE)

    async def __call__(self, command: str, **data: Any) -> Any:
        envelope = await self.post(f"/uiapi/{command}", {"webui": self.tab.webui, **data})
        assert envelope["status"] == "ok", envelope
        return envelope["response"]

    async def begin(self, count: int, first: int = FIRST, **grid: Any) -> str:
        """Begin a sweep over so many seeds from `first` on, and return its ID."""
        swept = await self("sweep", grid={**grid, "Slow.seed": [*range(first, first + count)]}, wait=False)
        return str(swept["sweep_id"])

    async def until(self, sweep_id: str, reached: Callable[[Json], bool]) -> Json:
        """Wait until the state of a sweep is as it should be, and return it."""

        async def there() -> Json | None:
            state: Json = await self("sweep_status", sweep_id=sweep_id)
            return state if reached(state) else None

        return await until(there, "the sweep", PATIENCE)

    async def ended(self, sweep_id: str) -> Json:
        """The state of a sweep at its end."""
        return await self.until(sweep_id, lambda state: state["status"] != "running")

    async def line(self) -> tuple[dict[int, str], dict[int, str]]:
        """What runs and what waits: the IDs of prompts by their seeds."""
        found = await self.get("/queue")
        running, waiting = (
            {item[2]["2"]["inputs"]["seed"]: item[1] for item in found[part] if "seed" in str(item[2].get("2"))}
            for part in ("queue_running", "queue_pending")
        )
        return running, waiting

    async def run_seeds(self, first: int, count: int) -> list[int]:
        """Which of these seeds ComfyUI has run to the end."""
        history = await self.get("/history")
        whole = [entry for entry in history.values() if entry["status"]["status_str"] == "success"]
        nodes = [entry["prompt"][2].get("2", {}) for entry in whole]
        seeds = [node["inputs"]["seed"] for node in nodes if node.get("class_type") == "LabSlow"]
        return sorted(seed for seed in seeds if first <= seed < first + count)


@pytest_asyncio.fixture(loop_scope="session")
async def own(comfy: ComfyProcess, open_tab: Open) -> Asking:
    """A tab of the test's own, whose graph the person has edited."""
    asking = Asking(await open_tab(comfy))
    await asking.tab.load_workflow(seeded("fixed"))
    await asking("set_fields", fields=[["Slow.seed", PERSONS]])
    return asking


def errors(swept: Json) -> list[str | None]:
    """The error code of each variation, None for those that succeeded."""
    return [result["error"] and result["error"]["code"] for result in swept["results"]]


async def test_a_tab_that_is_reloaded_or_closed_in_mid_export_ends_the_sweep_with_what_was_exported(
    own: Asking,
) -> None:
    page = own.tab.page
    await page.wait_for_function(KEEPS, arg=str(PERSONS))
    for first, leave in ((FIRST, "reload"), (FIRST + 100, "close")):
        await page.evaluate(HOLD, 7)
        sweep_id = await own.begin(40, first)
        await page.wait_for_function(HELD, timeout=PATIENCE * 1000)
        if leave == "reload":
            await own.tab.load(clear=False)
        else:
            await page.close()
        swept = await own.ended(sweep_id)
        exported = swept["exported"]
        assert 0 < exported <= 7 and swept["status"] == "failed"
        assert errors(swept) == [None] * exported + ["client_disconnected"] * (40 - exported)
        assert any(f"The last {40 - exported} of 40" in warning for warning in swept["warnings"])
        assert await own.run_seeds(first, 40) == [*range(first, first + exported)]
        if leave == "reload":
            assert await page.evaluate(SEED) == PERSONS


async def test_what_the_page_saves_by_itself_while_a_pack_prepares_a_prompt_is_the_persons_graph(own: Asking) -> None:
    page, first = own.tab.page, FIRST + 600
    await page.wait_for_function(KEEPS, arg=str(PERSONS))
    state = await page.evaluate(STATE)
    await page.evaluate(HOLD, 6)
    sweep_id = await own.begin(12, first)
    await page.wait_for_function(HELD, timeout=PATIENCE * 1000)
    held = await page.evaluate(SEED)
    await page.evaluate(FOLLOWS)
    assert held >= first and await page.evaluate(NOTED) == PERSONS
    if await page.evaluate("() => Boolean(app.extensionManager.workflow.activeWorkflow.changeTracker.squashState)"):
        await page.wait_for_function(KEEPS, arg=str(held))
    await page.evaluate("() => endHold()")
    assert errors(await own.ended(sweep_id)) == [None] * 12
    await page.wait_for_function(KEEPS, arg=str(PERSONS))
    assert await page.evaluate(STATE) == state and await page.evaluate(NOTED) == PERSONS

    await page.evaluate(HOLD, 6)
    sweep_id = await own.begin(12, first + 20)
    await page.wait_for_function(HELD, timeout=PATIENCE * 1000)
    await page.evaluate(FOLLOWS)
    await own.tab.load(clear=False)
    await own.ended(sweep_id)
    assert await page.evaluate(SEED) == PERSONS


async def test_a_page_that_is_left_long_before_the_next_one_arrives_saves_the_persons_graph(own: Asking) -> None:
    page = own.tab.page
    await page.wait_for_function(KEEPS, arg=str(PERSONS))
    await page.evaluate(HOLD, 1000)
    sweep_id = await own.begin(200, FIRST + 700)
    begun = await own.until(sweep_id, lambda state: state["exported"] > 0)

    async def late(route: Route) -> None:
        # The page is still there, and could export further variations.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(own.until(sweep_id, lambda state: state["exported"] > begun["exported"] + 10), 1)
        await route.continue_()

    await page.route(f"{own.tab.comfy.url}/", late)
    try:
        await own.tab.load(clear=False)
    finally:
        await page.unroute(f"{own.tab.comfy.url}/")
    assert (await own.ended(sweep_id))["exported"] < 200
    assert await page.evaluate(SEED) == PERSONS


async def test_a_sweep_that_is_exported_goes_on_without_the_tab(own: Asking) -> None:
    first = FIRST + 200
    sweep_id = await own.begin(12, first, **{"Slow.seconds": [0.2]})
    await own.until(sweep_id, lambda state: bool(state["exported"] == 12))
    await own.tab.page.close()
    await own.tab.wait_gone()
    ended = await own.ended(sweep_id)
    assert (ended["status"], ended["done"], errors(ended)) == ("finished", 12, [None] * 12)
    assert await own.run_seeds(first, 12) == [*range(first, first + 12)]


async def test_what_the_person_does_while_a_pack_prepares_a_prompt_happens_to_their_own_graph_and_stays(
    tab: Tab,
) -> None:
    program, page, first = Asking(tab), tab.page, FIRST + 400

    async def held(first: int) -> str:
        """Begin a sweep, and have the person press somewhere while a prompt of it is prepared."""
        await page.evaluate("() => { window.isHeld = false }")
        await page.evaluate(HOLD, 6)
        sweep_id = await program.begin(12, first)
        await page.wait_for_function(HELD, timeout=PATIENCE * 1000)
        assert await page.evaluate(SEED) >= first
        await page.mouse.click(640, 700)
        assert await page.evaluate(SEED) == PERSONS
        return sweep_id

    await tab.load_workflow(seeded("fixed"))
    await program("set_fields", fields=[["Slow.seed", PERSONS]])
    (_, slow, _), undos, _ = await page.evaluate(STATE)
    sweep_id = await held(first)
    await page.evaluate(EDIT)
    edited = [[[48, 16, 1, 0], slow, []], undos + 1, 0]
    assert await page.evaluate(STATE) == edited
    await page.evaluate("() => endHold()")
    assert errors(await program.ended(sweep_id)) == [None] * 12
    assert await page.evaluate(STATE) == edited

    sweep_id = await held(first + 20)
    await page.evaluate(COMMAND, "Comfy.Undo")
    await page.evaluate("() => endHold()")
    assert errors(await program.ended(sweep_id)) == [None] * 12
    assert await page.evaluate(STATE) == [[[16, 16, 1, 0], slow, []], undos, 1]

    sweep_id = await held(first + 40)
    mine = next(shown["id"] for shown in (await program("list_tabs"))["tabs"] if shown["active"])
    await page.evaluate(COMMAND, "Comfy.NewBlankWorkflow")
    await page.evaluate("() => endHold()")
    swept = await program.ended(sweep_id)
    exported = swept["exported"]
    assert errors(swept) == [None] * exported + ["tab_changed"] * (12 - exported)
    assert await page.evaluate("() => app.rootGraph.nodes.length") == 0
    await program("switch_tab", tab=mine)
    assert (await page.evaluate(STATE))[0] == [[16, 16, 1, 0], slow, []]


async def test_cancelling_a_sweep_waits_for_no_other_prompt_and_touches_none(tab: Tab) -> None:
    program, first = Asking(tab), FIRST + 300
    ours, theirs = {*range(first, first + 60)}, [first + 60, first + 61, first + 62]
    await tab.load_workflow(seeded("fixed"))
    await program("set_fields", fields=[["Slow.seed", theirs[0]], ["Slow.seconds", 0.5]])
    prompt = (await program("get_workflow_api"))["output"]

    async def queue_straight(seed: int, seconds: float) -> None:
        prompt["2"]["inputs"] |= {"seed": seed, "seconds": seconds}
        await program.post("/prompt", {"prompt": prompt})

    async def runs(seed: int) -> bool:
        running, _ = await program.line()
        return seed in running

    sweep_id = await program.begin(60, first, **{"Slow.seconds": [0.5]})
    await tab.page.evaluate("() => app.queuePrompt(0, 1)")
    await queue_straight(theirs[1], 600)
    await queue_straight(theirs[2], 0.5)
    # The program's prompt runs after the person's, with prompts of the sweep behind it.
    await until(lambda: runs(theirs[1]), "the prompt of the other program", PATIENCE)
    try:
        cancelled = await program("sweep_cancel", sweep_id=sweep_id)
        running, waiting = await program.line()
        assert not ours & {*running, *waiting}
        assert (*running, *waiting) == (theirs[1], theirs[2])
    finally:
        await tab.page.evaluate("() => app.api.fetchApi('/interrupt', {method: 'POST'})")
    assert cancelled["status"] == "cancelled" and cancelled["done"] + cancelled["cancelled"] == 60

    async def others_have_run() -> bool:
        return await program.run_seeds(theirs[0], 3) == [theirs[0], theirs[2]]

    await until(others_have_run, "the other prompts", PATIENCE)
    assert len(await program.run_seeds(first, 60)) == cancelled["done"]
