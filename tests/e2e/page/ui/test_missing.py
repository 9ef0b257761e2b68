"""A workflow with missing models: one notice, the plan, the download, and a run without a reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.person import escape, fill
from comfyui_uiapi.tests.harness.browser.tab import Chromium, Tab, until
from comfyui_uiapi.tests.harness.comfy.process import ComfyProcess
from comfyui_uiapi.tests.harness.comfy.workflows import UPSCALER, write_upscaler
from comfyui_uiapi.tests.harness.models.model_host import Answer, Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.search_sites import Hub
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import Json, node, ui
from ....harness.browser.scripts import NEEDY
from ...conftest import FAILED

SCREENS = build.STACK / "screens"
OTHER = "other.safetensors"
TWIN = "twin.safetensors"
FOUND = "found_by_search.safetensors"
# Replaces the analysis by an unknown command.
ANALYSIS_FAILS = """() => {
    const send = window.realSend = WebSocket.prototype.send
    WebSocket.prototype.send = function (data) {
        return send.call(this, typeof data === "string" ? data.replace("analyze_workflow", "analyze_nothing") : data)
    }
}"""
ANALYSIS_WORKS = "() => { WebSocket.prototype.send = window.realSend }"
# Whether a dialog is as wide as its content.
FITS = """dialog => [dialog, ...dialog.querySelectorAll("*")].every(
    one => getComputedStyle(one).overflowX === "visible" || one.scrollWidth <= one.clientWidth)"""
# Where the loader says that its model can be downloaded.
RECORDS = "() => app.rootGraph.nodes.find(n => n.type === 'UpscaleModelLoader').properties.models ?? null"
# A workflow that lacks nothing.
WHOLE = ui([node(1, "EmptyImage", "Canvas")])
# ComfyUI stores settings on the server, so each test starts by resetting them.
SETTINGS = """async () => {
    const {setting} = app.extensionManager
    await setting.set("Comfy.Workflow.ShowMissingModelsWarning", false)
    await setting.set("uiapi.missingModels", true)
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host() -> AsyncIterator[Host]:
    """A model host with the model."""
    started = await Host().start()
    yield started
    await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hub() -> AsyncIterator[Hub]:
    """A stand-in for the search of Hugging Face; as CivitAI it knows nothing."""
    started = await Host().start()
    yield Hub(started)
    await started.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def comfy_with_host(
    frontend: str, host: Host, hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ComfyProcess]:
    """A ComfyUI that may download from the host, and searches at the hub."""
    searched = dict.fromkeys(("HF_ENDPOINT", "CIVITAI_ENDPOINT"), hub.host.url(""))
    env = {"UIAPI_ALLOWED_HOSTS": host.authority, **searched}
    comfy = ComfyProcess(tmp_path_factory.mktemp("missing"), frontend=frontend, env=env)
    yield await asyncio.to_thread(comfy.start)
    comfy.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(comfy_with_host: ComfyProcess) -> AsyncIterator[list[Tab]]:
    """The tab that the tests here share, in a list that is empty while none is open."""
    kept: list[Tab] = []
    yield kept
    for tab in kept:
        await tab.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab_without_models(
    request: pytest.FixtureRequest, opened: list[Tab], browser: Chromium, comfy_with_host: ComfyProcess
) -> AsyncIterator[Tab]:
    """A tab of it that reports missing models, without a notice, any models or saved URLs.

    The page is reused, because a frontend takes seconds to load, unless a test failed.
    """
    for file in [*comfy_with_host.base.rglob("*.safetensors"), *comfy_with_host.base.rglob("model_urls.json")]:
        file.unlink()
    if not opened:
        opened.append(await browser.open(comfy_with_host))
    [tab] = opened
    await tab.page.evaluate(SETTINGS)
    # Nodes no longer offer the models that another test has downloaded.
    await tab.page.evaluate("() => app.refreshComboInNodes()")
    await tab.load_workflow(WHOLE)
    await expect(notice(tab)).to_be_hidden()
    await tab.clear()
    yield tab
    if request.node.stash.get(FAILED, False):
        opened.clear()
        await tab.close()
    assert tab.errors == []


def offered(host: Host, tab: Tab) -> Answer:
    """Move a working model from ComfyUI to the host."""
    write_upscaler(tab.comfy.base)
    [file] = tab.comfy.base.rglob(UPSCALER)
    answer = host.offer(f"/{UPSCALER}", file.read_bytes())
    file.unlink()
    return answer


def notice(tab: Tab) -> Locator:
    """The notice over the canvas."""
    return tab.page.locator(".uiapi-notice")


async def keep(tab: Tab, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    await tab.screenshot(SCREENS / f"missing-{name}-{tab.comfy.frontend}.png")


async def test_missing_models_are_shown_fetched_and_the_workflow_runs_without_a_reload(
    tab_without_models: Tab, host: Host
) -> None:
    model = offered(host, tab_without_models)
    model.held = asyncio.Event()
    await tab_without_models.page.evaluate("() => { window.samePage = true }")
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": NEEDY})
    await expect(notice(tab_without_models)).to_contain_text("1 model is missing")
    await keep(tab_without_models, "notice")
    await notice(tab_without_models).get_by_role("button", name="Get models").click()
    dialog = tab_without_models.page.get_by_role("dialog").filter(has_text="Missing model")
    row = dialog.get_by_role("row").filter(has_text=UPSCALER)
    await expect(row).to_contain_text("upscale_models")
    await expect(row).to_contain_text("Upscaler.model_name")
    model.held.set()
    await fill(row.get_by_role("textbox"), host.url(f"/{UPSCALER}"))
    await expect(row).to_contain_text("kB")
    await keep(tab_without_models, "dialog")
    model.held = asyncio.Event()
    await dialog.get_by_role("button", name="Download").click()
    await expect(notice(tab_without_models)).to_contain_text("Downloading models")
    await keep(tab_without_models, "download")
    model.held.set()
    await expect(notice(tab_without_models)).to_contain_text("All models are present")
    await keep(tab_without_models, "done")
    await notice(tab_without_models).get_by_role("button", name="Run").click()

    async def pictures() -> list[Path]:
        return [*tab_without_models.comfy.output.rglob("needy*.png")]

    assert len(await until(pictures, "the picture of the run", 120.0)) == 1
    combo = "() => app.rootGraph.nodes.find(n => n.type === 'UpscaleModelLoader').widgets[0].options.values"
    assert UPSCALER in await tab_without_models.page.evaluate(combo)
    assert await tab_without_models.page.evaluate("window.samePage") is True
    await expect(notice(tab_without_models)).to_be_hidden()


async def test_only_what_is_not_skipped_is_fetched(tab_without_models: Tab, host: Host) -> None:
    offered(host, tab_without_models)
    url = host.url(f"/{UPSCALER}")
    models = [{"name": name, "directory": "upscale_models", "url": url} for name in (UPSCALER, OTHER)]
    nodes = [
        node(at, "UpscaleModelLoader", model["name"], [model["name"]], properties={"models": [model]})
        for at, model in enumerate(models, 1)
    ]
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": ui(nodes)})
    await expect(notice(tab_without_models)).to_contain_text("2 models")
    get = notice(tab_without_models).get_by_role("button", name="Get models")
    dialog = tab_without_models.page.get_by_role("dialog").filter(has_text="Missing model")
    await get.press("Enter")
    await expect(dialog.get_by_role("row").filter(has_text=OTHER)).to_contain_text("kB")
    await escape(tab_without_models.page)
    # The button went away meanwhile, and has the focus again.
    await expect(get).to_be_focused()
    await get.press("Enter")
    await expect(dialog.get_by_role("row").filter(has_text=OTHER)).to_contain_text("kB")
    await dialog.get_by_role("checkbox", name=f"Skip {OTHER}").check()
    await expect(dialog).to_contain_text("1 model ·")
    await dialog.get_by_role("button", name="Download").click()
    await expect(notice(tab_without_models)).to_contain_text("still missing")
    assert [path.name for path in (tab_without_models.comfy.base / "models").rglob("*.safetensors")] == [UPSCALER]


async def test_a_damaged_file_is_shown_as_such_and_replaced_once_the_person_says_so(
    tab_without_models: Tab, host: Host
) -> None:
    model = offered(host, tab_without_models)
    file = tab_without_models.comfy.base / "models" / "upscale_models" / UPSCALER
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
    file.write_bytes(pointer)
    record = {"name": UPSCALER, "directory": "upscale_models", "url": host.url(f"/{UPSCALER}")}
    loader = node(1, "UpscaleModelLoader", "Upscaler", [UPSCALER], properties={"models": [record]})
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": ui([loader])})
    await expect(notice(tab_without_models)).to_contain_text("1 model is damaged")
    await notice(tab_without_models).get_by_role("button", name="Get models").click()
    dialog = tab_without_models.page.get_by_role("dialog").filter(has_text="Missing model")
    row = dialog.get_by_role("row").filter(has_text=UPSCALER)
    await expect(row).to_contain_text("is damaged: it is a Git LFS pointer")
    await expect(row).to_contain_text("kB")
    assert await row.get_by_role("textbox").count() == 0 and file.read_bytes() == pointer
    await dialog.get_by_role("button", name="Download").click()
    await expect(notice(tab_without_models)).to_contain_text("All models are present")
    assert file.read_bytes() == model.data


async def test_two_models_of_one_file_name_each_get_the_url_that_was_given_for_them(
    tab_without_models: Tab, host: Host
) -> None:
    folders = {"VAELoader": "vae", "UpscaleModelLoader": "upscale_models"}
    data = {folder: model_bytes(20_000, seed) for seed, folder in enumerate(folders.values())}
    for folder, content in data.items():
        host.offer(f"/{folder}/{TWIN}", content)
    nodes = [
        node(at, kind, kind, [TWIN], properties={"models": [{"name": TWIN, "directory": folder, "url": ""}]})
        for at, (kind, folder) in enumerate(folders.items(), 1)
    ]
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": ui(nodes)})
    await expect(notice(tab_without_models)).to_contain_text("2 models")
    await notice(tab_without_models).get_by_role("button", name="Get models").click()
    dialog = tab_without_models.page.get_by_role("dialog").filter(has_text="Missing model")
    for kind, folder in folders.items():
        row = dialog.get_by_role("row").filter(has_text=kind)
        await fill(row.get_by_role("textbox"), host.url(f"/{folder}/{TWIN}"))
        await expect(row).to_contain_text("kB")
    await dialog.get_by_role("button", name="Download").click()
    await expect(notice(tab_without_models)).to_contain_text("All models are present")
    models = tab_without_models.comfy.base / "models"
    assert {folder: (models / folder / TWIN).read_bytes() for folder in data} == data


async def test_the_notice_stays_away_once_it_was_dismissed_or_turned_off_and_where_nothing_is_missing(
    tab_without_models: Tab,
) -> None:
    async def post(command: str, **data: Any) -> None:
        await asyncio.to_thread(tab_without_models.comfy.post, f"/uiapi/{command}", data)

    def missing(name: str) -> Json:
        return ui([node(1, "UpscaleModelLoader", "Upscaler", [name])])

    await post("load_workflow", workflow=missing("gone.safetensors"), name="dismissed")
    await expect(notice(tab_without_models)).to_be_visible()
    await notice(tab_without_models).get_by_role("button", name="Don't show this again").click()
    await expect(notice(tab_without_models)).to_be_hidden()
    await post("load_workflow", workflow=missing("away.safetensors"), name="another")
    await expect(notice(tab_without_models)).to_be_visible()
    # Only a new analysis hides the notice, so that this one has taken place once the notice is hidden.
    await post("switch_tab", tab="dismissed")
    await expect(notice(tab_without_models)).to_be_hidden()
    await post("switch_tab", tab="another")
    await expect(notice(tab_without_models)).to_be_visible()
    await post("load_workflow", workflow=WHOLE)
    await expect(notice(tab_without_models)).to_be_hidden()
    await tab_without_models.page.evaluate("() => app.extensionManager.setting.set('uiapi.missingModels', false)")
    await post("load_workflow", workflow=missing("gone.safetensors"))
    await asyncio.sleep(1.5)
    await expect(notice(tab_without_models)).to_be_hidden()


async def test_the_notice_of_the_workflow_before_does_not_stay_when_an_analysis_fails(tab_without_models: Tab) -> None:
    missing = ui([node(1, "UpscaleModelLoader", "Upscaler", ["gone.safetensors"])])
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": missing})
    await expect(notice(tab_without_models)).to_be_visible()
    await tab_without_models.page.evaluate(ANALYSIS_FAILS)
    try:
        await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": WHOLE})
        await expect(notice(tab_without_models)).to_be_hidden()
    finally:
        await tab_without_models.page.evaluate(ANALYSIS_WORKS)


def lay(tab: Tab, name: str, seed: int = 0) -> None:
    path = tab.comfy.base / "models" / "upscale_models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model_bytes(200, seed))


async def test_a_model_of_another_spelling_is_set_to_the_listed_one_by_one_click(tab_without_models: Tab) -> None:
    lay(tab_without_models, f"sub/{OTHER}")
    held = ui([node(1, "UpscaleModelLoader", "Upscaler", [f"sub\\{OTHER}"])])
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": held})
    await expect(notice(tab_without_models)).to_contain_text("1 model is here under another path")
    await notice(tab_without_models).get_by_role("button", name="Use it").click()
    await expect(notice(tab_without_models)).to_be_hidden()
    answer = await asyncio.to_thread(
        tab_without_models.comfy.post, "/uiapi/get_fields", {"fields": ["Upscaler.model_name"]}
    )
    assert answer["response"] == {"Upscaler.model_name": f"sub/{OTHER}"}
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/undo", {})
    answer = await asyncio.to_thread(
        tab_without_models.comfy.post, "/uiapi/get_fields", {"fields": ["Upscaler.model_name"]}
    )
    assert answer["response"] == {"Upscaler.model_name": f"sub\\{OTHER}"}


async def test_moved_models_are_relinked_by_one_click_which_asks_only_where_several_files_differ(
    tab_without_models: Tab,
) -> None:
    lay(tab_without_models, f"sub/{OTHER}")
    for seed, place in enumerate(["new", "old"]):
        lay(tab_without_models, f"{place}/{TWIN}", seed)
        # Of equal size and content, so that the first is taken without a question.
        lay(tab_without_models, f"{place}/same.safetensors")
    held = {"Moved": OTHER, "Asked": TWIN, "Same": "same.safetensors", "Gone": "gone.safetensors"}
    nodes = [node(at, "UpscaleModelLoader", title, [name]) for at, (title, name) in enumerate(held.items(), 1)]
    fields = [f"{title}.model_name" for title in held]

    async def values() -> list[str]:
        answer = await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/get_fields", {"fields": fields})
        return [*answer["response"].values()]

    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/load_workflow", {"workflow": ui(nodes)})
    await expect(notice(tab_without_models)).to_contain_text(
        "1 model is missing. 3 models are here under another path."
    )
    await keep(tab_without_models, "relink")
    await notice(tab_without_models).get_by_role("button", name="Use them").click()
    dialog = tab_without_models.page.get_by_role("dialog").filter(has_text="Which file is this model?")
    await expect(dialog.get_by_role("group", name=TWIN)).to_contain_text("Asked.model_name")
    await expect(dialog.get_by_role("group")).to_have_count(1)
    await keep(tab_without_models, "relink-dialog")
    # Neither the dialog nor what the frontend puts around it has to be scrolled sideways.
    assert await dialog.evaluate(FITS)
    await dialog.get_by_role("radio", name=f"old/{TWIN} 200 B").check()
    await dialog.get_by_role("button", name="Use it").click()
    await expect(notice(tab_without_models)).not_to_contain_text("another path")
    assert await values() == [f"sub/{OTHER}", f"old/{TWIN}", "new/same.safetensors", "gone.safetensors"]
    await asyncio.to_thread(tab_without_models.comfy.post, "/uiapi/undo", {})
    assert await values() == [*held.values()]


async def test_a_model_without_a_url_is_found_by_search_chosen_fetched_and_noted_in_the_workflow(
    tab_without_models: Tab, host: Host, hub: Hub
) -> None:
    tab = tab_without_models
    right = offered(host, tab).data
    path = f"upscale_models/{FOUND}"
    hub.host.seen.clear()
    hub.repo("Comfy-Org/upscalers", {path: right}, downloads=1200, licence="mit")
    hub.repo("Kijai/upscalers_of_others", {path: model_bytes(70_000)}, downloads=30, gated="auto")
    loader = {**NEEDY["2"], "inputs": {"model_name": FOUND}}
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": {**NEEDY, "2": loader}})
    await notice(tab).get_by_role("button", name="Get models").click()
    dialog = tab.page.get_by_role("dialog").filter(has_text="Missing model")
    row = dialog.get_by_role("row").filter(has_text=FOUND)
    source = row.get_by_role("combobox", name=f"Source of {FOUND}")
    await expect(source).to_contain_text("Comfy-Org/upscalers")
    await expect(row).to_contain_text("licence: mit")
    await expect(row).to_contain_text("2 different files have this name")
    await expect(dialog).to_contain_text("Links were found for 1 of 1 model")
    await keep(tab, "found")
    await source.select_option(index=1)
    await expect(row).to_contain_text("needs an account")
    await source.select_option(index=0)
    await dialog.get_by_role("checkbox", name="Save the links in the workflow").check()
    assert hub.host.asked(f"/Comfy-Org/upscalers/resolve/main/{path}") == []
    await dialog.get_by_role("button", name="Download").click()
    await expect(notice(tab)).to_contain_text("All models are present")
    [file] = (tab.comfy.base / "models").rglob(FOUND)
    assert file.read_bytes() == right
    url = hub.host.url(f"/Comfy-Org/upscalers/resolve/main/{path}")
    record = {"name": FOUND, "url": url, "directory": "upscale_models", "hash": sha256(right), "hash_type": "SHA256"}
    assert await tab.page.evaluate(RECORDS) == [record]
    await tab.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()")
    assert await tab.page.evaluate(RECORDS) is None


async def test_a_file_in_another_folder_is_linked_once_the_person_chooses_it_and_similar_names_are_only_shown(
    tab_without_models: Tab, host: Host
) -> None:
    tab = tab_without_models
    models = tab.comfy.base / "models"
    write_upscaler(tab.comfy.base)
    [file] = models.rglob(UPSCALER)
    (models / "checkpoints").mkdir(exist_ok=True)
    moved = file.rename(models / "checkpoints" / UPSCALER)
    similar = f"{UPSCALER.removesuffix('.safetensors')}2.safetensors"
    (models / "upscale_models" / similar).write_bytes(model_bytes(1000))
    await asyncio.to_thread(tab.comfy.post, "/uiapi/load_workflow", {"workflow": NEEDY})
    await notice(tab).get_by_role("button", name="Get models").click()
    row = tab.page.get_by_role("dialog").get_by_role("row").filter(has_text=UPSCALER)
    await expect(row.get_by_role("combobox")).to_contain_text(f"checkpoints/{UPSCALER} on ComfyUI's computer")
    await expect(row).to_contain_text(f"Similar names on ComfyUI's computer: {similar}")
    await keep(tab, "elsewhere")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Download").click()
    await expect(notice(tab)).to_contain_text("All models are present")
    assert (models / "upscale_models" / UPSCALER).samefile(moved)
