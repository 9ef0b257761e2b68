"""Loading workflows: both formats are recognised, and a load only succeeds if the page shows the workflow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab, until
from comfyui_uiapi.tests.harness.programs.program import PATIENCE

from ....harness.browser.graphs import Json, empty_to_save, nested, node, ui
from ..conftest import Played, Send

DIALOGS = "() => app.extensionManager._p._s.get('dialog').dialogStack.map(dialog => dialog.key)"
SHOWN = "() => app.rootGraph.nodes.map(node => String(node.id)).sort()"


async def ids(send: Send) -> set[str]:
    return {item["id"] for item in (await send("query_fields"))["nodes"]}


async def test_the_api_format_is_loaded_with_its_values_and_links(send: Send) -> None:
    answer = await send("load_workflow", workflow=empty_to_save(width=80))
    assert (answer["loaded"], answer["format"], answer["missing_node_types"]) == (True, "api", [])
    output = (await send("get_workflow_api"))["output"]
    assert {ident: item["class_type"] for ident, item in output.items()} == {"1": "EmptyImage", "2": "SaveImage"}
    assert output["1"]["inputs"]["width"] == 80
    assert output["2"]["inputs"]["images"] == ["1", 0]


async def test_the_ui_format_is_loaded_with_its_subgraphs(send: Send) -> None:
    answer = await send("load_workflow", workflow=nested())
    assert (answer["loaded"], answer["format"]) == (True, "ui")
    assert await ids(send) == {"3", "5", "5:4", "5:4:1", "5:2"}


async def test_a_workflow_comes_back_as_it_was_fetched(send: Send) -> None:
    await send("load_workflow", workflow=nested())
    fetched = (await send("get_workflow"))["workflow"]
    await send("load_workflow", workflow=empty_to_save())
    for format_, expected in (("workflow", fetched["output"]), ("output", fetched["output"])):
        await send("load_workflow", workflow=fetched[format_])
        again = (await send("get_workflow_api"))["output"]
        assert sorted(item["class_type"] for item in again.values()) == sorted(
            item["class_type"] for item in expected.values()
        )


async def test_an_empty_workflow_is_one(send: Send) -> None:
    await send("load_workflow", workflow=empty_to_save())
    assert (await send("load_workflow", workflow=ui([])))["nodes"] == 0
    assert await ids(send) == set()


async def test_the_workflow_gets_its_name(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save(), name="From a program")
    assert await tab.page.evaluate("app.extensionManager.workflow.activeWorkflow.filename") == "From a program"

    async def listed() -> bool:
        tabs = (await asyncio.to_thread(tab.comfy.get, "/uiapi/webuis"))["response"]
        return [item["workflow_name"] for item in tabs if item["id"] == tab.webui] == ["From a program"]

    await until(listed, "the workflow's name", PATIENCE)


async def test_a_name_that_is_taken_is_left_to_the_workflow_that_has_it(send: Send) -> None:
    await send("new_tab")
    await send("add_node", type="EmptyImage", title="Kept")
    await send("save_tab", name="taken", overwrite=True)
    for number in (2, 3):
        await send("load_workflow", workflow=empty_to_save(), name="taken")
        [shown] = [item for item in (await send("list_tabs"))["tabs"] if item["active"]]
        assert (shown["name"], shown["is_temporary"]) == (f"taken ({number})", True)
    await send("switch_tab", tab="taken.json")
    assert [item["title"] for item in (await send("query_fields"))["nodes"]] == ["Kept"]


SLOW = """() => {
    if (!window.slow) app.registerExtension({name: 'test.slow', beforeConfigureGraph: () => window.slow?.wait})
    window.slow = {}
    window.slow.wait = new Promise(resume => (window.slow.end = resume))
}"""


# The page is notified of a disconnected client when it has time.
RECORD_ABORTS = """() => {
    const {abort} = AbortController.prototype
    window.aborted = false
    AbortController.prototype.abort = function (...reason) {
        AbortController.prototype.abort = abort
        abort.apply(this, reason)
        window.aborted = true
    }
}"""


async def test_a_write_that_waits_for_a_load_is_dropped_once_its_time_is_up(
    send: Send, refused: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=empty_to_save(width=64))
    await tab.page.evaluate(SLOW)
    await tab.page.evaluate("workflow => { slow.load = app.loadGraphData(workflow) }", nested())
    await tab.page.evaluate(RECORD_ABORTS)
    error = await refused("set_fields", fields=[["Outer.width", 96]], timeout=0.5)
    assert error["code"] == "timeout"
    await tab.page.wait_for_function("window.aborted")
    await tab.page.evaluate("() => { slow.end(); return slow.load.then(() => {}) }")
    assert await send("get_fields", fields=["Outer.width"]) == {"Outer.width": 512}


NO_WORKFLOWS: dict[str, Json] = {
    "empty": {},
    "something else": {"hello": "world"},
    "nodes is no list": {"nodes": {"1": {}}, "links": []},
    "nodes without types": {"nodes": [{"id": 1}], "links": []},
    "a node without class_type": {**empty_to_save(), "3": {"inputs": {}}},
    "inputs is no object": {"1": {"class_type": "EmptyImage", "inputs": [1]}},
    "an answer of get_workflow": {"workflow": nested(), "output": empty_to_save()},
}


@pytest.mark.parametrize("case", NO_WORKFLOWS)
async def test_what_is_no_workflow_is_refused_and_the_open_one_stays(
    send: Send, refused: Send, tab: Tab, case: str
) -> None:
    await send("load_workflow", workflow=empty_to_save())
    assert (await refused("load_workflow", workflow=NO_WORKFLOWS[case]))["code"] == "invalid"
    assert await tab.page.evaluate(SHOWN) == ["1", "2"]
    assert await tab.page.evaluate(DIALOGS) == []


async def test_a_workflow_one_level_too_far_out_gets_a_hint(refused: Send) -> None:
    error = await refused("load_workflow", workflow={"output": empty_to_save()})
    assert '"output"' in error["error"]


async def test_unknown_nodes_of_a_ui_workflow_are_named_without_a_dialog(send: Send, tab: Tab) -> None:
    workflow = ui(
        [node(1, "EmptyImage"), node(2, "NodeFromNowhere"), node(3, "AnotherOne"), node(4, "Note", values=["x"])]
    )
    answer = await send("load_workflow", workflow=workflow)
    assert answer["loaded"] is True
    assert answer["missing_node_types"] == ["NodeFromNowhere", "AnotherOne"]
    assert "NodeFromNowhere" in answer["message"]
    assert await ids(send) == {"1", "2", "3", "4"}
    assert await tab.page.evaluate(DIALOGS) == []


async def test_unknown_nodes_of_an_api_workflow_are_never_dropped_in_silence(
    send: Send, attempt: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=empty_to_save())
    answer = await attempt(
        "load_workflow", workflow={**empty_to_save(), "7": {"class_type": "NodeFromNowhere", "inputs": {}}}
    )
    if answer["status"] == "ok":
        assert answer["missing_node_types"] == ["NodeFromNowhere"]
        assert "7" in await ids(send)
    else:
        assert answer["code"] == "invalid"
        assert answer["details"]["missing_node_types"] == ["NodeFromNowhere"]
        assert await ids(send) == {"1", "2"}
    assert await tab.page.evaluate(DIALOGS) == []


async def test_loading_leaves_the_subgraph_that_was_looked_into(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=nested())
    look_into = "() => app.canvas.openSubgraph(app.rootGraph.getNodeById(5).subgraph, app.rootGraph.getNodeById(5))"
    for workflow, expected in ((empty_to_save(), {"1", "2"}), (nested(), {"3", "5", "5:4", "5:4:1", "5:2"})):
        await send("load_workflow", workflow=nested())
        await tab.page.evaluate(look_into)
        await send("load_workflow", workflow=workflow)
        assert await ids(send) == expected
        assert await tab.page.evaluate("app.canvas.graph === app.rootGraph")


async def test_workflows_loaded_at_once_do_not_mix(send: Send, tab: Tab) -> None:
    small, large = empty_to_save(), {str(ident): empty_to_save()["1"] for ident in range(10, 30)}
    await asyncio.gather(
        *(send("load_workflow", workflow=workflow) for workflow in (small, large, nested(), small, large))
    )
    shown = set(await tab.page.evaluate(SHOWN))
    assert shown in ({"1", "2"}, set(large), {"3", "5"})


async def test_a_failure_of_the_page_is_reported_and_leaves_no_dialog(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=empty_to_save())
    await tab.page.evaluate("""() => {
        const {configure} = app.rootGraph
        app.rootGraph.configure = function () {
            app.rootGraph.configure = configure
            throw new Error('no such luck')
        }
    }""")
    error = await refused("load_workflow", workflow=nested())
    assert error["code"] == "tab_failed"
    assert "no such luck" in error["error"]
    assert await tab.page.evaluate(DIALOGS) == []
    # The page's message in the console has this extension in its stack.
    tab.errors.clear()
    await send("load_workflow", workflow=nested())


HALF_LOADED: dict[str, Json] = {
    "a link to no node": {"1": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "x"}}},
    "a list for a value": {**empty_to_save(), "3": {"class_type": "EmptyImage", "inputs": {"width": [1, 2]}}},
    "a group that is none": {**ui([node(1, "EmptyImage")]), "groups": [None]},
    "a word of the language": {"1": {"class_type": "constructor", "inputs": {}}},
    "the same in UI format": ui([node(1, "EmptyImage"), node(2, "constructor")]),
}
SHOWN_TAB = "() => app.extensionManager.workflow.activeWorkflow.filename"


@pytest.mark.parametrize("case", HALF_LOADED)
async def test_a_load_that_fails_leaves_the_persons_own_workflow_as_it_was(
    send: Send, attempt: Send, tab: Tab, case: str
) -> None:
    await send("load_workflow", workflow=nested(), name="Mine")
    await send("set_fields", fields=[["Outer.width", 64]])
    await tab.page.evaluate("() => app.canvas.selectItems([app.rootGraph.nodes[0]])")
    mine, before = await tab.page.evaluate(SHOWN_TAB), await send("get_workflow_api")
    answer = await attempt("load_workflow", workflow=HALF_LOADED[case])
    # The page's message in the console has this extension in its stack.
    tab.errors.clear()
    if answer["status"] == "error":
        assert answer["code"] in ("tab_failed", "invalid")
        assert await tab.page.evaluate(SHOWN_TAB) == mine
        assert await tab.page.evaluate("app.canvas.selectedItems.size") == 1
    else:
        await send("switch_tab", tab=mine)
    assert await send("get_workflow_api") == before
    assert await tab.page.evaluate(DIALOGS) == []
    await send("undo")
    assert await send("get_fields", fields=["Outer.width"]) == {"Outer.width": 512}


async def test_a_load_is_not_called_done_when_the_person_opens_another_tab_in_it(
    send: Send, refused: Send, tab: Tab
) -> None:
    await send("load_workflow", workflow=nested(), name="Mine")
    await tab.page.evaluate("() => { window.mine = app.extensionManager.workflow.activeWorkflow }")
    await send("load_workflow", workflow=ui([]))
    await tab.page.evaluate("""() => {
        if (!window.meanwhile) app.registerExtension({name: 'test.meanwhile', afterConfigureGraph: () => meanwhile()})
        window.meanwhile = () => {
            window.meanwhile = () => {}
            app.loadGraphData(mine.activeState, true, true, mine)
        }
    }""")
    error = await refused("load_workflow", workflow=ui([node(1, "EmptyImage", values=[32, 64, 1, 0])]), name="New")
    assert error["code"] == "tab_changed", error
    assert error["details"]["workflow_tab"] != error["details"]["active"]
    assert await ids(send) == {"3", "5", "5:4", "5:4:1", "5:2"}


async def test_models_that_are_not_there_are_cleared_and_nothing_else(send: Send, tab: Tab) -> None:
    workflow = ui(
        [
            node(1, "CheckpointLoaderSimple", "Missing", ["missing.safetensors"]),
            node(2, "LoraLoader", "Both", ["lora.safetensors", 0.5, 0.6]),
            node(3, "EmptyImage", "Picture", [64, 64, 1, 0]),
        ]
    )
    await send("load_workflow", workflow=workflow)
    steps = await tab.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length")
    answer = await send("clear_nonexistant_models")
    assert answer["cleared_count"] == 2
    assert sorted(answer["cleared_fields"]) == ["Both.lora_name", "Missing.ckpt_name"]
    expected: dict[str, Any] = {
        "Missing.ckpt_name": "",
        "Both.lora_name": "",
        "Both.strength_clip": 0.6,
        "Picture.width": 64,
    }
    assert await send("get_fields", fields=list(expected)) == expected
    assert steps + 1 == await tab.page.evaluate(
        "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length"
    )
    assert (await send("clear_nonexistant_models"))["cleared_count"] == 0


async def test_a_file_that_has_landed_is_offered_after_a_refresh(played: Played) -> None:
    server, tab = played
    await server.call("load_workflow", workflow=ui([node(1, "CheckpointLoaderSimple", "Loader")]))
    new = f"landed-{tab.comfy.frontend}.safetensors"
    refused = await server.call("set_fields", fields=[["Loader", new]])
    assert refused["code"] == "invalid"
    folder = tab.comfy.base / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / new).write_bytes(b"")
    refreshed = (await server.call("refresh_models"))["response"]
    lists = {(changed["type"], changed["input"]): changed for changed in refreshed["changed"]}
    changed = lists["CheckpointLoaderSimple", "ckpt_name"]
    assert changed["added"] == [new]
    assert changed["removed"] == []
    assert changed["fields"] == ["Loader.ckpt_name"]
    assert (await server.call("refresh_models"))["response"] == {"refreshed": True, "changed": []}
    written = await server.call("set_fields", fields=[["Loader", new]])
    assert written["response"]["Loader"] == {"requested": new, "value": new, "warnings": []}
    (folder / new).unlink()


UNTYPED = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64}, "_meta": {"title": "Canvas"}},
    "29:8": {"class_type": None, "inputs": {"image": ["1", 0], "UNKNOWN": 512}, "_meta": {"title": "Lost"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


async def test_an_export_with_a_node_of_unknown_type_is_loaded_as_far_as_the_page_can(send: Send) -> None:
    loaded = await send("load_workflow", workflow=UNTYPED)
    assert '#29:8 "Lost"' in loaded["warnings"][0] and loaded["warnings"][0] in loaded["message"]
    nodes = {item["title"]: item["type"] for item in (await send("query_fields"))["nodes"]}
    assert nodes["Canvas"] == "EmptyImage" and len(nodes) in (2, 3)
    assert nodes.get("Lost", "UNKNOWN") == "UNKNOWN"


async def test_a_run_is_refused_for_a_node_of_unknown_type_only_where_it_needs_it(send: Send, refused: Send) -> None:
    ran = await send("run", workflow=UNTYPED, wait=False)
    assert ran["prompt_id"] and '#29:8 "Lost"' in ran["warnings"][0]
    needing = {**UNTYPED, "3": {"class_type": "SaveImage", "inputs": {"images": ["29:8", 0], "filename_prefix": "x"}}}
    assert (await refused("run", workflow=needing, wait=False))["code"] == "execution_failed"


async def test_a_workflow_with_nan_is_loaded_as_the_page_would_open_it(send: Send) -> None:
    inputs = {"width": 64, "height": float("-inf")}
    workflow = {"1": {"class_type": "EmptyImage", "is_changed": [float("nan")], "inputs": inputs}}
    assert (await send("load_workflow", workflow=workflow))["nodes"] == 1
    assert (await send("get_fields", fields=["EmptyImage.width"])) == {"EmptyImage.width": 64}
