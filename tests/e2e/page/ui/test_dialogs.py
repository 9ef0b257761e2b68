"""Questions to the person at the browser: asked once, one at a time, and closed when they are cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.person import escape, fill, settled
from comfyui_uiapi.tests.harness.browser.tab import Tab
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import empty_to_save, node, ui
from ..conftest import Played

SCREENS = build.STACK / "screens"
# Elements that are wider than their container and would need a scrollbar.
OVERFLOWING = """dialog => [...dialog.querySelectorAll('*')]
    .filter(({scrollWidth, clientWidth}) => clientWidth > 0 && scrollWidth > clientWidth + 1)
    .map(element => element.className)"""
PASTE = """(field, text) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text', text)
    field.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}))
}"""
SHOWN = "() => app.rootGraph.nodes.map(node => node.type).sort()"


def dialog(tab: Tab) -> Locator:
    """The dialogs on the page."""
    return tab.page.get_by_role("dialog")


async def press(tab: Tab, name: str) -> None:
    await dialog(tab).get_by_role("button", name=name).click()


async def enter(tab: Tab, text: str) -> None:
    await fill(dialog(tab).get_by_role("textbox"), text)
    await press(tab, "Confirm")


async def test_an_offered_workflow_is_opened_when_the_person_agrees(played: Played) -> None:
    server, tab = played
    ident = server.request("send_workflow", workflow=empty_to_save(), title="A gift", message="From your program")
    await expect(dialog(tab)).to_contain_text("A gift")
    await expect(dialog(tab)).to_contain_text("From your program")
    assert await tab.page.evaluate(SHOWN) == []
    await press(tab, "Open in new tab")
    answer = (await server.answer(ident))["response"]
    assert answer["accepted"] is True
    assert await tab.page.evaluate(SHOWN) == ["EmptyImage", "SaveImage"]


@pytest.mark.parametrize("how", ["Deny", "Escape"])
async def test_an_offered_workflow_is_not_opened_when_the_person_declines(played: Played, how: str) -> None:
    server, tab = played
    ident = server.request("send_workflow", workflow=empty_to_save(), title="A gift", message="From your program")
    await expect(dialog(tab)).to_contain_text("A gift")
    await (press(tab, how) if how == "Deny" else escape(tab.page))
    assert (await server.answer(ident))["response"]["accepted"] is False
    assert await tab.page.evaluate(SHOWN) == []


@pytest.mark.parametrize("kind", ["UI format", "API format"])
async def test_an_offered_workflow_is_shown_as_what_it_changes(played: Played, kind: str) -> None:
    server, tab = played
    before = ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0]), node(2, "CLIPTextEncode", "Prompt", ["a cat"])])
    await server.call("load_workflow", workflow=before)
    offered = ui([node(1, "EmptyImage", "Canvas", [512, 64, 1, 0]), node(3, "SaveImage", "Result", ["new"])])
    if kind == "API format":
        inputs = {"width": 512, "height": 64, "batch_size": 1, "color": 0}
        offered = {
            "1": {"class_type": "EmptyImage", "_meta": {"title": "Canvas"}, "inputs": inputs},
            "3": {"class_type": "SaveImage", "_meta": {"title": "Result"}, "inputs": {"images": ["1", 0]}},
        }
    await tab.page.bring_to_front()
    ident = server.request("send_workflow", workflow=offered)
    table = dialog(tab).get_by_role("table")
    await expect(table.get_by_role("row")).to_have_text(
        ["FieldNowNew", "Canvas: width64512", "Resultadded SaveImage", "Promptremoved CLIPTextEncode"]
    )
    await expect(dialog(tab)).to_contain_text("1 node added, 1 node removed, 1 value changed")
    await expect(dialog(tab).get_by_role("img", name="Picture of the workflow")).to_be_visible()
    assert await dialog(tab).evaluate(OVERFLOWING) == []
    await expect(dialog(tab).get_by_role("button", name="Deny")).to_be_focused()
    SCREENS.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(SCREENS / f"offer-{kind[:2]}-{await tab.page.evaluate('__COMFYUI_FRONTEND_VERSION__')}.png")
    assert await tab.page.evaluate(SHOWN) == ["CLIPTextEncode", "EmptyImage"]
    await settled(tab.page)
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Enter")
    assert (await server.answer(ident))["response"]["accepted"] is True
    assert await tab.page.evaluate(SHOWN) == ["EmptyImage", "SaveImage"]


async def test_what_a_program_writes_is_shown_as_text(played: Played) -> None:
    server, tab = played
    bold = '<b>bold</b><img src=x onerror="window.hacked = true">'
    ident = server.request("send_workflow", workflow=empty_to_save(), title=bold, message=bold)
    await expect(dialog(tab)).to_contain_text("<b>bold</b>")
    await press(tab, "Deny")
    await server.answer(ident)
    assert await tab.page.evaluate("window.hacked") is None


async def test_what_is_no_workflow_is_refused_before_the_person_is_asked(played: Played) -> None:
    server, _ = played
    answer = await server.call("send_workflow", workflow={"no": "workflow"}, title=None, message=None)
    assert (answer["status"], answer["code"]) == ("error", "invalid")


async def test_a_cancelled_question_is_closed(played: Played) -> None:
    server, tab = played
    gift = {"workflow": empty_to_save(), "title": "A gift", "message": "m"}
    for command, data in (("send_workflow", gift), ("get_model_url", {"ckpt_name": "model.safetensors"})):
        ident = server.request(command, **data)
        await expect(dialog(tab)).to_have_count(1)
        server.cancel(ident)
        await expect(dialog(tab)).to_have_count(0)
        await server.call("get_fields", fields=[])
        assert not server.answered(ident)
    assert await tab.page.evaluate(SHOWN) == []


async def test_questions_are_asked_one_after_the_other(played: Played) -> None:
    server, tab = played
    first = server.request("send_workflow", workflow=empty_to_save(), title="First", message="m")
    second = server.request("get_model_url", ckpt_name="model.safetensors")
    third = server.request("send_workflow", workflow=empty_to_save(), title="Third", message="m")
    fourth = server.request("send_workflow", workflow=empty_to_save(), title="Fourth", message="m")
    await expect(dialog(tab)).to_contain_text("First")
    await expect(dialog(tab)).to_have_count(1)
    server.cancel(third)
    await press(tab, "Deny")
    await server.answer(first)
    await expect(dialog(tab)).to_contain_text("model.safetensors")
    await enter(tab, "https://example.com/model.safetensors")
    assert (await server.answer(second))["response"]["url"] == "https://example.com/model.safetensors"
    await expect(dialog(tab)).to_contain_text("Fourth")
    await press(tab, "Deny")
    await server.answer(fourth)
    assert not server.answered(third)


async def test_a_second_click_on_a_button_does_not_answer_the_next_question(played: Played) -> None:
    server, tab = played
    first = server.request("get_model_url", ckpt_name="first.safetensors")
    second = server.request("get_model_url", ckpt_name="second.safetensors")
    await (
        dialog(tab)
        .get_by_role("button", name="Cancel")
        .evaluate("button => { button.click(); for (const at of [50, 300, 600]) setTimeout(() => button.click(), at) }")
    )
    assert (await server.answer(first))["code"] == "declined"
    await expect(dialog(tab)).to_contain_text("second.safetensors")
    await tab.page.wait_for_timeout(800)
    await enter(tab, "https://example.com/second.safetensors")
    assert (await server.answer(second))["response"]["url"] == "https://example.com/second.safetensors"


@pytest.mark.parametrize("how", ["Cancel", "Close", "Escape"])
async def test_the_next_question_is_shown_however_the_one_before_was_closed(played: Played, how: str) -> None:
    server, tab = played
    for name in ("first", "second", "third"):
        ident = server.request("get_model_url", ckpt_name=f"{name}.safetensors")
        await expect(dialog(tab)).to_contain_text(f"{name}.safetensors")
        await (escape(tab.page) if how == "Escape" else press(tab, how))
        assert (await server.answer(ident))["code"] == "declined"


async def test_a_question_waits_while_the_page_asks_something_itself(played: Played) -> None:
    server, tab = played
    await tab.page.evaluate("""() => {
        const asked = app.extensionManager.dialog.prompt({title: 'The page asks', message: 'm', defaultValue: 'own'})
        asked.then(answer => (window.own = answer))
    }""")
    await expect(dialog(tab)).to_contain_text("The page asks")
    ident = server.request("get_model_url", ckpt_name="model.safetensors")
    await server.call("get_fields", fields=[])
    await expect(dialog(tab)).to_have_count(1)
    await press(tab, "Confirm")
    await expect(dialog(tab)).to_contain_text("model.safetensors")
    assert await tab.page.evaluate("window.own") == "own"
    await escape(tab.page)
    assert (await server.answer(ident))["code"] == "declined"


async def test_the_person_is_asked_for_a_models_url_with_its_folder(played: Played) -> None:
    server, tab = played
    models = [{"name": "model.safetensors", "directory": "checkpoints"}]
    workflow = ui([node(1, "CheckpointLoaderSimple", values=["model.safetensors"], properties={"models": models})])
    await server.call("load_workflow", workflow=workflow)
    ident = server.request("get_model_url", ckpt_name="model.safetensors")
    await expect(dialog(tab)).to_contain_text("checkpoints")
    await enter(tab, "  https://example.com/model.safetensors ")
    response = (await server.answer(ident))["response"]
    assert response == {"url": "https://example.com/model.safetensors", "model_type": "checkpoints"}


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/owner/name/resolve/main/a.safetensors",
        "http://127.0.0.1:8000/a.safetensors",
        "hf://owner/name/a.safetensors",
        "owner/name/a.safetensors",
        "urn:air:sdxl:checkpoint:civitai:1@2",
    ],
)
async def test_every_kind_of_url_is_accepted(played: Played, address: str) -> None:
    server, tab = played
    ident = server.request("get_model_url", ckpt_name="a.safetensors")
    await enter(tab, address)
    assert (await server.answer(ident))["response"]["url"] == address


async def test_the_person_is_asked_again_after_an_invalid_url(played: Played) -> None:
    server, tab = played
    ident = server.request("get_model_url", ckpt_name="a.safetensors")
    await enter(tab, "the usual one")
    await expect(dialog(tab)).to_contain_text("https://")
    await expect(dialog(tab).get_by_role("textbox")).to_have_value("the usual one")
    await enter(tab, "https://example.com/a.safetensors")
    assert (await server.answer(ident))["response"]["url"] == "https://example.com/a.safetensors"


async def test_several_urls_are_asked_for_in_one_table_and_may_be_skipped(played: Played) -> None:
    server, tab = played
    workflow = ui([node(1, "CheckpointLoaderSimple", "Loader", ["a.safetensors"])])
    await server.call("load_workflow", workflow=workflow)
    ident = server.request("get_model_url", ckpt_names=["a.safetensors", "b.safetensors", "c.safetensors"])
    await expect(dialog(tab).get_by_role("row").nth(1)).to_contain_text("Loader.ckpt_name")
    await expect(dialog(tab).get_by_role("textbox", name="URL of a.safetensors")).to_be_focused()
    assert await dialog(tab).evaluate(OVERFLOWING) == []
    await settled(tab.page)
    await tab.page.keyboard.type("https://example.com/a")
    await dialog(tab).get_by_role("textbox", name="URL of b.safetensors").fill("https://example.com/b")
    await dialog(tab).get_by_role("checkbox", name="Skip b.safetensors").check()
    await expect(dialog(tab)).to_contain_text("2 models")
    await dialog(tab).get_by_role("textbox", name="URL of c.safetensors").fill("https://example.com/c")
    await tab.page.keyboard.press("Enter")
    response = (await server.answer(ident))["response"]
    assert response == {"urls": {"a.safetensors": "https://example.com/a", "c.safetensors": "https://example.com/c"}}


async def test_pasted_urls_are_assigned_to_the_models_whose_files_they_name(played: Played) -> None:
    server, tab = played
    ident = server.request("get_model_url", ckpt_names=["a.safetensors", "sub/b c.safetensors", "d.safetensors"])
    pasted = "see\nhttps://example.com/v2/file?id=4 https://example.com/b%20C.safetensors?download=true\n hf://o/r/A.safetensors"
    await dialog(tab).get_by_role("textbox", name="URL of a.safetensors").evaluate(PASTE, pasted)
    await press(tab, "Confirm")
    assert (await server.answer(ident))["response"]["urls"] == {
        "a.safetensors": "hf://o/r/A.safetensors",
        "sub/b c.safetensors": "https://example.com/b%20C.safetensors?download=true",
        "d.safetensors": "https://example.com/v2/file?id=4",
    }


async def test_skipping_every_url_declines_the_question(played: Played) -> None:
    server, tab = played
    ident = server.request("get_model_url", ckpt_names=["a.safetensors", "b.safetensors"])
    await expect(dialog(tab)).to_contain_text("b.safetensors")
    await escape(tab.page)
    answer = await server.answer(ident)
    assert (answer["status"], answer["code"]) == ("error", "declined")


async def test_a_lost_socket_takes_its_question_away(played: Played) -> None:
    server, tab = played
    count = len(server.hellos)
    ident = server.request("send_workflow", workflow=empty_to_save(), title="A gift", message="m")
    await expect(dialog(tab)).to_have_count(1)
    await server.close()
    await expect(dialog(tab)).to_have_count(0)
    await server.hello(count + 1)
    assert not server.answered(ident)


async def test_an_offer_names_its_program_before_the_title_that_it_gives_itself(played: Played) -> None:
    server, tab = played
    ident = server.request("send_workflow", {"by": "sly.py"}, workflow=empty_to_save(), title="ComfyUI needs an update")
    await expect(dialog(tab)).to_contain_text('The program "sly.py" offers: ComfyUI needs an update')
    await press(tab, "Deny")
    await server.answer(ident)


async def test_a_question_shows_every_value_it_is_about(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=ui([node(1, "EmptyImage", "Canvas", [64, 64, 1, 0])]))
    writes = [{"path": "Canvas.width", "value": str(number)} for number in range(250)]
    question: dict[str, Any] = {"program": "Blender", "kind": "change", "kinds": ["change", "run"], "command": "run"}
    question |= {"doc": "Run it.", "about": "", "writes": writes, "writes_left_out": 3, "once": False}
    [ident] = server.request_together([("approve", question)])
    rows = dialog(tab).get_by_role("row")
    await expect(rows).to_have_count(101)
    await expect(dialog(tab)).to_contain_text("3 more values")
    await press(tab, "Show all 250")
    await expect(rows).to_have_count(251)
    await expect(rows.nth(250)).to_have_text("Canvas.width64249")
    await press(tab, "Allow")
    assert (await server.answer(ident))["response"] == {"allowed": True}


async def test_a_question_about_downloads_shows_every_file_with_its_folder_host_and_size(played: Played) -> None:
    server, tab = played
    lora: dict[str, Any] = {"folder": "loras", "hosts": ["huggingface.co"], "size": 144_000_000}
    files = [{**lora, "name": f"styles/part {number}.safetensors"} for number in range(120)]
    files[0] = {**lora, "name": "a.safetensors", "folder": "checkpoints", "size": 6_900_000_000, "replaces": True}
    files[1] = {**files[1], "hosts": ["civitai.com", "huggingface.co"], "size": None}
    files[2] = {**files[2], "hosts": [], "local": "/models/<b>old</b>.safetensors"}
    files[3] = {**files[3], "hosts": [], "folder": "", "size": None}
    question = {
        "program": "Blender",
        "kind": "download",
        "command": "download_models",
        "doc": "Fetch them.",
        "about": "",
    }
    [ident] = server.request_together([("approve", {**question, "writes": [], "files": files, "once": True})])
    rows = dialog(tab).get_by_role("row")
    await expect(dialog(tab)).to_contain_text("Blender")
    await expect(rows.nth(1)).to_contain_text("a.safetensors (replaces the existing file)checkpointshuggingface.co")
    await expect(rows.nth(2)).to_have_text("styles/part 1.safetensorslorascivitai.com, huggingface.counknown")
    await expect(rows.nth(3)).to_contain_text("ComfyUI's computer: /models/<b>old</b>.safetensors")
    await expect(rows.nth(4)).to_have_text("styles/part 3.safetensorsunknownyou will be asked for its URLunknown")
    await expect(dialog(tab)).to_contain_text("120 files, 23.7 GB, 2 of unknown size")
    assert await dialog(tab).evaluate(OVERFLOWING) == []
    await expect(rows).to_have_count(101)
    SCREENS.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(SCREENS / f"approve-{await tab.page.evaluate('__COMFYUI_FRONTEND_VERSION__')}.png")
    await press(tab, "Show all 120")
    await expect(rows).to_have_count(121)
    await press(tab, "Deny")
    assert (await server.answer(ident))["response"] == {"allowed": False}


@pytest.mark.parametrize("how", ["Allow", "Until ComfyUI restarts", "Deny", "Escape"])
async def test_a_question_about_a_web_page_shows_its_whole_origin_as_it_is_sent(played: Played, how: str) -> None:
    server, tab = played
    origin = f"http://{'long-' * 12}name.xn--pple-43d.example:8443"
    ident = server.request("approve_web_app", origin=origin)
    await expect(dialog(tab)).to_contain_text(origin)
    await expect(dialog(tab)).to_contain_text("not encrypted")
    await expect(dialog(tab)).to_contain_text("outside the Latin alphabet")
    assert await dialog(tab).evaluate(OVERFLOWING) == []
    await expect(dialog(tab).get_by_role("button", name="Deny")).to_be_focused()
    await (escape(tab.page) if how == "Escape" else press(tab, how))
    expected = {"Allow": "allow", "Until ComfyUI restarts": "session", "Deny": "refuse", "Escape": None}[how]
    assert (await server.answer(ident))["response"] == {"decision": expected}
