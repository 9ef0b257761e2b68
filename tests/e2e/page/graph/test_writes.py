"""Writes act like changes by a person: all or nothing, one undo step, and no silent difference."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import zlib
from typing import Any

import pytest
from comfyui_uiapi.tests.harness.browser.tab import Tab
from PIL import Image

from ....harness.browser.graphs import Json, nested, nested_twice, node, ui
from ..conftest import Send

UNDO = "() => app.extensionManager.command.execute('Comfy.Undo')"
UNDO_STEPS = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length"
# Records the callbacks of writes, as a listening extension would.
LISTEN = """title => {
    const node = app.rootGraph.nodes.find(node => node.title === title)
    window.calls = []
    for (const widget of node.widgets) {
        const old = widget.callback
        widget.callback = function (...args) {
            calls.push(['callback', widget.name, args[0], args[1] === app.canvas, args[2] === node])
            return old?.apply(this, args)
        }
    }
    node.onWidgetChanged = (name, value, previous) => calls.push(['changed', name, value, previous])
}"""
FAIL = """([title, name]) => {
    const widget = app.rootGraph.nodes.find(node => node.title === title).widgets.find(w => w.name === name)
    widget.callback = () => { throw new Error('no such luck') }
}"""


def sampler() -> Json:
    """A KSampler with its seed's control on fixed, an EmptyImage and two texts."""
    return ui(
        [
            node(1, "KSampler", "Sampler", [5, "fixed", 20, 8.0, "euler", "normal", 1.0]),
            node(2, "EmptyImage", "Picture", [64, 64, 1, 0]),
            node(3, "CLIPTextEncode", "Prompt", ["a cat"]),
            node(4, "StringConcatenate", "Words", ["one", "two", "-"]),
            node(5, "SaveImage", "Save", ["test"]),
        ]
    )


async def test_a_write_is_read_back_and_reaches_the_export(send: Send) -> None:
    await send("load_workflow", workflow=sampler())
    values: dict[str, Any] = {"Sampler.seed": 42, "Sampler.cfg": 3.5, "Sampler.sampler_name": "heun", "Prompt": "a dog"}
    answer = await send("set_fields", fields=list(values.items()))
    assert answer == {path: {"requested": value, "value": value, "warnings": []} for path, value in values.items()}
    exported = (await send("get_workflow_api"))["output"]
    assert exported["1"]["inputs"]["seed"] == 42
    assert exported["1"]["inputs"]["sampler_name"] == "heun"
    assert exported["3"]["inputs"]["text"] == "a dog"


async def test_a_single_field_may_be_written_without_a_list(send: Send) -> None:
    await send("load_workflow", workflow=sampler())
    assert (await send("set_fields", field=["#2.width", 96]))["#2.width"]["value"] == 96


async def test_callbacks_are_called_as_for_a_change_by_the_person(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=sampler())
    await tab.page.evaluate(LISTEN, "Picture")
    await send("set_fields", fields=[["Picture.width", 128]])
    assert await tab.page.evaluate("calls") == [
        ["callback", "width", 128, True, True],
        ["changed", "width", 128, 64],
    ]


async def test_a_text_is_written_into_the_box_on_the_page(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=sampler())
    await send("set_fields", fields=[["Prompt.text", "first line\nsecond line"]])
    # The page adds the box with the first frame.
    boxes = "[...document.querySelectorAll('textarea')]"
    await tab.page.wait_for_function(f"{boxes}.some(box => box.value === 'first line\\nsecond line')")


async def test_set_fields_is_one_undo_step(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=sampler())
    before = await tab.page.evaluate(UNDO_STEPS)
    await send("set_fields", fields=[["Sampler.steps", 30], ["Picture.width", 256], ["Prompt", "a dog"]])
    assert await tab.page.evaluate(UNDO_STEPS) == before + 1
    await tab.page.evaluate(UNDO)
    fields = ["Sampler.steps", "Picture.width", "Prompt"]
    assert await send("get_fields", fields=fields) == {
        "Sampler.steps": 20,
        "Picture.width": 64,
        "Prompt": "a cat",
    }


