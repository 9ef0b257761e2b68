"""The panel and the questions about programs work, and never interpret texts as markup, dark and light."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.person import escape
from comfyui_uiapi.tests.harness.browser.tab import LARGE, SMALL, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME, ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import node, seeded, ui
from ....harness.browser.scripts import GRAPH, HOLD_GLOWS, INTERRUPTED, PREVIEW, SET, TOGGLE
from ..conftest import Send

SCREENS = build.STACK / "screens"
HOSTILE = '<img src=x onerror="window.hacked = true">'
KINDS = ("read", "change", "run", "download", "load")
# A separate panel whose state is set by the test; returns the milliseconds of each update, including layout.
TIMED = """async base => {
    const [{createPanel}, {createState}] = await Promise.all([import(base + 'panel.js'), import(base + 'state.js')])
    let render, frame
    const log = {entries: [], programs: []}
    const request = async command => command === 'downloads' ? {downloads: []} : log
    const state = createState({request, clientId: () => 1}, {requestAnimationFrame: f => (frame = f, 1), console})
    const addSidebarTab = tab => (render = tab.render)
    const frontend = {rootGraph: () => app.rootGraph, toast() {}, closeIcon: () => null, addSidebarTab}
    createPanel({frontend, state, request, dialogs: {}, revisions: {activeTab: () => 'tab-1'}})
    const place = document.body.appendChild(document.createElement('div'))
    place.style.cssText = 'position: fixed; inset: 0; width: 320px; z-index: 9999'
    render(place)
    state.receive('panel_state', {paused: false, rules: {}, answers: [], runs: [], webuis: [], main_webui_id: 1})
    await new Promise(resume => setTimeout(resume, 50))
    const change = before =>
        ({kind: 'widget_changed', path: 'Canvas.width', node: '1', what: 'width', before, after: 64,
            webui: 1, tab: 'tab-1'})
    const entry = id => ({id, program: `p${id % 20}`, kind: 'change', command: 'set_fields', about: 'Canvas.width',
        time: 1e9 + id, count: 1, state: 'done', code: null, changes: [change(id)], changes_total: 1})
    const programs = at => Array.from({length: 20}, (_, n) =>
        ({name: `p${n}`, last: at + n, connections: n % 2, command: 'set_fields', rate: at % 7}))
    const model = (n, bytes) => ({status: 'downloading', bytes, total: 1e9, speed: 1e7, eta: 9, model_number: '1'})
    const download = (n, bytes) => state.receive('download_progress',
        {download_id: `d${n}`, start_time: n, progress: {[`m${n}.safetensors`]: model(n, bytes)}})
    const update = () => {
        const began = performance.now()
        frame()
        place.offsetHeight
        return performance.now() - began
    }
    // As many plain lines as a screen of the panel has, built anew: what a page without any thought would do.
    const plain = () => {
        const began = performance.now()
        const list = document.createElement('div')
        for (let n = 0; n < 100; n++) {
            const line = list.appendChild(document.createElement('div'))
            for (const text of ['p1', 'set_fields', 'Canvas.width', `${n} → 64`])
                line.appendChild(document.createElement('span')).textContent = text
        }
        place.append(list)
        place.offsetHeight
        list.remove()
        return performance.now() - began
    }
    const times = {activity: [], downloads: [], plain: []}
    state.receive('activity', {entries: Array.from({length: 1000}, (_, n) => entry(n + 1)), programs: programs(0)})
    update()
    for (const [tab, into] of [[0, times.activity], [1, times.downloads]]) {
        place.querySelectorAll('[role=tab]')[tab].click()
        for (let round = 0; round < 40; round++) {
            state.receive('activity', {entries: [entry(1001 + round + 100 * tab)], programs: programs(round)})
            for (let n = 0; n < 50; n++) download(n, 1e7 * round)
            into.push(update())
            times.plain.push(plain())
        }
    }
    const rows = place.querySelectorAll('.uiapi-log-line').length
    const bars = place.querySelectorAll('[role=progressbar]').length
    place.remove()
    return {...times, rows, bars}
}"""
# Whether just these nodes glow.
GLOW = """titles => titles.join() ===
    app.rootGraph.nodes.filter(node => node.strokeStyles?.uiapi).map(({title}) => title).join()"""
SELECTED = "title => [...app.canvas.selectedItems].map(({ title }) => title).join() === title"
# Shows the panel, whether it is open already or not.
OPEN = "() => void (app.extensionManager.sidebarTab.activeSidebarTabId = 'uiapi')"

As = Callable[..., Coroutine[Any, Any, tuple[int, dict[str, Any]]]]


def post(url: str, command: str, data: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", "User-Agent": name}
    request = urllib.request.Request(f"{url}/uiapi/{command}", json.dumps(data).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def ask_as(tab: Tab) -> As:
    """`await ask_as(name, command, **data)`: status and envelope of a command by a program of that name."""

    async def asked(name: str, command: str, **data: Any) -> tuple[int, dict[str, Any]]:
        return await asyncio.to_thread(post, tab.comfy.url, command, data, name)

    return asked


@pytest_asyncio.fixture(loop_scope="session", params=["dark", "light"])
async def panel(request: pytest.FixtureRequest, tab: Tab) -> AsyncIterator[Locator]:
    """The open panel with one small graph, small and dark, and large and light; everything is allowed."""
    await tab.page.evaluate(SET, ["Comfy.ColorPalette", request.param])
    await tab.page.set_viewport_size(SMALL if request.param == "dark" else LARGE)
    await tab.load_workflow(GRAPH)
    await tab.page.get_by_role("button", name="What programs do with this workflow").click()
    shown = tab.page.locator(".uiapi")
    await expect(shown).to_contain_text("this is tab")
    yield shown
    switch = shown.get_by_role("switch")
    if await switch.get_attribute("aria-checked") == "true":
        await switch.click()
        await expect(switch).to_have_attribute("aria-checked", "false")
    for kind in KINDS:
        await tab.page.evaluate(SET, [f"uiapi.rules.{kind}", "allow"])
    await tab.page.evaluate(TOGGLE)
    await expect(shown).to_have_count(0)
    await tab.page.evaluate(SET, ["Comfy.ColorPalette", "dark"])
    await tab.page.set_viewport_size(SMALL)


async def keep(request: pytest.FixtureRequest, tab: Tab) -> None:
    """Keep a screenshot as the test's output."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    await tab.screenshot(Path(SCREENS / f"{name}.png"))


