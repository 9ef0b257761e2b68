"""Edits, batches, history and snapshots: everything a person can do to the graph, all or nothing, and undoable."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab

from ....harness.browser.graphs import Json, nested, node, save, ui
from ..conftest import Send

HISTORY = """() => {
    const { changeTracker, isModified } = app.extensionManager.workflow.activeWorkflow
    return [changeTracker.undoQueue.length, changeTracker.redoQueue.length, changeTracker.changeCount, isModified]
}"""
VIEW = "() => [app.canvas.ds.scale, ...app.canvas.ds.offset, app.canvas.selectedItems.size]"


def pictures() -> Json:
    return ui([node(1, "EmptyImage", "Picture", [64, 64, 1, 0]), node(2, "SaveImage", "Save", ["test"])])


async def graph(send: Send, tab: Tab) -> Json:
    """The open workflow as the page saves it once it has been drawn, without its view."""
    await tab.drawn()
    workflow: Json = (await send("get_workflow"))["workflow"]["workflow"]
    return {**workflow, "extra": {key: value for key, value in workflow["extra"].items() if key != "ds"}}


async def test_a_node_is_made_with_all_that_was_asked_for(send: Send) -> None:
    await send("load_workflow", workflow=pictures())
    looks: Json = {"title": "New", "pos": [50, 600], "size": [400, 300], "mode": "bypassed"}
    made = (await send("add_node", type="EmptyImage", fields=[["width", 96]], **looks))["node"]
    assert (made["title"], made["pos"], made["size"], made["mode"]) == ("New", [50, 600], [400, 300], 4)
    assert isinstance(made["id"], str)
    assert await send("get_fields", fields=[f"#{made['id']}.width"]) == {f"#{made['id']}.width": 96}
    listed = next(item for item in (await send("query_fields"))["nodes"] if item["id"] == made["id"])
    assert listed.items() <= made.items()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"type": "EmptyImag"}, "unknown_node_type"),
        ({"type": "EmptyImage", "fields": [["nothing", 1]]}, "unknown_path"),
        ({"type": "EmptyImage", "fields": [["width", "wide"]]}, "invalid"),
        ({"type": "EmptyImage", "subgraph": "Save"}, "invalid"),
        ({"type": "EmptyImage", "subgraph": "Nowhere"}, "unknown_node"),
    ],
)
async def test_a_node_that_cannot_be_made_leaves_nothing(
    send: Send, refused: Send, tab: Tab, data: Json, code: str
) -> None:
    await send("load_workflow", workflow=pictures())
    before = (await graph(send, tab))["nodes"]
    assert (await refused("add_node", **data))["code"] == code
    assert (await graph(send, tab))["nodes"] == before


async def test_a_node_is_changed_in_every_way_and_back_by_one_undo(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=pictures())
    before = await graph(send, tab)
    looks: Json = {"title": "Other", "pos": [10, 20], "size": [333, 222], "collapsed": True, "pinned": True}
    made = (await send("set_node", node="Picture", **looks, mode="muted", color="green"))["node"]
    assert looks.items() <= made.items()
    saved = next(item for item in (await graph(send, tab))["nodes"] if str(item["id"]) == "1")
    assert (saved["title"], saved["mode"], saved["flags"]) == ("Other", 2, {"collapsed": True, "pinned": True})
    assert saved["bgcolor"] == "#353"
    assert await send("undo") == {"done": 1}
    assert await graph(send, tab) == before
    assert await send("redo") == {"done": 1}
    assert (await send("query_fields", titles=["other"]))["total"] == 1


async def test_links_are_cut_by_input_by_output_and_by_both_ends(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=pictures())
    for field in ("Save.images", "Picture.outputs[0]", {"from": "Picture", "to": "Save"}):
        await send("set_connection", field=["Picture", "Save"])
        [cut] = (await send("disconnect", field=field))["removed"]
        assert (cut["from"]["path"], cut["to"]["path"]) == ("Picture.outputs[0]", "Save.inputs[0]")
        assert await send("get_fields", fields=["Save.inputs[0]"]) == {"Save.inputs[0]": None}
    assert (await refused("disconnect", field="Save.images"))["code"] == "invalid"


async def test_nodes_are_removed_with_their_links(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=nested())
    assert (await send("remove_node", nodes=["Outer/Scale", "#3"]))["removed"] == [
        {"id": "5:2", "type": "ImageScaleBy", "title": "Scale"},
        {"id": "3", "type": "SaveImage", "title": "Save"},
    ]
    assert [item["id"] for item in (await send("query_fields"))["nodes"]] == ["5", "5:4", "5:4:1"]
    error = await refused("remove_node", nodes=["Outter"])
    assert (error["code"], error["details"]["nearest"][0]) == ("unknown_node", "Outer")


async def test_groups_are_made_around_nodes_moved_with_them_and_removed_without(
    send: Send, refused: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=pictures())
    made = (await send("add_group", title="Frame", nodes=["Picture", "Save"], color="red"))["group"]
    assert sorted(made["nodes"]) == ["1", "2"]
    moved = (await send("set_group", group="frame", title="Other", bounding=[0, 0, 500, 400]))["group"]
    assert (moved["title"], moved["bounding"]) == ("Other", [0, 0, 500, 400])
    assert (await refused("set_group", group="Frame"))["code"] == "unknown_group"
    await send("remove_group", group=f"#{made['id']}")
    saved = await graph(send, tab)
    assert (saved["groups"], len(saved["nodes"])) == ([], 2)


async def test_nodes_become_a_subgraph_are_edited_in_it_and_unpacked(send: Send) -> None:
    await send("load_workflow", workflow=pictures())
    await send("set_connection", field=["Picture", "Save"])
    packed = (await send("convert_to_subgraph", nodes=["Picture", "Save"], title="Packed"))["node"]
    assert (packed["title"], packed["subgraph"], packed["path"]) == ("Packed", True, "Packed")
    await send("set_fields", fields=[["Packed/Picture.width", 320]])
    inner = (await send("add_node", type="EmptyImage", title="Inner", subgraph="Packed"))["node"]
    assert inner["path"] == "Packed/Inner"
    names = {item["title"] for item in (await send("unpack_subgraph", node="Packed"))["nodes"]}
    assert names == {"Picture", "Save", "Inner"}
    assert await send("get_fields", fields=["Picture.width"]) == {"Picture.width": 320}
    assert (await send("get_fields", fields=["Save.inputs[0]"]))["Save.inputs[0]"]["title"] == "Picture"


EDITS: list[Json] = [
    {"command": "set_fields", "data": {"fields": [["Outer.width", 64]]}},
    {
        "command": "set_node",
        "data": {"node": "Save", "title": "Safe", "collapsed": True, "mode": "muted", "color": "#123456"},
    },
]
MORE: list[Json] = [
    {"command": "add_node", "data": {"type": "EmptyImage", "title": "Fresh"}},
    {"command": "set_connection", "data": {"field": ["Fresh", "Safe"]}},
    {"command": "remove_node", "data": {"nodes": ["Outer"]}},
    {"command": "add_group", "data": {"title": "Frame", "nodes": ["Fresh"]}},
]


async def test_a_batch_is_one_undo_step(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=nested())
    before, [steps, *_] = await graph(send, tab), await tab.page.evaluate(HISTORY)
    done = await send("batch", commands=EDITS + MORE)
    assert done["applied"] and len(done["results"]) == 6
    assert {"Safe", "Fresh"} == {item["title"] for item in (await send("query_fields"))["nodes"]}
    assert (await tab.page.evaluate(HISTORY))[0] == steps + 1
    await send("undo")
    assert await graph(send, tab) == before


@pytest.mark.parametrize("commands", [EDITS, EDITS + MORE], ids=["values and looks", "structure"])
@pytest.mark.parametrize("fails", [False, True], ids=["dry run", "failure"])
async def test_a_dry_run_and_a_failed_batch_leave_everything_as_it_was(
    send: Send, attempt: Send, tab: Tab, commands: list[Json], fails: bool
) -> None:
    await send("load_workflow", workflow=nested())
    await send("set_node", node="Save", pos=[5, 5])
    await tab.page.evaluate("() => app.canvas.selectItems([app.rootGraph.nodes[0]])")
    await tab.drawn()
    before, history, view = await graph(send, tab), await tab.page.evaluate(HISTORY), await tab.page.evaluate(VIEW)
    revision = (await attempt("get_fields", fields=[]))["revision"]
    broken: list[Json] = [{"command": "set_node", "data": {"node": "Nobody"}}]
    answer = await attempt("batch", commands=commands + (broken if fails else []), dry_run=not fails)
    if fails:
        assert answer["code"] == "unknown_node"
        assert (answer["details"]["index"], answer["details"]["command"]) == (len(commands), "set_node")
    else:
        changes = {(change["kind"], change["path"]) for change in answer["response"]["changes"]}
        expected = ("node_added", "Fresh") if len(commands) > len(EDITS) else ("widget_changed", "Outer.width")
        assert expected in changes
        assert not answer["response"]["applied"]
    assert await graph(send, tab) == before
    assert await tab.page.evaluate(HISTORY) == history
    assert await tab.page.evaluate(VIEW) == view
    assert (await attempt("get_fields", fields=[]))["revision"] == revision


# Once: a node whose removal always fails can't be restored either.
FAIL = """fault => {
    const save = app.rootGraph.nodes.find(node => node.title === 'Save')
    save[fault] = () => {
        delete save[fault]
        throw new Error('a fault of the node')
    }
}"""


@pytest.mark.parametrize(
    ("command", "data", "fault"),
    [
        ("remove_node", {"nodes": ["Outer", "Save"]}, "onRemoved"),
        ("set_node", {"node": "Save", "title": "Safe", "size": [900, 900]}, "computeSize"),
        ("set_connection", {"field": ["Outer.outputs[0]", "Save.inputs[0]"]}, "onConnectionsChange"),
    ],
)
async def test_an_edit_that_fails_half_way_is_put_back(
    send: Send, refused: Send, tab: Tab, command: str, data: Json, fault: str
) -> None:
    await send("load_workflow", workflow=nested())
    before, history = await graph(send, tab), await tab.page.evaluate(HISTORY)
    await tab.page.evaluate(FAIL, fault)
    assert "a fault of the node" in (await refused(command, **data))["error"]
    assert await graph(send, tab) == before
    assert await tab.page.evaluate(HISTORY) == history
    await send("set_node", node="Save", title="Safe")
    assert (await tab.page.evaluate(HISTORY))[0] == history[0] + 1


async def test_a_link_that_a_node_refuses_leaves_the_one_that_was_there(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=pictures())
    await send("set_connection", field=["Picture", "Save"])
    await send("add_node", type="EmptyImage", title="Refused")
    await tab.page.evaluate("""() => {
        const {rootGraph} = app
        const [save, refused] = ['Save', 'Refused'].map(title => rootGraph.nodes.find(node => node.title === title))
        save.onConnectionsChange = function (_type, slot, connected, link) {
            if (connected && String(link?.origin_id) === String(refused.id)) this.disconnectInput(slot)
        }
    }""")
    assert (await refused("set_connection", field=["Refused", "Save"]))["code"] == "invalid"
    assert (await send("get_fields", fields=["Save.inputs[0]"]))["Save.inputs[0]"]["title"] == "Picture"


async def test_snapshots_are_listed_compared_and_restored_as_one_undo_step(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=nested())
    before = await graph(send, tab)
    taken = (await send("take_snapshot", name="first"))["snapshot"]
    assert taken in (await send("list_snapshots"))["snapshots"]
    assert (await send("compare_snapshots", a=taken["id"]))["changes"] == []
    await send("batch", commands=EDITS)
    after = await graph(send, tab)
    changes: list[Any] = (await send("compare_snapshots", a="first"))["changes"]
    width = next(change for change in changes if change["kind"] == "widget_changed")
    assert (width["path"], width["before"], width["after"]) == ("Outer.width", 512, 64)
    await send("restore_snapshot", snapshot=taken["id"])
    assert await graph(send, tab) == before
    await send("undo")
    assert await graph(send, tab) == after
    assert (await refused("restore_snapshot", snapshot="never"))["code"] == "unknown_snapshot"


REFUSING = "() => { app.rootGraph.nodes.find(node => node.title === 'Save').onConnectInput = () => false }"
THROWING = """() => {
    app.rootGraph.nodes.find(node => node.title === 'Save').onConnectionsChange = () => { throw new Error('a fault') }
}"""


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [(REFUSING, "invalid", "refuses a link"), (THROWING, "tab_failed", "failed in the page, and nothing was changed")],
)
async def test_a_link_that_fails_in_a_nodes_code_leaves_what_was_there(
    send: Send, refused: Send, tab: Tab, fault: str, code: str, says: str
) -> None:
    workflow = ui(
        [
            node(1, "EmptyImage", "One", [64, 32, 1, 0], outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [4]}]),
            node(2, "EmptyImage", "Two", [64, 32, 1, 0], outputs=[{"name": "IMAGE", "type": "IMAGE", "links": []}]),
            save(4),
        ],
        [[4, 1, 0, 3, 0, "IMAGE"]],
    )
    await send("load_workflow", workflow=workflow)
    await tab.page.evaluate(fault)
    error = await refused("set_connection", field=["Two.outputs[0]", "Save.images"])
    assert error["code"] == code and says in error["error"]
    assert error["details"].get("reason", "a fault") == "a fault"
    assert (await send("get_fields", fields=["Save.inputs[0]"]))["Save.inputs[0]"]["title"] == "One"
    assert await send("undo") == {"done": 0}


async def test_a_link_between_two_types_is_refused_by_their_names(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=ui([node(1, "LabText", "Text", ["x"]), save(None)]))
    error = await refused("set_connection", field=["Text.outputs[0]", "Save.images"])
    assert error["error"] == "Text.outputs[0] (STRING) does not fit Save.images (IMAGE); nothing was changed."