BAD_WRITES: dict[str, tuple[list[list[Any]], str]] = {
    "unknown path": ([["Picture.width", 8], ["Picture.nothing", 1]], "unknown_path"),
    "ambiguous path": ([["Picture.width", 8], ["Words", "x"]], "ambiguous_path"),
    "text for a number": ([["Picture.width", 8], ["Sampler.steps", "30"]], "invalid"),
    "true for a number": ([["Picture.width", 8], ["Sampler.steps", True]], "invalid"),
    "null for a number": ([["Picture.width", 8], ["Sampler.steps", None]], "invalid"),
    "number for a text": ([["Picture.width", 8], ["Prompt", 7]], "invalid"),
    "list for a text": ([["Picture.width", 8], ["Prompt", ["a"]]], "invalid"),
    "no such choice": ([["Picture.width", 8], ["Sampler.sampler_name", "hope"]], "invalid"),
    "an input": ([["Picture.width", 8], ["Save.inputs[0]", "x"]], "invalid"),
    "an output": ([["Picture.width", 8], ["Picture.outputs[0]", "x"]], "invalid"),
}


@pytest.mark.parametrize("case", BAD_WRITES)
async def test_one_write_that_cannot_be_made_leaves_all_unmade(send: Send, refused: Send, tab: Tab, case: str) -> None:
    fields, code = BAD_WRITES[case]
    await send("load_workflow", workflow=sampler())
    await tab.drawn()
    before = (await send("get_workflow"))["workflow"]
    steps = await tab.page.evaluate(UNDO_STEPS)
    assert (await refused("set_fields", fields=fields))["code"] == code
    assert (await send("get_workflow"))["workflow"] == before
    assert await tab.page.evaluate(UNDO_STEPS) == steps


async def test_a_refused_choice_names_what_is_offered(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=sampler())
    error = await refused("set_fields", fields=[["Sampler.sampler_name", "hope"]])
    assert "euler" in error["details"]["options"]
    assert error["details"]["options_total"] >= len(error["details"]["options"])


async def test_everything_is_put_back_when_a_callback_throws(send: Send, refused: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=sampler())
    await tab.drawn()
    await tab.page.evaluate(FAIL, ["Sampler", "steps"])
    before = (await send("get_workflow"))["workflow"]
    steps = await tab.page.evaluate(UNDO_STEPS)
    error = await refused("set_fields", fields=[["Picture.width", 128], ["Sampler.steps", 30], ["Prompt", "x"]])
    assert error["code"] == "tab_failed"
    assert "no such luck" in error["error"] and "Sampler.steps" in error["error"]
    assert (await send("get_workflow"))["workflow"] == before
    assert await tab.page.evaluate(UNDO_STEPS) == steps


@pytest.mark.parametrize(
    ("path", "asked", "held"),
    [
        ("Picture.width", 100_000, 16_384),
        ("Picture.width", 0, 1),
        ("Sampler.steps", 20.6, 21),
        ("Sampler.denoise", 2.5, 1.0),
    ],
)
async def test_a_value_that_the_widget_changes_is_reported(send: Send, path: str, asked: float, held: float) -> None:
    await send("load_workflow", workflow=sampler())
    written = (await send("set_fields", fields=[[path, asked]]))[path]
    assert (written["requested"], written["value"]) == (asked, held)
    assert len(written["warnings"]) == 1
    assert await send("get_fields", fields=[path]) == {path: held}


async def test_a_number_too_large_to_be_exact_is_reported(send: Send) -> None:
    await send("load_workflow", workflow=sampler())
    written = (await send("set_fields", fields=[["Sampler.seed", 2**60 + 1]]))["Sampler.seed"]
    assert any("exact" in warning for warning in written["warnings"])


async def test_a_control_that_will_replace_the_value_is_reported(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=sampler())
    assert (await send("set_fields", fields=[["Sampler.seed", 1]]))["Sampler.seed"]["warnings"] == []
    for mode in ("randomize", "increment", "decrement"):
        answer = await send("set_fields", fields=[["Sampler.control_after_generate", mode], ["Sampler.seed", 2]])
        assert answer["Sampler.control_after_generate"]["warnings"] == []
        [warning] = answer["Sampler.seed"]["warnings"]
        assert mode in warning and "after the next run" in warning
    await tab.page.evaluate("() => app.extensionManager.setting.set('Comfy.WidgetControlMode', 'before')")
    try:
        [warning] = (await send("set_fields", fields=[["Sampler.seed", 3]]))["Sampler.seed"]["warnings"]
    finally:
        await tab.page.evaluate("() => app.extensionManager.setting.set('Comfy.WidgetControlMode', 'after')")
    assert "before the run after the next" in warning


