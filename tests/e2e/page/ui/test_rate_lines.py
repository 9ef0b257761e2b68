"""Rates and previews of runs are drawn where a person sees them, and cost nothing elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME
from comfyui_uiapi.tests.tools import build
from playwright.async_api import expect

from ....harness.browser.scripts import GRAPH, PREVIEW, SET

SCREENS = build.STACK / "screens"
# A panel of its own, whose state and clock are set by the test; `window.rates` changes the rates and returns how many
# changes of the page that made in each of its tabs.
OPEN = """async base => {
    const [{createPanel}, {createState}] = await Promise.all([import(base + 'panel.js'), import(base + 'state.js')])
    let tab, frame
    const log = {entries: [], programs: []}
    const request = async command => ({downloads: {downloads: []}, model_urls: {urls: {}}})[command] ?? log
    const state = createState({request, clientId: () => 1}, {requestAnimationFrame: f => (frame = f, 1), console})
    const addSidebarTab = added => (tab = added)
    const frontend = {rootGraph: () => app.rootGraph, toast() {}, closeIcon: () => null, addSidebarTab}
    createPanel({frontend, state, request, dialogs: {}, revisions: {activeTab: () => 'tab-1'}})
    const place = document.body.appendChild(document.createElement('div'))
    place.id = 'own-panel'
    const look = 'position: fixed; inset: 0 auto 0 0; width: 320px; z-index: 9999; background: var(--uiapi-surface)'
    place.style.cssText = look
    tab.render(place)
    state.receive('panel_state', {paused: false, rules: {}, answers: [], runs: [], webuis: [], main_webui_id: 1})
    await new Promise(resume => setTimeout(resume))
    const seen = new MutationObserver(() => {})
    const options = {subtree: true, childList: true, attributeOldValue: true, characterData: true}
    const count = rate => {
        const program = {name: 'Blender', last: 1e9, connections: 1, command: 'set_fields', rate}
        const model = {status: 'downloading', bytes: 1e8, total: 1e9, speed: rate * 1e6, eta: 9, model_number: '1'}
        state.receive('activity', {entries: [], programs: [program]})
        const progress = {'a.safetensors': model, 'b.safetensors': {...model, speed: 5}}
        state.receive('download_progress', {download_id: 'd', start_time: 1, progress})
        frame()
        return seen.takeRecords().filter(({type, target, attributeName, oldValue}) =>
            type !== 'attributes' || target.getAttribute(attributeName) !== oldValue).length
    }
    let time = performance.now()
    window.rates = given => {
        const {now} = performance
        performance.now = () => (time += 1000)
        seen.observe(place, options)
        try {
            return given.map(count)
        } finally {
            performance.now = now
            seen.disconnect()
        }
    }
    window.closePanel = () => (place.remove(), tab.destroy(place))
}"""
# The number of points of the lines of each list.
POINTS = """() => ['Programs', 'Downloads'].map(name =>
    [...document.querySelectorAll(`#own-panel [role=list][aria-label=${name}] .uiapi-sparkline`)].map(line =>
        line.hidden ? 0 : line.querySelector('polyline').getAttribute('points').split(' ').length))"""
RATES = [1, 5, 3, 9, 2, 4]
# Counts the previews that become pictures of the page.
WATCH_PREVIEWS = """() => {
    window.previews = 0
    window.createUrl ??= URL.createObjectURL
    URL.createObjectURL = blob => (window.previews++, window.createUrl.call(URL, blob))
}"""


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_rates_are_lines_in_the_tab_that_is_open_and_change_nothing_in_the_page_elsewhere(
    tab: Tab, palette: str
) -> None:
    page = tab.page
    await tab.load_workflow(GRAPH)
    await page.evaluate(SET, ["Comfy.ColorPalette", palette])
    await page.evaluate(OPEN, f"/extensions/{PACKAGE_NAME}/ui/panel/")
    panel = page.locator("#own-panel")
    try:
        changes: list[int] = await page.evaluate("rates => window.rates(rates)", RATES)
        assert min(changes) > 0
        assert await page.evaluate(POINTS) == [[len(RATES)], []]
        await keep(tab, f"programs-{palette}")
        await panel.get_by_role("tab", name="Downloads").click()
        await page.evaluate("rates => window.rates(rates)", RATES)
        # The click itself has drawn the first point.
        assert await page.evaluate(POINTS) == [[len(RATES)], [len(RATES) + 1] * 2]
        await keep(tab, f"downloads-{palette}")
        await panel.get_by_role("tab", name="URLs").click()
        assert await page.evaluate("rates => window.rates(rates)", RATES) == [0] * len(RATES)
        await panel.get_by_role("tab", name="Activity").click()
        await page.evaluate("() => window.closePanel()")
        assert await page.evaluate("rates => window.rates(rates)", RATES) == [0] * len(RATES)
    finally:
        await page.evaluate("() => document.querySelector('#own-panel')?.remove()")
        await page.evaluate(SET, ["Comfy.ColorPalette", "dark"])


async def keep(tab: Tab, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    version: Any = await tab.page.evaluate("__COMFYUI_FRONTEND_VERSION__")
    await tab.screenshot(SCREENS / f"rates-{name}-{version}.png")


async def test_the_previews_of_the_persons_own_runs_are_not_decoded_for_the_badge(tab: Tab) -> None:
    page = tab.page
    await tab.load_workflow(GRAPH)
    await page.evaluate(WATCH_PREVIEWS)
    try:
        await page.evaluate(PREVIEW)
        picture = page.locator(".uiapi-badge img")
        await expect(picture).to_be_hidden()
        assert await picture.get_attribute("src") is None
    finally:
        await page.evaluate("() => void (URL.createObjectURL = window.createUrl)")