async def test_the_log_shows_a_change_and_takes_it_back(
    panel: Locator, tab: Tab, ask_as: As, send: Send, request: pytest.FixtureRequest
) -> None:
    assert (await ask_as("Blender", "set_fields", fields=[["Canvas.width", 640]]))[0] == 200
    log = panel.get_by_role("list", name="Log")
    await expect(log).to_contain_text("64 → 640")
    entry = log.get_by_role("listitem").first
    await expect(entry).to_contain_text("Blender set Canvas.width")
    undo = log.get_by_role("listitem").nth(1).get_by_role("button", name="Undo this")
    await keep(request, tab)
    await log.get_by_role("button", name="Canvas.width").first.click()
    await tab.page.wait_for_function(SELECTED, arg="Canvas")
    await undo.click()
    await expect(undo).to_have_count(0)

    async def taken_back() -> bool:
        return bool((await send("get_fields", fields=["Canvas.width"]))["Canvas.width"] == 64)

    await until(taken_back, "the value before", PATIENCE)


async def test_undo_is_not_offered_once_the_person_has_changed_it(panel: Locator, tab: Tab, ask_as: As) -> None:
    # Writes of other programs in other tests may still be undoable.
    await ask_as("Painter", "set_fields", fields=[["Canvas.height", 128]])
    await panel.get_by_role("combobox", name="Programs that the log shows").select_option("Painter")
    undo = panel.get_by_role("list", name="Log").get_by_role("button", name="Undo this")
    await expect(undo.first).to_be_visible()
    await tab.page.evaluate("() => { app.rootGraph.nodes.find(n => n.title === 'Canvas').widgets[1].value = 32 }")
    await ask_as("Painter", "get_fields", fields=["Canvas.height"])
    await expect(undo).to_have_count(0)


async def test_undo_is_only_offered_in_the_workflow_that_was_changed(panel: Locator, tab: Tab, ask_as: As) -> None:
    await ask_as("Mover", "set_fields", fields=[["Canvas.width", 640]])
    await panel.get_by_role("combobox", name="Programs that the log shows").select_option("Mover")
    undo = panel.get_by_role("list", name="Log").get_by_role("button", name="Undo this")
    await expect(undo.first).to_be_visible()
    shown = (await ask_as("Mover", "list_tabs"))[1]["response"]["tabs"]
    same = ui([node(1, "EmptyImage", "Canvas", [640, 64, 1, 0])])
    await ask_as("Mover", "load_workflow", workflow=same)
    await expect(undo).to_have_count(0)
    [changed] = [item["id"] for item in shown if item["active"]]
    await ask_as("Mover", "switch_tab", tab=changed)
    await expect(undo.first).to_be_visible()


