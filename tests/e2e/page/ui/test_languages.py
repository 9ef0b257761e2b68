"""The page speaks the language that is chosen in ComfyUI's settings, and nothing overflows its place in any of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME
from comfyui_uiapi.tests.tools import build
from playwright.async_api import expect

from ....harness.browser.scripts import GRAPH, SET, TOGGLE
from ..conftest import Send

LOCALES = build.ROOT / "locales"
LANGUAGES = sorted(path.name for path in LOCALES.iterdir())
RUN = "id => app.extensionManager.command.execute(id)"
# Shows the texts of the page in a language without the frontend's own, which takes it seconds to load.
SPEAK = """async ([base, locale]) => {
    const { setTexts } = await import(base + 'ui/texts.js')
    window.served ??= await app.api.getCustomNodesI18n()
    setTexts(window.served, locale)
}"""
# Everything of ours that is wider than its place. The log's paths are not texts of a language, and are cut if they are
# long; which ones are shown depends on the tests before.
OVERFLOWING = """() => {
    const places = '.uiapi, .uiapi-dialog, .uiapi-paused, .uiapi-badge, .uiapi-notice'
    const parts =
        'button:not(.uiapi-link.uiapi-cut), [role=tab], [role=switch], h2, h3, label, th, select, .uiapi-tabs, ' +
        '.uiapi-actions, .uiapi-toolbar, .uiapi-scroll, .uiapi-line, .uiapi-links, .uiapi-offer'
    const all = [...document.querySelectorAll(places)].flatMap(place => [place, ...place.querySelectorAll(parts)])
    return all.filter(({clientWidth, scrollWidth}) => clientWidth > 0 && scrollWidth > clientWidth + 1)
        .map(({className, textContent, clientWidth, scrollWidth}) =>
            `${className}: ${textContent.slice(0, 60)} (${scrollWidth} > ${clientWidth})`)
}"""

# Puts the contents of other questions, one after the other, into the open dialog, and returns what is too wide there.
OTHER_QUESTIONS = """async ([base, path]) => {
    const [{ askForOffer }, { askAddresses }] = await Promise.all(
        ['questions/offer_dialog.js', 'models/models_dialog.js'].map(name => import(base + 'ui/' + name)))
    const overflowing = OVERFLOWING
    const open = document.querySelector('.uiapi-dialog')
    const found = {overflowing: [], measured: 0}
    const dialogs = {show(title, build, signal, {wide} = {}) {
        const {element} = build(() => undefined)
        element.classList.add('uiapi-dialog')
        element.classList.toggle('uiapi-wide', Boolean(wide))
        open.replaceWith(element)
        found.overflowing.push(...overflowing())
        found.measured += element.isConnected && element.clientWidth > 0 ? 1 : 0
        element.replaceWith(open)
        return Promise.resolve(null)
    }}
    const signal = new AbortController().signal
    const now = app.rootGraph.serialize()
    const frontend = {rootGraph: () => app.rootGraph, state: () => now}
    const node = now.nodes[0]
    const workflow = {...now, nodes: [{...node, title: 'Sky'}, {...node, id: 90, title: 'Result'}]}
    await askForOffer({frontend, dialogs}, {workflow, program: 'Blender', title: 'Sunset', message: 'Try this'}, signal)
    const models = [{name: 'one.safetensors', directory: 'loras'}, {name: 'two.safetensors', used_by: [{path}]}]
    const find = () => Promise.reject(new Error('not found'))
    const folders = async () => ({folders: ['a_rather_long_name_of_a_folder_of_models'], likely: [[], []]})
    const check = Object.assign(() => undefined, {folders})
    await askAddresses(dialogs, models, check, signal, {find, describe() {}}).catch(() => undefined)
    return found
}""".replace("OVERFLOWING", OVERFLOWING)


def texts(locale: str, name: str = "main") -> Any:
    return json.loads((LOCALES / locale / f"{name}.json").read_text("utf-8"))


async def test_a_chosen_language_is_that_of_the_panel_the_settings_and_the_commands(tab: Tab) -> None:
    page, chinese = tab.page, texts("zh")["uiapi"]
    await tab.load_workflow(GRAPH)
    await page.evaluate(TOGGLE)
    panel = page.locator(".uiapi:visible")
    await expect(panel.get_by_role("switch")).to_have_text(texts("en")["uiapi"]["pause"])
    await page.evaluate(SET, ["Comfy.Locale", "zh"])
    try:
        await expect(panel.get_by_role("switch")).to_have_text(chinese["pause"])
        await page.evaluate(RUN, "uiapi.rules")
        dialog = page.get_by_role("dialog")
        await expect(dialog.get_by_text(texts("zh", "settings")["uiapi_rules_read"]["name"])).to_be_visible()
        await expect(dialog.get_by_text(chinese["rulesTitle"], exact=True)).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
    finally:
        await page.evaluate(SET, ["Comfy.Locale", "en"])
    await expect(panel.get_by_role("switch")).to_have_text(texts("en")["uiapi"]["pause"])
    await page.evaluate(TOGGLE)
    await expect(panel).to_have_count(0)


async def test_no_text_of_any_language_overflows_its_place(tab: Tab, attempt: Send) -> None:
    page = tab.page
    await tab.load_workflow(GRAPH)
    panel, dialog = page.locator(".uiapi:visible"), page.get_by_role("dialog")
    base = f"/extensions/{PACKAGE_NAME}/"
    long = "A canvas whose title is longer than any panel is wide, so that the log cuts it"
    for command, body in (
        ("set_node", {"node": "Canvas", "title": long}),
        ("set_fields", {"fields": [[f"{long}.width", 128]]}),
        ("set_node", {"node": long, "title": "Canvas"}),
    ):
        assert (await attempt(command, **body))["status"] == "ok"
    found: dict[str, list[str]] = {}
    await page.evaluate(SET, ["uiapi.rules.change", "always"])
    try:
        for locale in LANGUAGES:
            own = texts(locale)["uiapi"]
            await page.evaluate(SPEAK, [base, locale])
            await page.evaluate(TOGGLE)
            await expect(panel.get_by_role("switch")).to_have_text(own["pause"])
            await page.evaluate(RUN, "uiapi.pause")
            await expect(page.locator(".uiapi-paused")).to_contain_text(own["programsPaused"])
            for number in range(await panel.get_by_role("tab").count()):
                await panel.get_by_role("tab").nth(number).click()
                found[locale] = [*found.get(locale, []), *await page.evaluate(OVERFLOWING)]
            await page.evaluate(RUN, "uiapi.pause")
            await expect(page.locator(".uiapi-paused")).to_have_count(0)
            asked = asyncio.ensure_future(attempt("set_fields", fields=[["Canvas.width", 96]]))
            await expect(dialog.get_by_role("button", name=own["deny"], exact=True)).to_be_visible()
            found[locale] += await page.evaluate(OVERFLOWING)
            others = await page.evaluate(OTHER_QUESTIONS, [base, "Canvas.a_rather_long_name_of_a_widget"])
            found[locale] += others["overflowing"]
            assert others["measured"] == 2
            await dialog.get_by_role("button", name=own["deny"], exact=True).click()
            assert (await asked)["code"] == "refused_by_person"
            await page.evaluate(TOGGLE)
            await expect(panel).to_have_count(0)
    finally:
        await page.evaluate(SPEAK, [base, "en"])
        await page.evaluate(SET, ["uiapi.rules.change", "allow"])
    assert {locale: sorted(set(parts)) for locale, parts in found.items() if parts} == {}
