"""Missing nodes: their installation by a click, the restart, and the same workflow again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.person import escape, settled
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.comfy.process import PACK, ComfyProcess
from comfyui_uiapi.tests.harness.programs.program import Program, Socket
from comfyui_uiapi.tests.tools import build
from playwright.async_api import Locator, expect

from ....harness.browser.graphs import node, ui

SCREENS = build.STACK / "screens"
# The kind of the stand-in's routes for each frontend.
KINDS = dict(zip(build.FRONTENDS, ("queue", "tasks"), strict=True))
INSTALLED, FORBIDDEN = "UiapiInstalled", "UiapiForbidden"
# ComfyUI-Manager's own security level that forbids installations, without the internet.
STRONG = "[default]\nsecurity_level = strong\nnetwork_mode = offline\nfile_logging = False\n"


def notice(tab: Tab) -> Locator:
    """The notice over the canvas."""
    return tab.page.locator(".uiapi-notice")


async def keep(tab: Tab, name: str) -> None:
    """Save a picture of the page for people."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    version = await tab.page.evaluate("__COMFYUI_FRONTEND_VERSION__")
    await tab.screenshot(SCREENS / f"nodes-{name}-{version}.png")


async def subscribed(program: Program) -> Socket:
    """A program's websocket that gets the events of installations."""
    socket = await program.socket()
    await socket.request("subscribe", {"events": ["node_install"]})
    return socket


async def heard(socket: Socket, state: str) -> dict[str, Any]:
    """The data of the event of an installation in that state."""
    event = await socket.event(lambda event: event["event"] == "node_install" and event["data"]["state"] == state)
    data: dict[str, Any] = event["data"]
    return data


def add_broken_pack(comfy: ComfyProcess) -> None:
    """Add a pack that ComfyUI cannot import."""
    folder = comfy.base / "custom_nodes" / "Broken_Pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('the pack is broken')")


async def assert_broken_pack_is_reported(comfy: ComfyProcess) -> None:
    lost = node(1, "UiapiBroken", properties={"cnr_id": "broken-pack"})
    answer = await asyncio.to_thread(comfy.post, "/uiapi/missing_nodes", {"workflow": ui([lost])})
    [pack] = answer["response"]["types"][0]["packs"]
    assert (pack["state"], pack["error"]) == ("failed", "the pack is broken")


@pytest.fixture
def managed(frontend: str, tmp_path: Path) -> Iterator[ComfyProcess]:
    """A ComfyUI with a stand-in for ComfyUI-Manager."""
    comfy = ComfyProcess(tmp_path / "comfy", frontend=frontend, pack=True, env={"UIAPI_TEST_MANAGER": KINDS[frontend]})
    add_broken_pack(comfy)
    yield comfy.start()
    comfy.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def managed_program(managed: ComfyProcess) -> AsyncIterator[Program]:
    """A program for it."""
    async with Program(managed) as asking:
        yield asking