async def test_a_value_that_a_link_overrides_is_reported(send: Send) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage"), node(2, "PrimitiveInt", values=[48, "fixed"])]))
    await send("set_connection", field=["PrimitiveInt", "EmptyImage.width"])
    [warning] = (await send("set_fields", fields=[["EmptyImage.width", 8]]))["EmptyImage.width"]["warnings"]
    assert "linked" in warning


@pytest.mark.parametrize(("mode", "word"), [(2, "muted"), (4, "bypassed")])
async def test_a_node_that_does_not_run_is_reported(send: Send, mode: int, word: str) -> None:
    await send("load_workflow", workflow=ui([node(1, "EmptyImage", "Picture", mode=mode)]))
    [warning] = (await send("set_fields", fields=[["Picture.width", 8]]))["Picture.width"]["warnings"]
    assert word in warning


def png(colour: int) -> str:
    """A picture of one pixel, as base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixel = zlib.compress(bytes([0, colour, colour, colour]))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


async def test_an_image_is_stored_under_a_name_of_its_own_chosen_and_shown(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "LoadImage", "Load"), node(2, "PreviewImage", "Show")]))
    await send("set_connection", field=["Load.outputs[0]", "Show"])
    await tab.page.evaluate(LISTEN, "Load")
    names = []
    for colour in (0, 255, 0):
        written = await send("set_fields", fields=[["Load.image", {"type": "image_base64", "data": png(colour)}]])
        assert written["Load.image"]["warnings"] == []
        names.append(written["Load.image"]["value"])
    assert names[0] == names[2] != names[1] and all(name.startswith("INPUT_") for name in names)
    calls = await tab.page.evaluate("calls.filter(([kind]) => kind === 'callback').length")
    assert calls == 3
    listed = next(item for item in (await send("query_fields"))["nodes"] if item["id"] == "1")
    assert {*names} <= {*listed["widgets"][0]["options"]}
    assert (await send("run", timeout=240))["status"] == "success"


async def test_a_refused_write_leaves_the_picture_that_a_node_shows(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=ui([node(1, "LoadImage", "Kept")]))
    written = await send("set_fields", fields=[["Kept.image", {"type": "image_base64", "data": png(0)}]])
    folder = tab.comfy.base / "input"
    shown = folder / written["Kept.image"]["value"]
    before, files = shown.read_bytes(), {*folder.iterdir()}
    other = {"type": "image_base64", "data": png(77)}
    for fields in ([["Kept.image", other], ["Nowhere.width", 1]], [["Kept.image", other], ["Kept.upload", {}]]):
        envelope = await asyncio.to_thread(tab.comfy.post, "/uiapi/set_fields", {"fields": fields})
        assert envelope["status"] == "error"
        assert shown.read_bytes() == before and {*folder.iterdir()} == files


async def test_a_text_that_is_a_picture_is_one_in_a_field_that_takes_pictures_and_a_text_elsewhere(
    send: Send, refused: Send, tab: Tab
) -> None:
    nodes = [node(1, "LoadImage", "Load"), node(2, "LabText", "Text")]
    await send("load_workflow", workflow=ui(nodes))
    noise = io.BytesIO()
    Image.effect_noise((24, 24), 50).save(noise, "PNG")
    bare = base64.b64encode(noise.getvalue()).decode()
    for text in (bare, f"data:image/png;base64,{bare}"):
        written = await send("set_fields", fields=[["Load.image", text], ["Text.text", text]])
        stored = written["Load.image"]["value"]
        assert stored == written["Load.image"]["requested"] and written["Load.image"]["warnings"] == []
        assert (tab.comfy.base / "input" / stored).read_bytes() == noise.getvalue()
        fields = ["Load.image", "Text.text"]
        assert await send("get_fields", fields=fields) == {"Load.image": stored, "Text.text": text}
        assert text[:201] not in str(written)
    answer = await refused("set_fields", fields=[["Load.image", "A" * 4_000_000]])
    assert answer["code"] == "invalid" and "4000000 characters" in answer["error"] and len(str(answer)) < 1000


async def inner_inputs(send: Send) -> dict[str, Any]:
    """The inputs of the image inside both subgraphs in a run."""
    inputs: dict[str, Any] = (await send("get_workflow_api"))["output"]["5:4:1"]["inputs"]
    return inputs


@pytest.mark.parametrize("path", ["Outer.width", "Outer/Deep.width", "Outer/Deep/Inner Image.width", "#5:4:1.width"])
async def test_a_promoted_widget_is_written_where_it_counts_whatever_names_it(send: Send, path: str) -> None:
    await send("load_workflow", workflow=nested())
    assert (await send("set_fields", fields=[[path, 320]]))[path] == {"requested": 320, "value": 320, "warnings": []}
    assert (await inner_inputs(send))["width"] == 320
    everywhere = ["Outer.width", "Outer/Deep.width", "Outer/Deep/Inner Image.width"]
    assert set((await send("get_fields", fields=everywhere)).values()) == {320}


@pytest.mark.parametrize("path", ["Outer/Deep.height", "Outer/Deep/Inner Image.height"])
async def test_a_widget_promoted_one_level_is_written_there(send: Send, path: str) -> None:
    await send("load_workflow", workflow=nested())
    await send("set_fields", fields=[[path, 96]])
    assert (await inner_inputs(send))["height"] == 96


async def test_a_widget_that_is_not_promoted_is_written_inside(send: Send, tab: Tab) -> None:
    await send("load_workflow", workflow=nested())
    before = await tab.page.evaluate(UNDO_STEPS)
    await send("set_fields", fields=[["Outer/Deep/Inner Image.color", 255], ["Outer/Scale.upscale_method", "area"]])
    output = (await send("get_workflow_api"))["output"]
    assert output["5:4:1"]["inputs"]["color"] == 255
    assert output["5:2"]["inputs"]["upscale_method"] == "area"
    assert await tab.page.evaluate(UNDO_STEPS) == before + 1


async def test_an_inner_widget_that_two_nodes_share_is_reported(send: Send) -> None:
    await send("load_workflow", workflow=nested_twice())
    answer = await send("set_fields", fields=[["Outer/Scale.scale_by", 2], ["Outer.width", 96]])
    assert "share" in answer["Outer/Scale.scale_by"]["warnings"][0]
    assert answer["Outer.width"]["warnings"] == []
    assert await send("get_fields", fields=["Other.width", "Other/Scale.scale_by"]) == {
        "Other.width": 512,
        "Other/Scale.scale_by": 2,
    }


async def test_a_subgraph_whose_node_is_muted_is_reported(send: Send) -> None:
    workflow = nested()
    workflow["nodes"][1]["mode"] = 2
    await send("load_workflow", workflow=workflow)
    [warning] = (await send("set_fields", fields=[["Outer/Scale.scale_by", 2]]))["Outer/Scale.scale_by"]["warnings"]
    assert "Outer" in warning and "muted" in warning


async def test_an_inner_widget_shown_on_the_outside_is_one_field(send: Send) -> None:
    workflow = nested()
    workflow["nodes"][1]["properties"] = {"proxyWidgets": [["-1", "width"], ["2", "scale_by"]]}
    await send("load_workflow", workflow=workflow)
    for path, value in {"Outer.scale_by": 2, "Outer/Scale.scale_by": 3, "scale_by": 4}.items():
        assert (await send("set_fields", fields=[[path, value]]))[path]["warnings"] == []
        assert (await send("get_workflow_api"))["output"]["5:2"]["inputs"]["scale_by"] == value
    assert set((await send("get_fields", fields=["Outer.scale_by", "Outer/Scale.scale_by"])).values()) == {4}


async def test_nodes_that_are_drawn_as_html_show_what_was_written(send: Send, tab: Tab) -> None:
    setting = "on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
    await tab.page.evaluate(setting, True)
    try:
        await send("load_workflow", workflow=sampler())
        await send("set_fields", fields=[["Picture.width", 333], ["Prompt", "a dog"], ["Sampler.denoise", 0.25]])
        boxes = "[...document.querySelectorAll('[data-node-id] :is(input, textarea)')].map(box => box.value)"
        await tab.page.wait_for_function(f"['333', 'a dog', '0.25'].every(value => {boxes}.includes(value))")
    finally:
        await tab.page.evaluate(setting, False)