async def test_paused_programs_may_read_and_nothing_else(
    panel: Locator, tab: Tab, ask_as: As, request: pytest.FixtureRequest
) -> None:
    switch = panel.get_by_role("switch", name="Pause programs")
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "true")
    status, refused = await ask_as("Blender", "set_fields", fields=[["Canvas.width", 1]])
    assert (status, refused["code"]) == (423, "paused")
    assert (await ask_as("Blender", "get_fields", fields=["Canvas.width"]))[0] == 200
    await expect(panel).to_contain_text(refused["error"])
    await keep(request, tab)
    await switch.click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    assert (await ask_as("Blender", "set_fields", fields=[["Canvas.width", 96]]))[0] == 200


@pytest.mark.parametrize(("button", "status"), [("Change", 200), ("Deny", 403), ("Escape", 403)])
async def test_the_person_is_asked_before_a_change(
    panel: Locator, tab: Tab, ask_as: As, button: str, status: int, request: pytest.FixtureRequest
) -> None:
    await tab.page.evaluate(SET, ["uiapi.rules.change", "always"])
    asked = asyncio.create_task(ask_as(HOSTILE, "set_fields", fields=[["Canvas.width", 640]]))
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Canvas.width")
    await expect(dialog).to_contain_text(HOSTILE[:20])
    for words in ("64", "640"):
        await expect(dialog.get_by_role("cell", name=words, exact=True)).to_be_visible()
    await expect(dialog.get_by_role("button", name="Deny")).to_be_focused()
    await expect(tab.page.locator(".uiapi-badge").first).to_contain_text("waiting for your answer")
    await keep(request, tab)
    await (escape(tab.page) if button == "Escape" else dialog.get_by_role("button", name=button, exact=True).click())
    assert (await asyncio.wait_for(asked, 60))[0] == status
    await expect(dialog).to_have_count(0)
    assert await tab.page.evaluate("window.hacked") is None


async def test_what_programs_write_is_shown_as_text(panel: Locator, tab: Tab, ask_as: As) -> None:
    await ask_as(HOSTILE, "set_fields", fields=[["Prompt.text", HOSTILE]])
    await expect(panel.get_by_role("list", name="Programs")).to_contain_text(HOSTILE[:20])
    await expect(panel.get_by_role("list", name="Log")).to_contain_text("a cat → <img src=x")
    assert await panel.locator("img").count() == 0
    assert await tab.page.evaluate("window.hacked") is None


