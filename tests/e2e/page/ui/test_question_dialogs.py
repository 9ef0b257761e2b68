"""Each question to the person says who asks what, works with the keyboard alone, and shows texts as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.person import escape, settled
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.harness.comfy.process import PACKAGE_NAME
from playwright.async_api import Locator, expect

from ....harness.browser.fake_server import FakeServer
from ....harness.browser.graphs import empty_to_save, node, ui
from ....harness.browser.views import APP_MODE, CANVAS, NODES_2, shown_as
from ..conftest import Played

HOSTILE = '<img src=x onerror="window.hacked = true">'
OPEN = ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0]), node(2, "CLIPTextEncode", "Prompt", ["a cat"])])
APPROVAL: dict[str, Any] = {"program": HOSTILE, "doc": HOSTILE, "about": HOSTILE, "writes": [], "once": True}
CHANGE: dict[str, Any] = {
    **APPROVAL,
    "kind": "change",
    "command": "batch",
    "workflow": HOSTILE,
    "writes": [
        {"path": "Canvas.width", "value": "640"},
        {"path": "set_node", "value": '{"node":"Canvas","title":"Sky"}', "edit": True},
        {"path": "add_node", "value": '{"type":"SaveImage","title":"<b>Result</b>"}', "edit": True},
        {"path": "set_connection", "value": '{"field":["Canvas.outputs[0]","Result.images"]}', "edit": True},
        {"path": "remove_node", "value": '{"nodes":["Prompt"]}', "edit": True},
        {"path": HOSTILE, "value": HOSTILE},
    ],
}
FILE = {"name": HOSTILE, "folder": "loras", "hosts": [HOSTILE], "size": 144_000_000, "found": HOSTILE}
# The request of each question, what is expected in it, and the names of its buttons in the order of the keyboard.
QUESTIONS: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    "change": ("approve", CHANGE, ["wants to change the workflow", "Canvas: titleCanvasSky"], ["Deny", "Change"]),
    "read": (
        "approve",
        {**APPROVAL, "kind": "read", "command": "get_workflow"},
        ["wants to read the workflow", "get_workflow"],
        ["Deny", "Let it read"],
    ),
    "load": (
        "approve",
        {**APPROVAL, "kind": "load", "command": "load_workflow"},
        ["wants to open or save a workflow", "load_workflow"],
        ["Deny", "Allow"],
    ),
    "sweep": (
        "approve",
        {**APPROVAL, "kind": "run", "kinds": ["run", "change"], "command": "sweep", "workflow": "portrait"},
        ["wants to run the workflow", "It wants to change the workflow.", "sweep"],
        ["Deny", "Allow"],
    ),
    "web page": (
        "approve_web_app",
        {"origin": f"http://{HOSTILE}"},
        ["wants to read, change and run", HOSTILE],
        ["Deny", "Until ComfyUI restarts", "Allow"],
    ),
    "run": (
        "approve",
        {**APPROVAL, "kind": "run", "command": "run", "workflow": "portrait"},
        ["wants to run the workflow", "portrait"],
        ["Deny", "Run"],
    ),
    "download": (
        "approve",
        {**APPROVAL, "kind": "download", "command": "download_models", "files": [FILE]},
        ["wants to download models", "loras", "144 MB"],
        ["Deny", "Download"],
    ),
    "offer": (
        "send_workflow",
        {"workflow": empty_to_save(), "title": HOSTILE, "message": HOSTILE},
        ["1 node added", "+ added"],
        ["Deny", "Open in new tab"],
    ),
    "models": (
        "get_model_url",
        {"ckpt_names": [HOSTILE, "b.safetensors"]},
        ["Where can these models be downloaded?"],
        ["Cancel", "Confirm"],
    ),
}
# Opens a question that the person asks for in the page, with its own dialogs.
OPEN_BY_PERSON = """async ([base, kind]) => {
    const names = ['dialogs.js', 'copies_dialog.js', 'missing/nodes_dialog.js', 'models/models_dialog.js']
    const [{ createFrontend }, { createDialogs }, { askForCopies }, { askForNodes }, { askForModels }] =
        await Promise.all(['page/frontend.js', ...names.map(name => `ui/${name}`)].map(name => import(base + name)))
    const dialogs = createDialogs(createFrontend(app, app.api, window)), {signal} = new AbortController()
    const copy = name => ({name, size: 1, modified: 1, here: true, damage: null})
    const model = {name: HOSTILE, used_by: [{path: HOSTILE}], copies: [copy('a.safetensors'), copy(HOSTILE)]}
    const pack = title => ({title, id: title, repository: HOSTILE, origin: 'manager', state: 'missing'})
    const lost = {nodes: [{id: 1, title: HOSTILE}], count: 5, how: HOSTILE}
    const types = [{...lost, type: HOSTILE, packs: [pack(HOSTILE), pack('b')]}, {...lost, type: 'none', packs: []}]
    const file = {name: HOSTILE, used_by: [{path: HOSTILE}]}
    const known = {...file, directory: 'loras', plan: {action: 'download', url: 'https://example.com/a', size: 1e9}}
    const check = Object.assign(async () => 'no', {folders: async () => ({folders: ['loras', HOSTILE], likely: [[]]})})
    const find = async () => ({models: [{candidates: []}], search: {complete: true, failures: []}})
    const look = {title: 'Missing models', confirm: 'Download', free: 5e9, find, describes: true, places: true}
    const plan = models => askForModels(dialogs, models, check, signal, look)
    window.answer = {
        copies: () => askForCopies(dialogs, [model], signal),
        token: () => dialogs.secret('Token', HOSTILE, signal),
        nodes: () => askForNodes(dialogs, {types, manager: 'queue'}, signal),
        'long address': () => {
            const repository = 'https://github.com/example/Installed_Pack_of_somebody'
            const found = {...lost, type: 'Lost', packs: [{...pack('Pack'), repository}]}
            return askForNodes(dialogs, {types: [found], manager: 'queue'}, signal)
        },
        'nodes without a manager': () => askForNodes(dialogs, {types, manager: null}, signal),
        plan: () => plan([file, known]),
        'plan without a question': () => plan([known]),
    }[kind]()
}""".replace("HOSTILE", json.dumps(HOSTILE))
# The texts of each of them, and what gets the focus, in this order.
OF_PERSON: dict[str, tuple[list[str], list[str]]] = {
    "copies": (["Several different files"], ["Cancel", "Use it"]),
    "token": ([HOSTILE], ["Token", "Cancel", "Confirm"]),
    "nodes": (
        ["A pack of nodes is code", f"{HOSTILE} · from ComfyUI-Manager's list", "2 more"],
        ["Nodes", f"Pack for {HOSTILE}", f"Install the pack for {HOSTILE}", "Cancel", "Install with ComfyUI-Manager"],
    ),
    "nodes without a manager": ([HOSTILE], ["Nodes", "Close"]),
    "plan": (
        ["2 models", "1.0 GB", "5.0 GB"],
        [
            "Models",
            f"URL of {HOSTILE}",
            "Search Hugging Face",
            "Search CivitAI",
            f"Folder of {HOSTILE}",
            f"Skip {HOSTILE}",
            "Search Hugging Face and CivitAI",
            "Save the links in the workflow too, for whoever opens it next",
            "Cancel",
            "Download",
        ],
    ),
    "plan without a question": (["1 model"], ["Cancel", "Download"]),
}
# Questions that are asked as well where the workflow is shown in another way than on the canvas.
ELSEWHERE = [("change", NODES_2), ("offer", NODES_2), ("offer", APP_MODE), ("models", APP_MODE)]
FOCUSED = """() => {
    const focused = document.activeElement
    // With these, a dialog of 1.32 sends the focus from its end to its beginning.
    if (focused.closest('[aria-hidden=true]')) return null
    return (focused.getAttribute('aria-label') || focused.labels?.[0]?.textContent || focused.textContent).trim()
}"""
# A field of the page itself, which has the focus before the question.
FIELD = """() => {
    document.querySelector('#own-field')?.remove()
    const field = document.createElement('input')
    field.id = 'own-field'
    document.body.prepend(field)
    field.focus()
}"""
FOCUS_BACK = "() => document.activeElement?.id === 'own-field'"


async def tabbed_through(tab: Tab) -> list[str]:
    """The names of what gets the focus, each where it gets it first, from the focused element once around."""
    found: list[str] = []
    for _ in range(40):
        name = await tab.page.evaluate(FOCUSED)
        if len(found) > 1 and name == found[0]:
            break
        if name is not None and name not in found:
            found.append(name)
        await tab.page.keyboard.press("Tab")
    return found


@pytest.mark.parametrize(("kind", "view"), [*((kind, CANVAS) for kind in QUESTIONS), *ELSEWHERE])
async def test_a_question_works_with_the_keyboard_alone(played: Played, kind: str, view: str) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=OPEN)
    await tab.page.bring_to_front()
    async with shown_as(view, tab):
        await go_through(server, tab, kind)


async def go_through(server: FakeServer, tab: Tab, kind: str) -> None:
    """Ask a question, move the focus once around, and close it."""
    command, data, texts, buttons = QUESTIONS[kind]
    await tab.page.evaluate(FIELD)
    # The data of an approval has a command of its own.
    [ident] = server.request_together([(command, data)])
    dialog = tab.page.get_by_role("dialog")
    if command == "approve":
        # Who asks is the first thing that is read out.
        await expect(dialog.get_by_role("heading").first).to_contain_text(f"{HOSTILE} wants to")
    await go_around(tab, dialog, texts, buttons)
    if kind == "offer":
        await expect(dialog.locator("svg rect").first).to_be_visible()
    await escape(tab.page)
    await server.answer(ident)
    await closed(tab, dialog)


@pytest.mark.parametrize("kind", OF_PERSON)
async def test_a_question_that_the_person_asked_for_works_with_the_keyboard_alone(played: Played, kind: str) -> None:
    _, tab = played
    dialog = await opened_by_person(tab, kind)
    await go_around(tab, dialog, *OF_PERSON[kind])
    await tab.page.keyboard.press("Escape")
    assert await tab.page.evaluate("window.answer") is None
    await closed(tab, dialog)


# The texts of which a word is broken at a place other than a separator, in these elements.
TORN = """texts => texts.filter(text => {
    const range = document.createRange(), word = /[^\\s/_.:-]+/g, torn = []
    for (const node of text.childNodes) {
        for (const {0: found, index} of (node.data ?? '').matchAll(word)) {
            range.setStart(node, index)
            range.setEnd(node, index + found.length)
            if (range.getClientRects().length > 1) torn.push(found)
        }
    }
    return torn.length > 0
}).map(({textContent}) => textContent)"""


async def test_an_address_of_missing_nodes_breaks_where_its_parts_end(played: Played) -> None:
    _, tab = played
    await tab.page.evaluate(OPEN_BY_PERSON, [f"/extensions/{PACKAGE_NAME}/", "long address"])
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("https://github.com/example/Installed_Pack_of_somebody")
    await settled(tab.page)
    assert await dialog.locator(".uiapi-hint").evaluate_all(TORN) == []
    await tab.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)


@pytest.mark.parametrize("kind", ["copies", "nodes"])
async def test_a_question_that_is_agreed_to_without_a_choice_says_so_and_stays(played: Played, kind: str) -> None:
    _, tab = played
    dialog = await opened_by_person(tab, kind)
    await settled(tab.page)
    await dialog.get_by_role("button", name=OF_PERSON[kind][1][-1], exact=True).press("Enter")
    await expect(dialog.get_by_role("status")).to_have_text("Nothing is chosen yet: choose something, or cancel.")
    # The focus is at what can be chosen first, which a key chooses.
    await tab.page.wait_for_function("() => document.activeElement.matches('[role=dialog] input')")
    await tab.page.keyboard.press("Space")
    await expect(dialog.get_by_role("status")).to_have_text("")
    await tab.page.keyboard.press("Escape")
    await closed(tab, dialog)


async def opened_by_person(tab: Tab, kind: str) -> Locator:
    """Open a dialog as the person does, with the focus in a field before."""
    await tab.page.bring_to_front()
    await tab.page.evaluate(FIELD)
    await tab.page.evaluate(OPEN_BY_PERSON, [f"/extensions/{PACKAGE_NAME}/", kind])
    return tab.page.get_by_role("dialog")


async def go_around(tab: Tab, dialog: Locator, texts: list[str], buttons: list[str]) -> None:
    """Check the name and the texts of the open dialog, and what gets the focus in which order."""
    await expect(dialog).to_have_accessible_name(await dialog.get_by_role("heading").first.inner_text())
    for text in texts:
        await expect(dialog).to_contain_text(text)
    # The dialog has the focus, but not on what agrees: it may open while the person is typing.
    agrees = dialog.get_by_role("button", name=buttons[-1], exact=True)
    # A dialog may take the focus once it is open, late on a busy machine.
    await settled(tab.page)
    if buttons[-1] != "Close":
        await expect(agrees).not_to_be_focused()
    order = await tabbed_through(tab)
    named = [name for name in order if name in buttons]
    start = named.index(buttons[0])
    assert [*named[start:], *named[:start]] == buttons, order
    assert all(order), order
    assert await tab.page.evaluate("window.hacked") is None
    assert await dialog.locator("img").count() == 0


async def closed(tab: Tab, dialog: Locator) -> None:
    """Wait until the dialog is closed and the focus is where it was before."""
    await expect(dialog).to_have_count(0)
    await tab.page.wait_for_function(FOCUS_BACK)
    await tab.page.evaluate("() => document.querySelector('#own-field').remove()")


async def test_a_batch_is_asked_about_change_by_change(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=OPEN)
    [ident] = server.request_together([("approve", CHANGE)])
    rows = tab.page.get_by_role("dialog").get_by_role("row")
    await expect(rows).to_have_text(
        [
            "FieldNowNew",
            "Canvas.width64640",
            "Canvas: titleCanvasSky",
            "<b>Result</b>added SaveImage",
            "Result.imageslinked Canvas.outputs[0] → Result.images",
            "Promptremove node",
            HOSTILE * 2,
        ]
    )
    await settled(tab.page)
    await tab.page.get_by_role("button", name="Change", exact=True).press("Enter")
    assert (await server.answer(ident))["response"] == {"allowed": True}


# What is broken in a table: headings of several lines, and short values of several lines.
BROKEN = """table => [...table.querySelectorAll('th, td')]
    .filter(({textContent}) => textContent.length < 12)
    .filter(cell => {
        const words = document.createRange()
        words.selectNodeContents(cell)
        return new Set([...words.getClientRects()].map(({top}) => Math.round(top))).size > 1
    }).map(({textContent}) => textContent)"""


async def test_a_long_value_leaves_the_others_room(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=OPEN)
    writes = [{"path": "Prompt.text", "value": "a dog on a sofa " * 40}, {"path": "Canvas.width", "value": "640"}]
    [ident] = server.request_together([("approve", {**CHANGE, "writes": writes})])
    table = tab.page.get_by_role("dialog").get_by_role("table")
    await expect(table).to_contain_text("a dog on a sofa")
    await settled(tab.page)
    assert await table.evaluate(BROKEN) == []
    await tab.page.keyboard.press("Escape")
    await server.answer(ident)
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)


# How far the content of a dialog ends from the edges of its window, and whether something there is too wide.
EDGES = """content => {
    const [own, whole] = [content, content.closest('[role=dialog]')].map(element => element.getBoundingClientRect())
    const wide = content.scrollWidth > content.clientWidth
    return {left: own.left - whole.left, right: whole.right - own.right, wide}
}"""


async def test_a_long_name_makes_no_dialog_wider_than_its_content(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=OPEN)
    question = {**APPROVAL, "program": "a program " * 8, "kind": "run", "command": "run", "workflow": "portrait"}
    [ident] = server.request_together([("approve", question)])
    content = tab.page.locator(".uiapi-dialog")
    await expect(content).to_contain_text("portrait")
    await settled(tab.page)
    edges = await content.evaluate(EDGES)
    # A scrollbar may stand on one side.
    assert abs(edges["left"] - edges["right"]) <= 16 and not edges["wide"]
    await tab.page.keyboard.press("Escape")
    await server.answer(ident)
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)


async def test_a_question_about_stopping_a_run_does_not_speak_of_running(played: Played) -> None:
    server, tab = played
    [ident] = server.request_together([("approve", {**APPROVAL, "kind": "run", "command": "interrupt"})])
    dialog = tab.page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading").first).to_contain_text("wants to use interrupt")
    await dialog.get_by_role("button", name="Allow", exact=True).click()
    assert (await server.answer(ident))["response"] == {"allowed": True}
    await expect(dialog).to_have_count(0)


async def test_an_accepted_workflow_keeps_its_title(played: Played) -> None:
    server, tab = played
    ident = server.request("send_workflow", workflow=empty_to_save(), title="../Sunset: 2/3", message="")
    await tab.page.get_by_role("button", name="Open in new tab").click()
    assert (await server.answer(ident))["response"]["accepted"] is True
    name = "() => app.extensionManager.workflow.activeWorkflow.filename"
    assert (await tab.page.evaluate(name)).startswith("Sunset 2 3")
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)
