"""Field paths in a real page: every form reaches its field, and what an error proposes works."""

from __future__ import annotations

from typing import Any

import pytest

from ....harness.browser.graphs import empty_to_save, nested, node, ui
from ..conftest import Send


def several() -> dict[str, Any]:
    """EmptyImages with awkward titles, two alike, and texts."""
    return ui(
        [
            node(1, "EmptyImage", "Picture", [11, 12, 1, 0]),
            node(2, "EmptyImage", "Twin", [21, 22, 1, 0]),
            node(3, "EmptyImage", "Twin", [31, 32, 1, 0]),
            node(4, "EmptyImage", 'a/b.c [x] "q"', [41, 42, 1, 0]),
            node(5, "ImageScaleBy", "Picture.width", ["area", 2.5]),
            node(6, "SaveImage", "EmptyImage", ["prefix"]),
            node(7, "PreviewAny", "#1"),
            node(8, "StringConcatenate", "Text", ["one", "two", "-"]),
            node(9, "PrimitiveInt", "Number", [77, "fixed"]),
        ]
    )


FORMS: dict[str, Any] = {
    "Picture.height": 12,
    "picture.HEIGHT": 12,
    "#1.width": 11,
    "Twin[0].width": 21,
    "Twin[1].width": 31,
    "EmptyImage[1].width": 21,
    "PrimitiveInt.value": 77,
    '"a/b.c [x] \\"q\\"".width': 41,
    'a/b.c [x] "q".width': 41,
    '"Picture".width': 11,
    "Picture.width": 11,
    "Picture.width.scale_by": 2.5,
    '"Picture.width".upscale_method': "area",
    "Number": 77,
    "Number.value": 77,
    "EmptyImage": "prefix",
    "EmptyImage.value": "prefix",
    "filename_prefix": "prefix",
    "string_a": "one",
    "Text.string_b": "two",
    "#7.inputs[0]": None,
    '"#1".inputs.source': None,
    "Picture.outputs[0]": [],
    "Picture.outputs.IMAGE": [],
}


async def test_every_form_of_a_path_reaches_its_field(send: Send) -> None:
    await send("load_workflow", workflow=several())
    assert await send("get_fields", fields=list(FORMS)) == FORMS


@pytest.mark.parametrize("path", ["Twin.width", "EmptyImage.width", "width", "Twin", "Text"])
async def test_an_ambiguous_path_names_candidates_that_work(send: Send, refused: Send, path: str) -> None:
    await send("load_workflow", workflow=several())
    error = await refused("get_fields", fields=[path])
    assert error["code"] == "ambiguous_path"
    assert error["details"]["path"] == path
    candidates = error["details"]["candidates"]
    assert len(candidates) > 1
    assert candidates[0] in error["error"]
    values = await send("get_fields", fields=candidates)
    assert len(values) == len(set(candidates))


async def test_candidates_lead_to_different_fields(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=several())
    candidates = (await refused("get_fields", fields=["Twin.width"]))["details"]["candidates"]
    assert sorted((await send("get_fields", fields=candidates)).values()) == [21, 31]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("Picture.hight", "Picture.height"),
        ("Pictur.height", "Picture.height"),
        ("Text.stringb", "Text.string_b"),
        ("Twin[2].width", None),
        ("#99.width", None),
        ("Picture.inputs[9]", None),
        ("nothing of the kind", None),
        ('"unclosed.width', None),
        ("Picture/width", None),
        ("Picture[x].width", None),
    ],
)
async def test_an_unknown_path_names_the_nearest_that_work(
    send: Send, refused: Send, path: str, meant: str | None
) -> None:
    await send("load_workflow", workflow=several())
    error = await refused("get_fields", fields=[path])
    assert error["code"] == "unknown_path"
    nearest = error["details"]["nearest"]
    assert 0 < len(nearest) <= 5
    # Quoted, because another node is called Picture.width.
    assert meant is None or nearest[0].replace('"', "") == meant
    assert len(await send("get_fields", fields=nearest)) == len(nearest)


async def test_one_bad_path_among_good_ones_fails_the_request(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=several())
    assert (await refused("get_fields", fields=["Picture.width", "Picture.nothing"]))["code"] == "unknown_path"


async def test_an_empty_workflow_has_no_fields_to_propose(refused: Send) -> None:
    error = await refused("get_fields", fields=["KSampler.seed"])
    assert (error["code"], error["details"]["nearest"]) == ("unknown_path", [])


async def test_every_node_is_listed_with_a_path_that_addresses_it(send: Send) -> None:
    await send("load_workflow", workflow=several())
    nodes = (await send("query_fields"))["nodes"]
    assert {item["id"] for item in nodes} == {str(number) for number in range(1, 10)}
    for item in nodes:
        paths = [f"{item['path']}.{widget['name']}" for widget in item["widgets"]]
        assert await send("get_fields", fields=paths) == dict(
            zip(paths, (widget["value"] for widget in item["widgets"]), strict=True)
        )


