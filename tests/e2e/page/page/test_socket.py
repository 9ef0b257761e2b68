"""The tab's websocket in a real page: identity, reconnecting, and strange frames."""

from __future__ import annotations

import asyncio

from comfyui_uiapi.tests.harness.browser.person import fill
from comfyui_uiapi.tests.harness.browser.tab import Tab
from playwright.async_api import expect

from ....harness.browser.graphs import Json, empty_to_save
from ..conftest import Played, Send


async def test_a_tab_says_who_it_is_and_comes_back_as_the_same(played: Played) -> None:
    server, tab = played
    hello = server.hellos[0]
    assert (hello["role"], hello["protocol"], hello["client_id"], hello["session"]) == ("webui", 1, None, None)
    known = ["execute.fields", "execute.targets", "revisions", "tabs", "batch", "watch", "gather", "panel", "sweep"]
    assert hello["capabilities"] == known
    count = len(server.hellos)
    await server.close(1001)
    again = await server.hello(count + 1)
    assert (again["client_id"], again["session"]) == (7, "s")
    assert again["sid"] == await tab.page.evaluate("app.api.clientId")
    assert again["info"]["browser"].startswith(("Chrom", "Headless"))
    assert again["info"]["frontend_version"] == await tab.page.evaluate("window.__COMFYUI_FRONTEND_VERSION__")
    assert again["info"]["workflow_name"]


async def test_strange_frames_do_not_disturb_the_tab(played: Played) -> None:
    server, _ = played
    count = len(server.hellos)
    unknown_cancel = '{"type": "cancel", "id": "unknown"}'
    for frame in ("not json", "null", "[]", "[null, 7, []]", "7", '{"type": "dance"}', unknown_cancel):
        server.send(frame)
    server.send({"type": "error", "id": None, "error": "you sent nonsense", "code": "malformed"})
    unknown = await server.call("fly_to_the_moon")
    assert (unknown["status"], unknown["code"]) == ("error", "tab_failed")
    assert (await server.call("constructor"))["code"] == "tab_failed"
    for broken in ({}, {"fields": 7}, {"fields": [[1]]}, {"fields": [None]}):
        assert (await server.call("get_fields", **broken))["status"] == "error"
        assert (await server.call("set_fields", **broken))["status"] == "error"
    assert (await server.call("get_fields", fields=[]))["response"] == {}
    assert len(server.hellos) == count


async def test_requests_that_come_as_one_are_carried_out_in_order_and_answered_as_one(played: Played) -> None:
    server, _ = played
    await server.call("load_workflow", workflow=empty_to_save())
    asked: list[tuple[str, Json]] = [("set_fields", {"fields": [["EmptyImage.width", size]]}) for size in (8, 16, 24)]
    asked.append(("get_fields", {"fields": ["EmptyImage.width"]}))
    asked.append(("get_fields", {"fields": ["Nowhere.width"]}))
    before = server.messages
    idents = server.request_together(asked)
    *written, read, refused = [await server.answer(ident) for ident in idents]
    assert [answer["status"] for answer in written] == ["ok"] * 3
    assert read["response"] == {"EmptyImage.width": 24}
    assert refused["code"] == "unknown_path"
    assert server.messages == before + 1


async def test_the_name_of_the_workflow_is_sent_when_it_changes(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=empty_to_save(), name="Another name")
    await server.until(lambda: any(event["workflow_name"] == "Another name" for event in server.infos))
    await tab.page.evaluate("""async () => {
        const {workflow} = app.extensionManager
        const other = workflow.openWorkflows.find(one => one.path !== workflow.activeWorkflow.path)
        await app.loadGraphData(other.activeState, true, true, other)
    }""")
    await server.until(lambda: server.infos[-1]["workflow_name"] != "Another name")


async def test_a_token_is_asked_for_once_and_kept(played: Played) -> None:
    server, tab = played
    count = len(server.hellos)
    server.refusal = ({"type": "error", "error": "needs a token", "code": "token_required"}, 4403)
    await server.close(1001)
    await server.hello(count + 1)
    dialog = tab.page.get_by_role("dialog")
    first, second = "first try", "the right one"
    await expect(dialog).to_contain_text("token")
    # A reconnect of ComfyUI's socket makes a waiting tab reconnect at once, but not one that asks for a token.
    await tab.page.evaluate("app.api.dispatchCustomEvent('reconnected')")
    server.refusal = ({"type": "error", "error": "wrong", "code": "wrong_token"}, 4403)
    await fill(dialog.get_by_role("textbox"), first)
    await dialog.get_by_role("button", name="Confirm").click()
    assert (await server.hello(count + 2))["token"] == first
    # The first one may still be fading out.
    again = dialog.filter(has_text="wrong")
    await expect(again).to_be_visible()
    server.refusal = None
    await fill(again.get_by_role("textbox"), second)
    await again.get_by_role("button", name="Confirm").click()
    assert (await server.hello(count + 3))["token"] == second
    await expect(dialog).to_have_count(0)
    await server.close(1001)
    assert (await server.hello(count + 4))["token"] == second
    await tab.page.evaluate("localStorage.removeItem('ComfyUI-uiapi.token')")


async def test_a_tab_comes_back_after_comfyui_restarts_without_a_reload(tab: Tab, send: Send) -> None:
    await send("load_workflow", workflow=empty_to_save(width=72))
    await tab.page.evaluate("() => (window.marked = true)")
    await asyncio.to_thread(tab.comfy.restart)
    tab.webui = await tab.wait_connected(set())
    assert await tab.page.evaluate("window.marked")
    assert await send("get_fields", fields=["EmptyImage.width"]) == {"EmptyImage.width": 72}
    assert (await send("run"))["status"] == "success"
    # Chromium reports every failed connection to the console.
    tab.errors = [error for error in tab.errors if "ERR_CONNECTION_" not in error]


async def test_duplicated_tabs_get_ids_of_their_own(tab: Tab, send: Send) -> None:
    known = await tab.webuis()
    # Like Duplicate in a browser: session storage and window name are copied.
    async with tab.page.context.expect_page() as opening:
        await tab.page.evaluate("""() => {
            const other = window.open(location.href, window.name + ' copy')
            for (const [key, value] of Object.entries(sessionStorage)) other.sessionStorage.setItem(key, value)
        }""")
    page = await opening.value
    twin = Tab(page, tab.comfy)
    try:
        twin.webui = await twin.wait_connected(known)
        assert await twin.webuis() == {tab.webui, twin.webui}
        await send("load_workflow", workflow=empty_to_save(width=88), webui=twin.webui)
        assert await send("get_fields", fields=["EmptyImage.width"], webui=twin.webui) == {"EmptyImage.width": 88}
        assert (await send("query_fields", webui=tab.webui))["nodes"] == []
        assert (await send("run", webui=twin.webui))["status"] == "success"
    finally:
        await page.close()
        await twin.wait_gone()
    assert await tab.webuis() == {tab.webui}
    assert twin.errors == []


async def test_what_is_loaded_right_after_connecting_is_not_replaced_by_the_last_workflow(tab: Tab, send: Send) -> None:
    await send("load_workflow", workflow=empty_to_save(width=40))
    await tab.page.wait_for_function("sessionStorage.length > 0 || localStorage.length > 0")
    await tab.load(clear=False)
    await send("load_workflow", workflow=empty_to_save(width=56))
    await asyncio.sleep(1)
    assert await send("get_fields", fields=["EmptyImage.width"]) == {"EmptyImage.width": 56}
