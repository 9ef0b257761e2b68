"""Workflow tabs are listed, created, saved, renamed and closed by programs, and no dialog is left open."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE
from playwright.async_api import Route

from ....harness.browser.graphs import Json, nested, node, ui
from ..conftest import Send

DIALOGS = "() => app.extensionManager._p._s.get('dialog').dialogStack.map(({ key }) => key)"
VUE_NODES = "on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"


async def names(send: Send) -> list[tuple[str, bool, bool]]:
    return [(tab["name"], tab["active"], tab["modified"]) for tab in (await send("list_tabs"))["tabs"]]


async def test_a_tab_goes_through_its_life(send: Send, refused: Send, tab: Tab) -> None:
    made = (await send("new_tab", name="life"))["tab"]
    assert (made["name"], made["active"], made["modified"], made["is_temporary"]) == ("life", True, False, True)
    await send("add_node", type="EmptyImage", title="Mine")
    assert ("life", True, True) in await names(send)
    assert (await refused("close_tab", tab="life"))["code"] == "conflict"

    saved = (await send("save_tab", name="folder/life"))["tab"]
    assert (saved["path"], saved["is_temporary"], saved["modified"]) == ("folder/life.json", False, False)
    renamed = (await send("rename_tab", tab=made["id"], name="second"))["tab"]
    assert (renamed["id"], renamed["path"]) == (made["id"], "folder/second.json")

    await send("new_tab", name="other")
    back = (await send("switch_tab", tab="second"))["tab"]
    assert (back["id"], back["active"]) == (made["id"], True)
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["Mine"]
    await send("close_tab", tab="folder/second.json")
    assert "second" not in [name for name, *_ in await names(send)]
    opened = (await send("open_tab", path="folder/second"))["tab"]
    assert (opened["active"], opened["modified"]) == (True, False)
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["Mine"]
    assert await tab.page.evaluate(DIALOGS) == []


async def test_a_saved_workflow_is_only_replaced_when_that_was_asked_for(send: Send, refused: Send, tab: Tab) -> None:
    for title in ("First", "Second"):
        await send("new_tab")
        await send("add_node", type="EmptyImage", title=title)
        if title == "First":
            await send("save_tab", name="kept", overwrite=True)
            await send("close_tab", tab="kept")
    assert (await refused("save_tab", name="kept"))["code"] == "conflict"
    assert (await refused("rename_tab", name="kept"))["code"] == "conflict"
    assert (await refused("save_tab", name="../kept"))["code"] == "invalid"
    await send("save_tab", name="kept", overwrite=True)
    await send("close_tab", tab="kept")
    await send("open_tab", path="kept.json")
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["Second"]
    assert await tab.page.evaluate(DIALOGS) == []


@pytest.mark.parametrize("saved_before", [False, True])
async def test_a_save_that_fails_leaves_the_workflow_it_was_to_replace(
    send: Send, refused: Send, tab: Tab, *, saved_before: bool
) -> None:
    for name in ("good", "mine"):
        await send("new_tab", name=f"{name} {saved_before}")
        await send("add_node", type="EmptyImage", title=name)
        if name == "good" or saved_before:
            await send("save_tab")
    good, mine = (f"{name} {saved_before}" for name in ("good", "mine"))

    async def full(route: Route) -> None:
        writes = route.request.method == "POST" and "/move/" not in route.request.url
        await (route.fulfill(status=507, body="No space left") if writes else route.continue_())

    await tab.page.route("**/userdata/**", full)
    assert (await refused("save_tab", name=good, overwrite=True))["code"] == "tab_failed"
    await tab.page.unroute("**/userdata/**", full)
    # 1.58 also logs it to the console.
    tab.errors.clear()
    assert {good, mine} <= {name for name, *_ in await names(send)}
    await send("close_tab", tab=good)
    await send("open_tab", path=good)
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["good"]
    await send("switch_tab", tab=mine)
    await send("save_tab", name=good, overwrite=True)
    await send("close_tab", tab=good)
    await send("open_tab", path=good)
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["mine"]
    assert await tab.page.evaluate(DIALOGS) == []


async def test_what_is_not_there_is_named(refused: Send, send: Send) -> None:
    assert (await refused("switch_tab", tab="nowhere"))["code"] == "unknown_tab"
    assert (await refused("open_tab", path="nowhere"))["code"] == "unknown_tab"
    await send("new_tab", name="here")
    assert (await refused("new_tab", name="here"))["code"] == "conflict"
    assert (await refused("close_tab", tab="hera"))["details"]["nearest"][0] == "here"


async def test_the_last_tab_leaves_an_empty_one(send: Send) -> None:
    for item in (await send("list_tabs"))["tabs"]:
        await send("close_tab", tab=item["id"], discard=True)
    [left] = (await send("list_tabs"))["tabs"]
    assert left["active"] and (await send("query_fields"))["nodes"] == []


def picture(answer: Json) -> bytes:
    """The PNG in a response, which has the size that the response says."""
    data = base64.b64decode(answer["png"])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (answer["width"], answer["height"])
    return data


async def settled(send: Send, tab: Tab, vue: bool) -> None:
    """Wait until the page draws nodes that way and has laid them out: two pictures in a row are the same."""
    await tab.page.wait_for_function("vue => LiteGraph.vueNodesMode === vue", arg=vue)
    seen: list[str] = []

    async def same() -> bool:
        seen.append((await send("screenshot", nodes=["Picture", "Prompt"]))["png"])
        return len(seen) > 1 and seen[-1] == seen[-2]

    await until(same, "the nodes to stay where they are", PATIENCE)


@pytest.mark.parametrize("vue", [False, True])
async def test_pictures_show_the_nodes_whichever_way_the_page_draws_them(send: Send, tab: Tab, vue: bool) -> None:
    nodes = [node(1, "EmptyImage", "Picture", [64, 64, 1, 0]), node(2, "CLIPTextEncode", "Prompt", ["a cat"])]
    await send("load_workflow", workflow=ui(nodes))
    await tab.page.evaluate(VUE_NODES, vue)
    try:
        await settled(send, tab, vue)
        whole = await send("screenshot")
        assert (whole["width"], whole["height"]) == (1280, 800)
        both = await send("screenshot", nodes=["Picture", "Prompt"], width=2000)
        assert both["width"] == 2000 and picture(both)
        text = picture(await send("screenshot", nodes=["Prompt"]))
        number = picture(await send("screenshot", nodes=["Picture"], padding=5))
        await send("set_fields", fields=[["Prompt.text", "something else"], ["Picture.width", 512]])
        # The text is in a text box of the page, not on the canvas, and is added to the picture.
        assert picture(await send("screenshot", nodes=["Prompt"])) != text
        assert picture(await send("screenshot", nodes=["Picture"], padding=5)) != number
        assert await tab.page.evaluate("() => LiteGraph.vueNodesMode") is vue
    finally:
        await tab.page.evaluate(VUE_NODES, False)


async def test_a_picture_disturbs_neither_the_view_nor_what_the_person_does(
    send: Send, refused: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=nested())
    await tab.page.evaluate("() => app.canvas.select(app.rootGraph.nodes.find(({ title }) => title === 'Save'))")
    await tab.drawn()
    view = """() => {
        const { ds, graph, canvas, selectedItems } = app.canvas
        return [ds.scale, ...ds.offset, graph.id, canvas.id, ...[...selectedItems].map(({ title }) => title)]
    }"""
    before = await tab.page.evaluate(view)
    assert before[-1] == "Save"
    picture(await send("screenshot", nodes=["Outer/Deep/Inner Image"]))
    assert await tab.page.evaluate(view) == before
    await tab.page.mouse.move(640, 700)
    await tab.page.mouse.down()
    try:
        assert (await refused("screenshot", nodes=["Outer/Deep/Inner Image"]))["code"] == "conflict"
        picture(await send("screenshot", nodes=["Save"]))
    finally:
        await tab.page.mouse.up()


async def test_a_large_graph_is_read_in_pieces(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=nested())
    every = (await send("query_fields"))["nodes"]
    pieces: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        answer = await send("query_fields", limit=2, offset=offset)
        assert (len(answer["nodes"]) <= 2, answer["total"]) == (True, len(every))
        pieces += answer["nodes"]
        offset = answer.get("next_offset")
    assert pieces == every
    assert [item["id"] for item in (await send("query_fields", depth=0))["nodes"]] == ["3", "5"]
    assert [item["id"] for item in (await send("query_fields", types=["emptyimage"]))["nodes"]] == ["5:4:1"]
    assert {item["id"] for item in (await send("query_fields", near="Outer/Scale"))["nodes"]} == {"5:2", "5:4"}
    [one] = (await send("query_fields", titles=["Save"], want=["pos", "links"]))["nodes"]
    assert set(one) == {"id", "type", "title", "inputs", "outputs", "pos", "links"}
    assert one["links"]["from"][0]["from"]["path"] == "Outer.outputs[0]"
    assert (await refused("query_fields", want=["everything"]))["code"] == "invalid"