async def test_nodes_are_listed_with_names_of_slots_and_choices_of_combos(send: Send) -> None:
    await send("load_workflow", workflow=several())
    scale = next(item for item in (await send("query_fields"))["nodes"] if item["id"] == "5")
    assert scale["type"] == "ImageScaleBy"
    assert scale["inputs"] == ["image", "upscale_method", "scale_by"]
    assert scale["outputs"] == ["IMAGE"]
    [method, factor] = scale["widgets"]
    assert method["value"] in method["options"]
    assert factor["value"] == 2.5


async def test_an_input_returns_its_link(send: Send) -> None:
    workflow = empty_to_save()
    workflow["1"]["_meta"] = {"title": "Canvas"}
    await send("load_workflow", workflow=workflow)
    answer = await send("get_fields", fields=["SaveImage.inputs[0]", "EmptyImage.outputs[0]"])
    origin = answer["SaveImage.inputs[0]"]
    assert (origin["node"], origin["title"], origin["slot"], origin["name"]) == ("1", "Canvas", 0, "IMAGE")
    assert [target["node"] for target in answer["EmptyImage.outputs[0]"]] == ["2"]


NESTED = {
    "Outer.width": 512,
    "outer/deep.height": 256,
    "Outer/Deep/Inner Image.width": 512,
    "Outer/Deep/EmptyImage.color": 0,
    "Outer/Scale.scale_by": 1,
    "#5/#4/#1.height": 256,
    "#5:4:1.batch_size": 1,
    "#5:2.upscale_method": "nearest-exact",
    "scale_by": 1,
    "width": 512,
    "Save.inputs[0]": {"node": "5", "title": "Outer", "slot": 0, "name": "IMAGE", "path": "Outer.outputs[0]"},
}


async def test_paths_lead_into_subgraphs_at_any_depth(send: Send) -> None:
    await send("load_workflow", workflow=nested())
    assert await send("get_fields", fields=list(NESTED)) == NESTED


async def test_nodes_in_subgraphs_are_listed_by_the_id_they_run_under(send: Send) -> None:
    await send("load_workflow", workflow=nested())
    listed = {item["id"]: item["path"] for item in (await send("query_fields"))["nodes"]}
    assert listed == {
        "3": "Save",
        "5": "Outer",
        "5:4": "Outer/Deep",
        "5:4:1": "Outer/Deep/Inner Image",
        "5:2": "Outer/Scale",
    }


async def test_a_path_without_its_subgraph_is_led_there(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=nested())
    error = await refused("get_fields", fields=["Inner Image.color"])
    assert error["details"]["nearest"][0] == "Outer/Deep/Inner Image.color"


async def test_links_are_made_by_slot_by_name_and_by_widget(send: Send) -> None:
    primitive = node(3, "PrimitiveInt", values=[48, "fixed"])
    workflow = ui([node(1, "EmptyImage", "Canvas"), node(2, "SaveImage"), primitive])
    await send("load_workflow", workflow=workflow)
    made = await send("set_connection", field=["EmptyImage.outputs[0]", "SaveImage.inputs[0]"])
    assert made["type"] == "IMAGE"
    assert (made["from"]["path"], made["to"]["path"]) == ("Canvas.outputs[0]", "Save Image.inputs[0]")
    assert (await send("set_connection", field=["EmptyImage", "SaveImage.images"]))["to"]["name"] == "images"
    await send("set_connection", field=["PrimitiveInt", "EmptyImage.height"])
    exported = (await send("get_workflow_api"))["output"]
    assert exported["2"]["inputs"]["images"] == ["1", 0]
    assert exported["1"]["inputs"]["height"] == ["3", 0]


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (["SaveImage.inputs[0]", "EmptyImage.outputs[0]"], "invalid"),
        (["PrimitiveInt.outputs[0]", "SaveImage.inputs[0]"], "invalid"),
        (["EmptyImage.outputs[0]", "EmptyImage.inputs[0]"], "invalid"),
        (["EmptyImage.outputs[1]", "SaveImage.inputs[0]"], "unknown_path"),
        (["EmptyImage", "SaveImage.nothing"], "unknown_path"),
    ],
)
async def test_a_link_that_does_not_fit_is_refused_and_leaves_the_others(
    send: Send, refused: Send, ends: list[str], code: str
) -> None:
    await send(
        "load_workflow", workflow={**empty_to_save(), "3": {"class_type": "PrimitiveInt", "inputs": {"value": 1}}}
    )
    before = (await send("get_workflow_api"))["output"]
    assert (await refused("set_connection", field=ends))["code"] == code
    assert (await send("get_workflow_api"))["output"] == before


async def test_links_are_made_inside_subgraphs_but_not_across_their_rim(send: Send, refused: Send) -> None:
    await send("load_workflow", workflow=nested())
    assert (await refused("set_connection", field=["Outer/Scale", "Save.inputs[0]"]))["code"] == "invalid"
    made = await send("set_connection", field=["Outer/Deep.outputs[0]", "Outer/Scale.image"])
    assert made["from"]["node"] == "5:4"
