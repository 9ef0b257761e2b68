"""Frame times of the graph with a full and busy panel, compared with frame times without a panel."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Playwright

from ..harness.comfy.process import PACKAGE_NAME
from ..tools import build
from .runner import Row, percentile
from .support.opened import opened_tab

KEPT = 0.95
# Turns of each, and milliseconds of one. As on the server, the log is updated at most 10 times a second, downloads
# twice a second.
TURNS, TURN = 6, 3000
COUNT = """async ([base, turns, turn]) => {
    const [{createPanel}, {createState}] = await Promise.all([import(base + 'panel.js'), import(base + 'state.js')])
    let render
    const log = {entries: [], programs: []}
    const request = async command => command === 'downloads' ? {downloads: []} : log
    const state = createState({request, clientId: () => 1}, window)
    const addSidebarTab = tab => (render = tab.render)
    const frontend = {rootGraph: () => app.rootGraph, toast() {}, closeIcon: () => null, addSidebarTab}
    createPanel({frontend, state, request, dialogs: {}, revisions: {activeTab: () => 'one'}})
    const place = document.body.appendChild(document.createElement('div'))
    place.style.cssText = 'position: fixed; inset: 0 auto 0 0; width: 320px; z-index: 9999; background: #222'
    const change = {kind: 'widget_changed', path: 'Canvas.width', node: '1', what: 'width', before: 1, after: 64}
    const entry = id => ({id, program: `p${id % 20}`, kind: 'change', command: 'set_fields', about: 'Canvas.width',
        time: 1e9 + id, count: 1, state: 'done', code: null, changes: [change], changes_total: 1})
    const programs = at => Array.from({length: 20}, (_, n) =>
        ({name: `p${n}`, last: at + n, connections: n % 2, command: 'set_fields', rate: at % 7}))
    const download = (n, bytes) => state.receive('download_progress', {download_id: `d${n}`, start_time: n, progress:
        {[`m${n}.safetensors`]: {status: 'downloading', bytes, total: 1e9, speed: 1e7, eta: 9, model_number: '1'}}})
    let last = 1000
    const update = () => state.receive('activity', {entries: [entry(++last)], programs: programs(last)})
    const fetch = () => { for (let n = 0; n < 50; n++) download(n, last * 1e4) }
    const frames = async () => {
        let count = 0, going = true
        const frame = () => { count++; app.canvas.setDirty(true, true); if (going) requestAnimationFrame(frame) }
        const began = performance.now()
        requestAnimationFrame(frame)
        await new Promise(resume => setTimeout(resume, turn))
        going = false
        return 1000 * count / (performance.now() - began)
    }
    const found = {bare: [], panel: []}
    for (let at = 0; at < turns; at++) {
        place.hidden = true
        found.bare.push(await frames())
        place.hidden = false
        render(place)
        state.receive('panel_state', {paused: false, rules: {}, answers: [], runs: [], webuis: [], main_webui_id: 1})
        state.receive('activity', {entries: Array.from({length: 1000}, (_, n) => entry(n + 1)), programs: programs(0)})
        fetch()
        place.querySelectorAll('[role=tab]')[at % 2].click()
        const timers = [setInterval(update, 100), setInterval(fetch, 500)]
        found.panel.push(await frames())
        timers.forEach(clearInterval)
        place.replaceChildren()
    }
    return found
}"""


async def measure(playwright: Playwright) -> list[Row]:
    """A row for each frontend."""
    rows: list[Row] = []
    for frontend in build.FRONTENDS:
        async with opened_tab(playwright, frontend) as tab:
            await tab.load_workflow(_graph())
            found = await tab.page.evaluate(COUNT, [f"/extensions/{PACKAGE_NAME}/ui/panel/", TURNS, TURN])
        bare, panel = percentile(found["bare"], 50), percentile(found["panel"], 50)
        compared = f"{panel:.1f} to {bare:.1f} frames/s"
        rows.append(Row(f"frames with a full panel, {frontend}", panel / bare, "x", KEPT, True, compared))
    return rows


def _graph() -> dict[str, Any]:
    kinds = [("EmptyImage", [64, 64, 1, 0]), ("CLIPTextEncode", ["a cat"])] * 20
    nodes = [
        {"id": at + 1, "type": kind, "pos": [at % 8 * 260, at // 8 * 200], "size": [220, 130], "widgets_values": values}
        for at, (kind, values) in enumerate(kinds)
    ]
    return {"nodes": nodes, "links": [], "version": 0.4}
