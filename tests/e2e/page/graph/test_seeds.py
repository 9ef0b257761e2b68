"""Runs use the seed that was set, by a person or a program, with any seed control, before or after runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import Json, node, seeded, seeded_by_primitive, seeded_inside, ui
from ..conftest import Send

CONTROLS = ("randomize", "increment", "decrement", "fixed")
# By kind: the workflow, the path of the seed, and the id of the node that gets it.
KINDS: dict[str, tuple[Callable[[str], Json], str, str]] = {
    "plain": (seeded, "Slow.seed", "2"),
    "primitive": (seeded_by_primitive, "Seed", "2"),
    "promoted": (seeded_inside, "Slow.seed", "2:11"),
}
# The submissions in their order, with their origin.
RECORD = """() => {
    const sent = window.sent = []
    const {fetchApi} = app.api
    app.api.fetchApi = async function (route, options) {
        const answer = await fetchApi.call(this, route, options)
        if (route === '/prompt' && answer.ok) {
            const {prompt_id} = await answer.clone().json()
            sent.push([prompt_id, JSON.parse(options.body).prompt])
        }
        return answer
    }
    window.stopRecording = () => app.api.fetchApi = fetchApi
}"""
MODE = "mode => app.extensionManager.setting.set('Comfy.WidgetControlMode', mode)"

Submitted = Callable[[str], Any]


@pytest_asyncio.fixture(loop_scope="session")
async def seeds(tab: Tab) -> AsyncIterator[Callable[[str], Any]]:
    """`await seeds(node)`: the submitted seeds of a node by prompt id."""
    await tab.page.evaluate(RECORD)

    async def of(ident: str) -> dict[str, int]:
        submitted = await tab.page.evaluate("sent")
        return {prompt: output[ident]["inputs"]["seed"] for prompt, output in submitted}

    yield of
    await tab.page.evaluate("() => stopRecording()")


@pytest_asyncio.fixture(params=["after", "before"], loop_scope="session")
async def mode(request: pytest.FixtureRequest, tab: Tab) -> AsyncIterator[str]:
    """When controls act."""
    await tab.page.evaluate(MODE, request.param)
    yield request.param
    await tab.page.evaluate(MODE, "after")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_run_uses_the_seed_that_was_set_before_it(
    send: Send, tab: Tab, seeds: Submitted, mode: str, kind: str
) -> None:
    make, path, ident = KINDS[kind]
    wanted: dict[str, int] = {}
    for number, control in enumerate(CONTROLS):
        await send("load_workflow", workflow=make(control))
        # The second one is set after the control has acted.
        for seed in (number * 1000 + 100, number * 1000 + 200):
            assert (await send("set_fields", fields=[[path, seed]]))[path]["value"] == seed
            wanted[(await send("execute"))["prompt_id"]] = seed
            # A second run between, so that the control has acted once more.
            await send("run", wait=False)
            found = await send("get_fields", fields=[path])
            await tab.page.evaluate("() => new Promise(resolve => setTimeout(resolve))")
            assert await send("get_fields", fields=[path]) == found
    await tab.page.wait_for_function("count => sent.length === count", arg=2 * len(wanted))
    used = await seeds(ident)
    assert {prompt: used[prompt] for prompt in wanted} == wanted


async def test_a_control_goes_on_after_the_run_of_a_written_seed(
    send: Send, tab: Tab, seeds: Submitted, mode: str
) -> None:
    await send("load_workflow", workflow=seeded("increment"))
    await send("execute")
    await send("set_fields", fields=[["Slow.seed", 100]])
    await send("execute", batch_count=2)
    await send("run", fields=[["Slow.seed", 200]], wait=False)
    await tab.page.evaluate("() => app.queuePrompt(0, 1)")
    await tab.page.wait_for_function("sent.length === 5")
    assert list((await seeds("2")).values()) == [5, 100, 101, 200, 201]


async def test_programs_and_the_person_at_once_each_run_with_their_own_seed(
    send: Send, tab: Tab, seeds: Submitted, mode: str
) -> None:
    await send("load_workflow", workflow=seeded("randomize"))
    wanted: dict[str, int] = {}

    async def program(first: int) -> None:
        for seed in range(first, first + 4):
            wanted[(await send("run", fields=[["Slow.seed", seed]], wait=False))["prompt_id"]] = seed

    async def person() -> None:
        for _ in range(4):
            await tab.page.evaluate("() => app.queuePrompt(0, 1)")

    await asyncio.gather(person(), *(program(first) for first in (1000, 2000, 3000)))
    await tab.page.wait_for_function("sent.length === 16")
    used = await seeds("2")
    assert {prompt: used[prompt] for prompt in wanted} == wanted


async def test_a_run_comes_next_however_fast_the_person_presses_run(send: Send, tab: Tab, seeds: Submitted) -> None:
    await send("load_workflow", workflow=seeded("randomize"))
    await tab.page.evaluate("() => { window.pressing = setInterval(() => app.queuePrompt(0, 1), 5) }")
    wanted: dict[str, int] = {}
    try:
        for seed in (100, 200, 300):
            wanted[(await send("run", fields=[["Slow.seed", seed]], wait=False))["prompt_id"]] = seed
    finally:
        await tab.page.evaluate("() => { clearInterval(pressing); app.queueItems.length = 0 }")
    await tab.page.wait_for_function("!app.processingQueue")
    # Submissions are recorded a moment later.
    await tab.page.wait_for_function("ids => ids.every(id => sent.some(([sent]) => sent === id))", arg=list(wanted))
    used = await seeds("2")
    assert {prompt: used[prompt] for prompt in wanted} == wanted


async def test_a_seed_whose_control_a_pack_has_removed_is_set_without_a_warning(send: Send) -> None:
    await send("load_workflow", workflow=ui([node(1, "LabSeed", "Seed", [1, ""])]))
    assert (await send("set_fields", fields=[["Seed.seed", 7]]))["Seed.seed"]["warnings"] == []


def counted(control: str) -> Json:
    """A plain seed, and a node that counts runs outside of its widgets."""
    workflow = seeded(control)
    workflow["nodes"].append(node(5, "LabCounter", "Counter", [0, 0]))
    return workflow


@pytest.mark.parametrize("make", [counted, seeded_by_primitive, seeded_inside])
async def test_the_persons_runs_after_a_sweep_are_those_without_it(
    send: Send, tab: Tab, seeds: Submitted, mode: str, make: Callable[[str], Json]
) -> None:
    async def three_runs(*, between: bool) -> list[Any]:
        await tab.load_workflow(make("increment"))
        before = len(await tab.page.evaluate("sent"))
        for _ in range(3):
            if between:
                await send("export_prompts", grid={"Canvas.width": [32, 48]}, seeds=2)
            await tab.page.evaluate("() => app.queuePrompt(0, 1)")
        # What the page does after a run is part of the run; it must not meet the next workflow.
        over = "count => sent.length === count && !app.processingQueue"
        await tab.page.wait_for_function(over, arg=before + 3)
        return [prompt for _, prompt in (await tab.page.evaluate("sent"))[before:]]

    assert await three_runs(between=True) == await three_runs(between=False)
