"""What stands over the canvas, or over App mode's form: the notice and the badges, and the log next to them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import expect

from ....harness.browser.fake_server import FakeServer
from ....harness.browser.graphs import seeded
from ....harness.browser.scripts import TOGGLE
from ....harness.browser.views import APP_MODE, CANVAS, shown_as
from ..conftest import Played

LONG = "a program whose name is as long as a server lets it be " * 2
RULES = dict.fromkeys(("read", "change", "run", "download", "load"), "allow")
STATE: dict[str, Any] = {
    **{
        "paused": True,
        "problem": None,
        "rules": RULES,
        "answers": [],
        "main_webui_id": 7,
        "webuis": [],
        "version": "0",
    },
    "refusals": {"count": 0, "last": None},
    "runs": [LONG[:80]],
    "asking": [LONG[:80]],
    "sweeps": [{"sweep_id": "s", "program": LONG[:80], "total": 200, "done": 37, "failed": 0, "cancelled": 0}],
}
QUIET = {**STATE, "paused": False, "runs": [], "asking": [], "sweeps": []}
# Shows a notice as for a workflow that lacks something; the page hides its own one by itself.
NOTICE = """() => {
    const notice = document.querySelector('.uiapi-notice'), copy = notice.cloneNode(true)
    copy.id = 'copied-notice'
    copy.hidden = false
    notice.after(copy)
}"""
NO_NOTICE = "() => document.querySelector('#copied-notice').remove()"
# The edges of what is shown over the canvas, in their order, and those of the place for it.
PLACES = """() => {
    const edges = element => element.getBoundingClientRect().toJSON()
    const seen = selector => [...document.querySelectorAll(selector)].filter(element => element.checkVisibility())
    return {
        stack: seen('.uiapi-notice, .uiapi-badge').map(edges).sort((a, b) => a.top - b.top),
        mark: seen('.uiapi-paused').map(edges)[0],
        canvas: seen('.graph-canvas-panel, #linearCenterPanel').map(edges).find(({left, right}) => right > left),
        sidebar: seen('.uiapi').map(edges).find(({left, right}) => right > left),
    }
}"""
# A panel with a long log somewhere on the page; returns how far the lines reach below the part in sight.
LOG = """async base => {
    const [{createPanel}, {createState}] = await Promise.all([import(base + 'panel.js'), import(base + 'state.js')])
    let render, frame
    const request = async command => command === 'downloads' ? {downloads: []} : {entries: [], programs: []}
    const state = createState({request, clientId: () => 1}, {requestAnimationFrame: f => (frame = f, 1), console})
    const addSidebarTab = tab => (render = tab.render)
    const frontend = {rootGraph: () => app.rootGraph, toast() {}, closeIcon: () => null, addSidebarTab}
    createPanel({frontend, state, request, dialogs: {}, revisions: {activeTab: () => 'tab-1'}})
    const place = document.body.appendChild(document.createElement('div'))
    place.style.cssText = 'position: fixed; inset: 0; width: 320px; z-index: 9999'
    const above = place.appendChild(document.createElement('div')), room = document.createElement('div')
    above.style.height = '150px'
    room.style.height = 'calc(100% - 150px)'
    place.append(room)
    const inner = room.appendChild(document.createElement('div'))
    render(inner)
    state.receive('panel_state', {paused: false, rules: {}, answers: [], runs: [], webuis: [], main_webui_id: 1})
    await new Promise(resume => setTimeout(resume, 50))
    const entry = id => ({id, program: 'p', kind: 'run', command: 'run', about: '', time: 1e9 + id, count: 1,
        state: 'done', code: null, changes: [], changes_total: 0})
    state.receive('activity', {entries: Array.from({length: 300}, (_, n) => entry(n + 1)), programs: []})
    frame()
    state.receive('activity', {entries: [], programs: []})
    frame()
    const bottom = element => element.getBoundingClientRect().bottom
    const last = Math.max(...[...place.querySelectorAll('.uiapi-log-line')].map(bottom))
    const beyond = last - bottom(place.querySelector('.uiapi-fill'))
    place.remove()
    return beyond
}"""


def show(server: FakeServer, state: dict[str, Any]) -> None:
    server.send({"type": "event", "event": "panel_state", "data": state})


def middle(place: dict[str, float]) -> float:
    return (place["left"] + place["right"]) / 2


@pytest.mark.parametrize("view", [CANVAS, APP_MODE])
async def test_notice_and_badges_cover_neither_each_other_nor_what_they_say(played: Played, view: str) -> None:
    server, tab = played
    page = tab.page
    await tab.load_workflow(seeded("fixed"))
    async with shown_as(view, tab):
        show(server, STATE)
        badges = page.locator(".uiapi-badge")
        await expect(badges).to_have_count(2)
        await expect(badges.first).to_contain_text("waiting for your answer")
        await expect(badges.last).to_contain_text("37 of 200")
        await page.evaluate(NOTICE)
        await page.evaluate("() => app.extensionManager.command.execute('uiapi.panel')")
        await expect(page.locator(".uiapi:visible")).to_have_count(1)

        async def in_place() -> bool:
            places = await page.evaluate(PLACES)
            shown = [*places["stack"], places["mark"]]
            return (
                len(places["stack"]) == 3
                and all(above["bottom"] <= below["top"] for above, below in pairwise(places["stack"]))
                # Nothing of it is under the panel, and all is in the middle of what the panel leaves.
                and all(place["left"] >= places["sidebar"]["right"] for place in shown)
                and all(abs(middle(place) - middle(places["canvas"])) <= 1 for place in shown)
            )

        # It moves as soon as the panel has its width.
        await until(in_place, "the notice, the badges and the mark to be where they belong", PATIENCE)
        # Each text is whole.
        for badge in await badges.all():
            assert await badge.evaluate("badge => badge.scrollWidth <= badge.clientWidth")
        await page.evaluate(NO_NOTICE)
        show(server, QUIET)
        await expect(page.locator(".uiapi-badge:visible")).to_have_count(0)
        await page.evaluate(TOGGLE)
        await expect(page.locator(".uiapi:visible")).to_have_count(0)


async def test_the_log_fills_the_panel_wherever_the_panel_is(tab: Tab) -> None:
    assert await tab.page.evaluate(LOG, f"/extensions/{PACKAGE_NAME}/ui/panel/") >= 0
