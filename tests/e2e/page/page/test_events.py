"""Events report who changed what, once and in order, to a server that subscribes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from comfyui_uiapi.tests.harness.browser.tab import until

from ....harness.browser.fake_server import DEADLINE, FakeServer
from ....harness.browser.graphs import Json, node, ui
from ....harness.browser.scripts import TITLE_AT
from ..conftest import Played

WRITES = 1000


@pytest_asyncio.fixture(loop_scope="session")
async def opened(played: Played) -> AsyncIterator[Played]:
    """A tab with a small workflow, whose server is played by the test."""
    server, _ = played
    server.events.clear()
    picture = node(1, "EmptyImage", "Picture", [64, 64, 1, 0])
    await server.call("load_workflow", workflow=ui([picture, node(2, "CLIPTextEncode", "Prompt", ["a cat"])]))
    yield played
    server.watch()


def received(server: FakeServer) -> list[tuple[str, Json]]:
    return [(name, data) for name, data in server.events if name != "snapshot"]


def named(server: FakeServer, name: str) -> list[Json]:
    return [data for event, data in received(server) if event == name]


async def select(opened: Played, title: str, ident: str) -> None:
    """Click a node's title until that is reported: what was just loaded may not be drawn yet, or move once more."""
    server, tab = opened

    async def selected() -> bool:
        await tab.page.mouse.click(*await tab.page.evaluate(TITLE_AT, title))
        # Longer than between the clicks of a double click.
        await asyncio.sleep(0.5)
        return [ident] in [event["nodes"] for event in named(server, "selection_changed")]

    await until(selected, f"the selection of {title}", DEADLINE)


async def test_a_thousand_writes_are_a_thousand_events_in_order(opened: Played) -> None:
    server, _ = opened
    server.watch("widget_changed")
    slider = {"by": "slider"}
    idents = [server.request("set_fields", slider, fields=[["Picture.width", 100 + at]]) for at in range(WRITES)]
    for ident in idents:
        assert (await server.answer(ident))["status"] == "ok"
    events = named(server, "widget_changed")
    assert [(event["old"], event["new"]) for event in events] == [
        (64 if at == 0 else 99 + at, 100 + at) for at in range(WRITES)
    ]
    assert [event["by"] for event in events] == [{"program": "slider", "request": ident} for ident in idents]
    assert {(event["path"], event["node"], event["widget"]) for event in events} == {("Picture.width", "1", "width")}


async def test_changes_by_hand_are_attributed_to_the_person(opened: Played) -> None:
    server, tab = opened
    server.watch("*")
    box = tab.page.locator("textarea").first
    await box.click()
    await box.press("End")
    for key in "xyz":
        await box.press(key)
    await server.until(lambda: [event["new"] for event in named(server, "widget_changed")][-1:] == ["a catxyz"])
    typed = named(server, "widget_changed")
    assert [event["old"] for event in typed[1:]] == [event["new"] for event in typed[:-1]]
    assert typed[0]["old"] == "a cat" and {event["by"] for event in typed} == {"person"}

    await select(opened, "Picture", "1")
    await tab.page.keyboard.press("Control+m")
    await server.until(lambda: named(server, "node_mode_changed"))
    [muted] = named(server, "node_mode_changed")
    assert (muted["path"], muted["old"], muted["new"], muted["by"]) == ("Picture", "always", "muted", "person")
    await tab.page.keyboard.press("Delete")
    await server.until(lambda: named(server, "node_removed"))
    assert [(event["node"], event["by"]) for event in named(server, "node_removed")] == [("1", "person")]


async def test_a_selection_that_a_program_ends_is_attributed_to_the_program(opened: Played) -> None:
    server, _ = opened
    server.watch("selection_changed")
    await select(opened, "Picture", "1")
    await server.call("remove_node", {"by": "editor"}, nodes=["Picture"])
    await server.until(lambda: named(server, "selection_changed")[-1]["nodes"] == [])
    last = named(server, "selection_changed")[-1]
    assert (last["nodes"], last["by"]["program"]) == ([], "editor")


async def test_edits_links_and_tabs_are_each_reported_once(opened: Played) -> None:
    server, _ = opened
    server.watch("*")
    steps: list[tuple[str, Json]] = [
        ("add_node", {"type": "SaveImage", "title": "Save"}),
        ("set_connection", {"field": ["Picture", "Save"]}),
        ("set_node", {"node": "Save", "title": "Safe"}),
        ("disconnect", {"field": "Safe.images"}),
        ("remove_node", {"nodes": ["Safe"]}),
        ("new_tab", {"name": "another"}),
    ]
    for command, data in steps:
        answer = await server.call(command, {"by": "editor"}, **data)
        assert answer["status"] == "ok", answer
    await server.until(lambda: named(server, "graph_loaded"))
    events = [(name, data) for name, data in received(server) if name != "selection_changed"]
    assert [name for name, _ in events] == [
        "node_added",
        "link_added",
        "node_renamed",
        "link_removed",
        "node_removed",
        "tab_switched",
        "graph_loaded",
    ]
    assert {data["by"]["program"] for _, data in events} == {"editor"}
    assert (events[1][1]["from"], events[1][1]["to"]) == ("Picture.outputs[0]", "Save.inputs[0]")
    assert (events[2][1]["old"], events[2][1]["new"]) == ("Save", "Safe")
    assert events[5][1]["name"] == "another"


async def test_no_event_is_sent_to_a_server_without_subscribers(opened: Played) -> None:
    server, _ = opened
    await server.call("set_fields", fields=[["Picture.width", 8]])
    server.watch("node_added")
    await server.call("set_fields", fields=[["Picture.width", 9]])
    await server.call("add_node", type="EmptyImage")
    server.watch()
    await server.call("add_node", type="EmptyImage")
    assert [name for name, _ in received(server)] == ["node_added"]


async def test_the_graph_is_sent_after_a_change_and_not_again_without_one(opened: Played) -> None:
    server, _ = opened

    def latest() -> Any:
        sent = next((data for name, data in reversed(server.events) if name == "snapshot"), None)
        if sent is None:
            return {"output": {}}
        # Its parts are texts, which the server decodes only when they are read.
        return {**sent, **{part: json.loads(sent[part]) for part in ("workflow", "output", "nodes")}}

    await server.until(lambda: "1" in latest()["output"])
    await server.call("set_fields", fields=[["Picture.width", 77]])
    await server.until(lambda: latest()["output"]["1"]["inputs"]["width"] == 77)
    sent = latest()
    assert {item["title"] for item in sent["nodes"]} == {"Picture", "Prompt"}
    assert sent["revision"] == (await server.call("get_fields", fields=[]))["revision"]

    async def quiet() -> bool:
        count = len(server.events)
        await asyncio.sleep(1.5)
        return len(server.events) == count

    # The first of a slow page may come late.
    await until(quiet, "no further event", DEADLINE)


async def test_the_response_is_sent_even_after_a_cancel(opened: Played) -> None:
    server, _ = opened
    ident = server.request("get_workflow")
    server.cancel(ident)
    assert (await server.answer(ident))["status"] == "ok"