async def test_a_click_installs_a_pack_and_after_the_restart_the_same_workflow_shows_what_is_still_missing(
    managed: ComfyProcess, managed_program: Program, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    await assert_broken_pack_is_reported(managed)
    tab, socket = await open_tab(managed), await subscribed(managed_program)
    nodes = [node(1, INSTALLED, "First"), node(2, FORBIDDEN, "Second"), node(3, "Note", "Note")]
    loader = node(4, "UpscaleModelLoader", "Upscaler", ["gone.safetensors"])
    await asyncio.to_thread(managed.post, "/uiapi/load_workflow", {"workflow": ui([*nodes, loader]), "name": "lacking"})
    await expect(notice(tab)).to_contain_text(f"2 node types are missing: {INSTALLED}, {FORBIDDEN}.")
    await expect(notice(tab)).to_contain_text("1 model is missing")
    await keep(tab, "notice")
    await notice(tab).get_by_role("button", name="Get nodes").click()
    dialog = tab.page.get_by_role("dialog").filter(has_text="Missing node types (2)")
    row = dialog.get_by_role("row").filter(has_text="First")
    await expect(row).to_contain_text("https://github.com/example/Installed-Pack · from ComfyUI-Manager's list")
    await keep(tab, "dialog")
    await dialog.get_by_role("button", name="Install with ComfyUI-Manager").evaluate("button => button.click()")
    # A click by a script is none of the person.
    await expect(notice(tab)).to_contain_text("Only a click of the person at the browser can do this.")
    assert (await heard(socket, "failed"))["by"] == "person"
    assert not (managed.base / "custom_nodes" / "Installed-Pack").exists()

    # The keyboard alone is enough, and the focus is back where it was after a dialog that is closed.
    get = notice(tab).get_by_role("button", name="Get nodes")
    await get.press("Enter")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await escape(tab.page)
    await expect(dialog).to_have_count(0)
    await expect(get).to_be_focused()
    await get.press("Enter")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await settled(tab.page)
    await dialog.get_by_role("button", name="Install with ComfyUI-Manager").press("Enter")
    await expect(notice(tab)).to_contain_text("1 pack installed. Restart ComfyUI to load it.", timeout=60_000)
    await expect(notice(tab)).to_contain_text("Installed-Pack-forbidden was not installed: ComfyUI-Manager refuses it")
    await keep(tab, "installed")
    assert (await heard(socket, "progress"))["total"] == 2
    assert (await heard(socket, "refused"))["packs"] == ["Installed-Pack-forbidden"]
    assert (await heard(socket, "restart_needed"))["done"] == 1
    known = {tab.webui}

    async def back() -> bool:
        try:
            return bool({*await tab.webuis()} - known)
        except (OSError, ValueError):
            # ComfyUI is restarting.
            return False

    async with tab.page.expect_event("load", timeout=300_000):
        await notice(tab).get_by_role("button", name="Restart ComfyUI").click()
        await heard(socket, "restarting")
    await until(back, "the page after the restart", 300.0)
    await expect(notice(tab)).to_contain_text(f"1 node type is missing: {FORBIDDEN}.", timeout=60_000)
    shown = "() => app.rootGraph.nodes.map(({type, title}) => [type, title])"
    assert [INSTALLED, "First"] in await tab.page.evaluate(shown)
    await keep(tab, "after")
    tab.errors[:] = [error for error in tab.errors if "ERR_CONNECTION_" not in error]


@pytest.mark.parametrize("frontend", [build.FRONTENDS[-1]], indirect=True)
async def test_the_real_comfyui_manager_names_the_packs_and_its_refusals_are_shown(
    frontend: str, tmp_path: Path, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    paths = f"{build.MANAGER}:{build.MANAGER_PACKAGES}"
    comfy = ComfyProcess(tmp_path / "comfy", frontend=frontend, env={"PYTHONPATH": paths})
    (comfy.base / "custom_nodes" / "uiapi-test-manager").symlink_to(PACK.with_name("real_manager"))
    (comfy.base / "user" / "__manager").mkdir()
    (comfy.base / "user" / "__manager" / "config.ini").write_text(STRONG)
    add_broken_pack(comfy)
    await asyncio.to_thread(comfy.start)
    try:
        await assert_broken_pack_is_reported(comfy)
        tab = await open_tab(comfy)
        named = node(2, "UiapiLost", "Registered", properties={"cnr_id": "uiapi-no-such-pack"})
        workflow = ui([node(1, "UltralyticsDetectorProvider", "Detector"), named])
        found = await asyncio.to_thread(comfy.post, "/uiapi/missing_nodes", {"workflow": workflow})
        response = found["response"]
        assert (response["manager"], response["types"][0]["packs"][0]["origin"]) == ("tasks", "manager")
        assert response["types"][0]["packs"][0]["title"] == "ComfyUI Impact Subpack"
        await asyncio.to_thread(comfy.post, "/uiapi/load_workflow", {"workflow": workflow})
        await notice(tab).get_by_role("button", name="Get nodes").click()
        dialog = tab.page.get_by_role("dialog").filter(has_text="Missing node types (2)")
        await expect(dialog.get_by_role("row").filter(has_text="Detector")).to_contain_text("ComfyUI Impact Subpack")
        await expect(dialog.get_by_role("row").filter(has_text="Registered")).to_contain_text("named by the workflow")
        await dialog.get_by_role("button", name="Install with ComfyUI-Manager").click()
        refused = "ComfyUI Impact Subpack was not installed: ComfyUI-Manager refuses it at its security level"
        await expect(notice(tab)).to_contain_text(refused, timeout=60_000)
        await expect(notice(tab)).to_contain_text("uiapi-no-such-pack was not installed: Cannot resolve install target")
        await keep(tab, "refused")
    finally:
        comfy.kill()
