"""The panel and the dialogs pass axe-core, small and dark, and large and light; and nothing is cut off."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from comfyui_uiapi.tests.harness.browser.person import escape
from comfyui_uiapi.tests.harness.browser.tab import LARGE, SMALL, Tab
from comfyui_uiapi.tests.harness.comfy.workflows import UPSCALER
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import empty_to_save, node, ui
from ....harness.browser.scripts import GRAPH, NEEDY, SET, TOGGLE

SCREENS = build.STACK / "screens"
GRAVE = ("serious", "critical")
# How often the page may still have been on its way to what it looks like.
TRIES = 5
# Waits until nothing moves or fades but what does so without end.
STILL = """() => Promise.all(document.getAnimations()
    .filter(({effect}) => Number.isFinite(effect.getComputedTiming().endTime))
    .map(animation => animation.finished.catch(() => undefined)))"""
LOOKS = [("small", SMALL, "dark"), ("large", LARGE, "light")]
# Elements that overflow their container and are cut off; texts in log lines are shortened on purpose.
BEYOND = """part => [...part.querySelectorAll('*:not(.uiapi-log *)')].filter(element => {
    const {left, right, width} = element.getBoundingClientRect(), whole = part.getBoundingClientRect()
    return width > 0 && (left < whole.left - 1 || right > whole.right + 1)
}).map(element => element.className || element.textContent)"""


@pytest_asyncio.fixture(loop_scope="session")
async def full_tab(tab: Tab) -> AsyncIterator[Tab]:
    """A tab with content in each part of the open panel."""
    await tab.load_workflow(GRAPH)
    await tab.page.evaluate(TOGGLE)
    url = "https://huggingface.co/a/b/resolve/main/one.safetensors"
    elsewhere = {"url": "https://models.example.com/two.safetensors", "ckpt_type": "loras"}
    for command, data in (
        ("set_fields", {"fields": [["Canvas.width", 640], ["Prompt.text", "a dog"]]}),
        ("add_model_url", {"model_name": "one.safetensors", "url": url, "model_type": "loras"}),
        ("download_models", {"workflow": NEEDY, "download_table": {UPSCALER: elsewhere}}),
    ):
        await post(tab, command, data)
    yield tab
    await post(tab, "remove_model_url", {"model_name": "one.safetensors"})
    await tab.page.evaluate(SET, ["uiapi.rules.change", "allow"])
    await tab.page.evaluate(SET, ["Comfy.ColorPalette", "dark"])
    await tab.page.set_viewport_size(SMALL)
    await tab.page.evaluate(TOGGLE)


async def post(tab: Tab, command: str, data: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await asyncio.to_thread(tab.comfy.post, f"/uiapi/{command}", data)
    return answer


async def examine(tab: Tab, part: Locator, selector: str, name: str) -> None:
    """Assert that this part of the page has no serious problem in any look; screenshots are kept."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    version = await tab.page.evaluate("__COMFYUI_FRONTEND_VERSION__")
    found: list[str] = []
    for size, viewport, palette in LOOKS:
        await tab.page.set_viewport_size(viewport)
        await tab.page.evaluate(SET, ["Comfy.ColorPalette", palette])
        await expect(part).to_be_visible()
        for _ in range(TRIES):
            # Colours during the transition between palettes are ignored.
            await tab.drawn()
            await tab.page.evaluate(STILL)
            problems: list[str] = []
            results = await Axe().run(tab.page, context=selector)
            for violation in results.response["violations"]:
                if violation["impact"] in GRAVE:
                    problems += [f"{size} {palette} {violation['id']}: {entry['html']}" for entry in violation["nodes"]]
            problems += [f"{size} {palette} cut off: {name}" for name in await part.evaluate(BEYOND)]
            if not problems:
                break
        found += problems
        await tab.screenshot(SCREENS / f"look-{name}-{size}-{palette}-{version}.png")
    assert found == []


async def test_the_panel_has_no_serious_accessibility_problem(full_tab: Tab) -> None:
    panel = full_tab.page.locator(".uiapi")
    for name in ("Activity", "Downloads", "URLs"):
        await panel.get_by_role("tab", name=name).click()
        await examine(full_tab, panel, ".uiapi", name)


async def test_the_dialogs_have_no_serious_accessibility_problem(full_tab: Tab) -> None:
    missing = ui([node(1, "UpscaleModelLoader", "Upscaler", ["gone.safetensors"])])
    dialog = full_tab.page.get_by_role("dialog")
    gift = {"workflow": empty_to_save(), "title": "A gift", "message": "From a program"}
    # The request, and its result when the person closes the question.
    questions: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "offer": ("send_workflow", gift, {"status": "ok", "accepted": False}),
        "models": (
            "get_model_url",
            {"ckpt_names": ["a.safetensors", "b.safetensors"]},
            {"status": "error", "code": "declined"},
        ),
        "approval": (
            "set_fields",
            {"fields": [["Canvas.width", 320]]},
            {"status": "error", "code": "refused_by_person"},
        ),
    }
    await full_tab.page.evaluate(SET, ["uiapi.rules.change", "always"])
    for name, (command, data, closed) in questions.items():
        asked = asyncio.create_task(post(full_tab, command, data))
        await examine(full_tab, dialog, ".uiapi-dialog", name)
        await escape(full_tab.page)
        answer = await asked
        assert {key: answer.get(key) for key in closed} == closed
        await expect(dialog).to_have_count(0)
    await full_tab.page.evaluate(SET, ["Comfy.Workflow.ShowMissingModelsWarning", False])
    await post(full_tab, "load_workflow", {"workflow": missing})
    await examine(full_tab, full_tab.page.locator(".uiapi-notice"), ".uiapi-notice", "notice")


async def test_a_web_page_has_no_serious_accessibility_problem_in_its_question_nor_in_the_panel(full_tab: Tab) -> None:
    origin = f"http://{'long-' * 10}name.xn--pple-43d.example:8443"
    headers = {"Origin": origin, "Content-Type": "application/json"}
    url = f"{full_tab.comfy.url}/uiapi/query_fields"
    request = urllib.request.Request(url, b"{}", headers)  # noqa: S310 - a test's own server
    asked = asyncio.create_task(asyncio.to_thread(status_of, request))
    page, panel = full_tab.page, full_tab.page.locator(".uiapi")
    await examine(full_tab, page.get_by_role("dialog"), ".uiapi-dialog", "web-page")
    await page.get_by_role("dialog").get_by_role("button", name="Until ComfyUI restarts").click()
    await asked
    await panel.get_by_role("tab", name="Activity").click()
    await panel.get_by_text("Rules for this page").click()
    await examine(full_tab, panel, ".uiapi", "web-pages")
    await panel.get_by_role("button", name=f"Forget {origin}").click()
    await expect(panel.get_by_text("Rules for this page")).to_have_count(0)


def status_of(request: urllib.request.Request) -> int:
    """The status of a request; it may have been refused because nobody answered in time."""
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310 - a test's own server
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