async def test_urls_are_added_found_changed_and_removed(
    panel: Locator, tab: Tab, request: pytest.FixtureRequest
) -> None:
    await panel.get_by_role("tab", name="URLs").click()
    for name in ("one.safetensors", "two.safetensors"):
        await panel.get_by_role("textbox", name="Model file name").fill(name)
        await panel.get_by_role("textbox", name="URL", exact=True).fill(
            f"https://huggingface.co/a/b/resolve/main/{name}"
        )
        await panel.get_by_role("button", name="Add URL").click()
        await expect(panel.get_by_role("listitem").filter(has_text=name)).to_be_visible()
    await keep(request, tab)
    await panel.get_by_role("searchbox").fill("two")
    await expect(panel.get_by_role("listitem")).to_have_count(1)
    field = panel.get_by_role("textbox", name="URL of two.safetensors")
    await field.fill("https://huggingface.co/a/c/resolve/main/two.safetensors")
    await field.press("Enter")
    await expect(panel.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    urls = (await asyncio.to_thread(tab.comfy.get, "/uiapi/model_urls"))["response"]["urls"]
    assert "/a/c/" in json.dumps(urls["two.safetensors"])
    await panel.get_by_role("searchbox").fill("")
    for name in ("one.safetensors", "two.safetensors"):
        await panel.get_by_role("button", name=f"Forget {name}").click()
        await expect(panel.get_by_role("listitem").filter(has_text=name)).to_have_count(0)


async def test_polling_is_hidden_and_one_line(panel: Locator, tab: Tab, ask_as: As) -> None:
    await ask_as("Poller", "set_fields", fields=[["Canvas.width", 65]])
    await ask_as("Poller", "get_fields", fields=["Canvas.width"])
    await ask_as("Poller", "set_fields", fields=[["Canvas.height", 66]])
    await ask_as("Poller", "get_fields", fields=["Canvas.width"])
    await panel.get_by_role("combobox", name="Programs that the log shows").select_option("Poller")
    log = panel.get_by_role("list", name="Log")
    await expect(log).to_contain_text("Poller set Canvas.width")
    await expect(log).not_to_contain_text("read")
    await panel.get_by_role("combobox", name="Commands that the log shows").select_option("Everything")
    await expect(log.get_by_role("listitem").filter(has_text="Poller read Canvas.width")).to_have_count(1)
    await panel.get_by_role("combobox", name="Commands that the log shows").select_option("Runs")
    await expect(panel).to_contain_text("Nothing of this kind yet")


async def test_changed_nodes_glow_for_a_moment(panel: Locator, tab: Tab, ask_as: As) -> None:
    # The moment is held, since it may be over before a busy machine looks.
    await tab.page.evaluate(HOLD_GLOWS)
    await ask_as("Blender", "set_fields", fields=[["Canvas.width", 72]])
    await tab.page.wait_for_function(GLOW, arg=["Canvas"])
    await tab.page.evaluate("() => window.letGlowsEnd()")
    await tab.page.wait_for_function(GLOW, arg=[])


async def test_two_browsers_show_the_same_and_a_reload_loses_nothing(
    tab: Tab, ask_as: As, comfy: ComfyProcess, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    await tab.load_workflow(GRAPH)
    await ask_as("Twice seen", "set_fields", fields=[["Canvas.width", 200]])
    other = await open_tab(comfy)
    for page in (tab.page, other.page):
        await page.evaluate(TOGGLE)
        await expect(page.locator(".uiapi").get_by_role("list", name="Log")).to_contain_text("64 → 200")
    await tab.page.get_by_role("switch", name="Pause programs").click()
    await expect(other.page.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    await other.load(clear=False)
    shown = other.page.locator(".uiapi")
    # Some frontends open the sidebar again by themselves.
    await other.page.evaluate(OPEN)
    await expect(shown.get_by_role("list", name="Log")).to_contain_text("64 → 200")
    await expect(other.page.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    await other.page.get_by_role("switch").click()
    await expect(tab.page.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    await other.page.get_by_role("button", name="Make this the main tab").click()
    await expect(tab.page.locator(".uiapi")).to_contain_text(f"tab {other.webui} is the main tab")
    await tab.page.get_by_role("button", name="Make this the main tab").click()
    await expect(other.page.locator(".uiapi")).to_contain_text(f"tab {tab.webui} is the main tab")
    await tab.page.evaluate(TOGGLE)


async def test_a_badge_names_the_program_while_its_run_is_in_progress(tab: Tab, ask_as: As) -> None:
    await tab.load_workflow(seeded("fixed"))
    await ask_as("Blender", "set_fields", fields=[["Slow.seconds", 600]])
    badge = tab.page.locator(".uiapi-badge")
    await expect(badge).to_be_hidden()
    run = asyncio.create_task(ask_as("Blender", "run"))
    await expect(badge).to_have_text("Blender: running this workflow")
    # A picture that is being made is shown there.
    preview = badge.locator("img")
    await expect(preview).to_be_hidden()
    await tab.page.evaluate(PREVIEW)
    await expect(preview).to_be_visible()
    # Repeatedly, since ComfyUI ignores an interrupt before the run has begun.
    await tab.page.wait_for_function(INTERRUPTED)
    await run


async def test_a_full_panel_is_brought_up_to_date_in_the_time_of_two_screens_of_plain_lines(tab: Tab) -> None:
    await tab.load_workflow(GRAPH)
    measured = []
    # Other processes may take the time of either.
    for _ in range(5):
        found = await tab.page.evaluate(TIMED, f"/extensions/{PACKAGE_NAME}/ui/panel/")
        assert found["rows"] < 200 and found["bars"] == 50
        measured.append({name: round(median(found[name]), 2) for name in ("activity", "downloads", "plain")})
        print(measured[-1])  # noqa: T201
        if max(measured[-1]["activity"], measured[-1]["downloads"]) < 2 * measured[-1]["plain"]:
            return
    raise AssertionError(measured)
