"""The models that a workflow needs, in either format, and mentions that are not needs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.storage.file_presence import Presence
from comfyui_uiapi.downloads.storage.hash_cache import Hashes
from comfyui_uiapi.downloads.workflow.analysis import Analysis
from comfyui_uiapi.downloads.workflow.graph_walk import walk
from comfyui_uiapi.downloads.workflow.required_models import Needs, node_types
from comfyui_uiapi.tests.harness.models.model_host import model_bytes
from comfyui_uiapi.tests.harness.models.node_reader import Reader

SUBGRAPH = "b0e5ca93-2731-42b9-8e0a-d28ea851ff81"
INNER = "7f1e7d3c-0c5f-4a8e-9a52-3f4d8a3f0a11"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def node(kind: str, values: Any, node_id: int = 1, mode: Any = 0, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "mode": mode, "widgets_values": values, **more}


def graph(*nodes: dict[str, Any], subgraphs: Any = ()) -> dict[str, Any]:
    return {"nodes": [*nodes], "links": [], "definitions": {"subgraphs": [*subgraphs]}, "version": 0.4}


def model(name: str, directory: str = "checkpoints", **more: Any) -> dict[str, Any]:
    return {"name": name, "url": f"https://hf.co/{directory}/{name}", "directory": directory, **more}


# -- UI format --------------------------------------------------------------------------------------------------


def test_a_models_own_record_has_its_folder_and_url(reader: Reader) -> None:
    workflow = graph(node("NotInstalled", ["x.safetensors", 1], properties={"models": [model("x.safetensors")]}))
    (need,) = Needs(reader.places, reader.inputs).read(workflow)
    assert (need.name, need.directory, need.urls) == (
        "x.safetensors",
        "checkpoints",
        ["https://hf.co/checkpoints/x.safetensors"],
    )


def test_an_empty_widget_is_no_need_whatever_is_recorded(reader: Reader) -> None:
    models = [{"name": "", "directory": "checkpoints"}]
    node = {"id": 1, "type": "Checkpoint", "widgets_values": [""], "properties": {"models": models}}
    assert reader.read({"nodes": [node]}) == []


def test_a_record_whose_model_the_widgets_no_longer_hold_is_no_need(reader: Reader) -> None:
    workflow = graph(node("Checkpoint", ["other.safetensors"], properties={"models": [model("x.safetensors")]}))
    assert reader.read(workflow) == [("other.safetensors", "checkpoints", None)]


def test_without_a_record_the_folder_comes_from_the_class(reader: Reader) -> None:
    workflow = graph(
        node("Checkpoint", ["sd/x.safetensors"]),
        node("Lora", [7, "randomize", "l.safetensors", 1.0], 2),
        node("Pair", ["t5.safetensors", "a", "audio.safetensors"], 3),
        node("Vae", ["v.safetensors"], 4),
    )
    assert reader.read(workflow) == [
        ("sd/x.safetensors", "checkpoints", None),
        ("l.safetensors", "loras", None),
        ("t5.safetensors", "text_encoders", None),
        ("audio.safetensors", "checkpoints", None),
        ("v.safetensors", "vae", None),
    ]


def test_widgets_by_name_are_read_as_well_as_in_order(reader: Reader) -> None:
    workflow = graph(node("Lora", {"strength": 1.0, "lora_name": "l.safetensors", "seed": 3}))
    assert reader.read(workflow) == [("l.safetensors", "loras", None)]


def test_loras_in_a_list_of_a_nodes_own_are_found_and_those_switched_off_say_so(reader: Reader) -> None:
    entries = [{}, {"on": True, "lora": "on.safetensors"}, {"on": False, "lora": "off.safetensors"}, {"lora": "None"}]
    expected = [("on.safetensors", "loras", None), ("off.safetensors", "loras", "off")]
    assert reader.read(graph(node("Power", entries))) == expected
    inputs = {f"lora_{number}": entry for number, entry in enumerate(entries)}
    assert reader.read({"1": {"class_type": "Power", "inputs": inputs}}) == expected


@pytest.mark.parametrize("value", ["None", "[None]", "pixel_space", "", None, 3, ["x.safetensors"]])
def test_words_among_the_files_are_no_needs(reader: Reader, value: Any) -> None:
    assert reader.read(graph(node("Vae", [value]), node("Lora", [0, "fixed", value, 1.0], 2))) == []


def test_notes_and_texts_are_no_needs(reader: Reader) -> None:
    workflow = graph(
        node("Note", ["https://hf.co/x.safetensors"], properties={"models": [model("https://hf.co/x.safetensors")]}),
        node("MarkdownNote", ["models/x.safetensors"], 2),
        node("PrimitiveNode", ["x.safetensors", "fixed"], 3),
        node("Config", ["v1.yaml", "see x.safetensors"], 4),
        node("Config", ["v1.yaml", "x.safetensors"], 5),
    )
    assert reader.read(workflow) == []


def test_a_muted_or_bypassed_node_is_listed_with_its_reason(reader: Reader) -> None:
    workflow = graph(
        node("Checkpoint", ["muted.safetensors"], mode=2),
        node("Checkpoint", ["bypassed.safetensors"], 2, mode=4),
        node("Checkpoint", ["both.safetensors"], 3, mode=4),
        node("Checkpoint", ["both.safetensors"], 4),
    )
    assert reader.read(workflow) == [
        ("muted.safetensors", "checkpoints", "muted"),
        ("bypassed.safetensors", "checkpoints", "bypassed"),
        ("both.safetensors", "checkpoints", None),
    ]


def test_the_name_alone_does_not_identify_a_file(reader: Reader) -> None:
    workflow = graph(
        node("Checkpoint", ["x.safetensors"]),
        node("Vae", ["x.safetensors"], 2),
        node("Checkpoint", ["sub/x.safetensors"], 3),
        node("Checkpoint", ["sub\\x.safetensors"], 4),
    )
    assert [need[:2] for need in reader.read(workflow)] == [
        ("x.safetensors", "checkpoints"),
        ("x.safetensors", "vae"),
        ("sub/x.safetensors", "checkpoints"),
    ]


def test_every_url_of_a_workflow_is_a_candidate_and_the_hash_is_kept(reader: Reader) -> None:
    first = model("x.safetensors", hash="A" * 64, hash_type="SHA256")
    second = {**model("x.safetensors"), "url": "https://hf.co/mirror/x.safetensors"}
    workflow = graph(
        node("Checkpoint", ["x.safetensors"], properties={"models": [first]}),
        node("Checkpoint", ["x.safetensors"], 2, properties={"models": [second]}),
    )
    (need,) = Needs(reader.places, reader.inputs).read(workflow)
    assert need.urls == [first["url"], second["url"]] and need.sha256 == "a" * 64
    assert [use.node for use in need.uses] == ["1", "2"]


def test_an_older_folder_name_is_the_same_folder(reader: Reader) -> None:
    reader.inputs.learn(["Pair"])
    old = node("NotInstalled", ["t.safetensors"], properties={"models": [model("t.safetensors", "clip")]})
    assert len(reader.read(graph(old, node("Pair", ["t.safetensors", "a", ""], 2)))) == 1


def test_a_model_of_a_node_this_comfyui_does_not_have_is_listed_without_a_folder(reader: Reader) -> None:
    assert reader.read(graph(node("NotInstalled", ["x.safetensors", "word", 3]))) == [("x.safetensors", None, None)]


# -- subgraphs --------------------------------------------------------------------------------------------------


def inner_loader(link: int | None = None) -> dict[str, Any]:
    slot = {"name": "ckpt_name", "link": link, "widget": {"name": "ckpt_name"}}
    return node(
        "Checkpoint", ["inner.safetensors"], 3, inputs=[slot], properties={"models": [model("inner.safetensors")]}
    )


def subgraph(graph_id: str, nodes: list[Any], feeds: tuple[int, int, int] | None = None) -> dict[str, Any]:
    """A definition; `feeds` is (link id, inner node, its input) of its one input."""
    links, inputs = [], []
    if feeds is not None:
        link, target, slot = feeds
        links = [
            {"id": link, "origin_id": -10, "origin_slot": 0, "target_id": target, "target_slot": slot, "type": "COMBO"}
        ]
        inputs = [{"name": "ckpt_name", "type": "COMBO", "linkIds": [link]}]
    return {"id": graph_id, "nodes": nodes, "links": links, "inputs": inputs}


def test_models_inside_subgraphs_are_found_at_any_depth(reader: Reader) -> None:
    inside = subgraph(INNER, [inner_loader()])
    outside = subgraph(SUBGRAPH, [node(INNER, [], 7), node("Vae", ["v.safetensors"], 8)])
    workflow = graph(node(SUBGRAPH, [], 12), subgraphs=[outside, inside])
    reader.inputs.learn(node_types(workflow))
    needs = Needs(reader.places, reader.inputs).read(workflow)
    assert [(need.name, need.uses[0].node) for need in needs] == [
        ("inner.safetensors", "12:7:3"),
        ("v.safetensors", "12:8"),
    ]
    assert needs[0].uses[0].to_dict()["path"] == "#12:7:3.ckpt_name"


def test_definitions_nested_in_definitions_are_found(reader: Reader) -> None:
    outside = subgraph(SUBGRAPH, [node(INNER, [], 7)])
    outside["definitions"] = {"subgraphs": [subgraph(INNER, [inner_loader()])]}
    assert reader.read(graph(node(SUBGRAPH, [], 12), subgraphs=[outside])) == [
        ("inner.safetensors", "checkpoints", None)
    ]


def test_nodes_in_a_muted_subgraph_do_not_run(reader: Reader) -> None:
    workflow = graph(node(SUBGRAPH, [], 12, mode=4), subgraphs=[subgraph(SUBGRAPH, [inner_loader()])])
    assert reader.read(workflow) == [("inner.safetensors", "checkpoints", "bypassed")]


def test_a_definition_that_nothing_uses_needs_nothing(reader: Reader) -> None:
    assert reader.read(graph(subgraphs=[subgraph(SUBGRAPH, [inner_loader()])])) == []


@pytest.mark.parametrize("values", [["host.safetensors"], {"ckpt_name": "host.safetensors"}])
def test_the_value_on_a_subgraphs_node_takes_the_place_of_the_one_inside(reader: Reader, values: Any) -> None:
    definition = subgraph(SUBGRAPH, [inner_loader(link=5)], feeds=(5, 3, 0))
    workflow = graph(node(SUBGRAPH, values, 12), subgraphs=[definition])
    assert reader.read(workflow) == [("host.safetensors", "checkpoints", None)]


def test_each_place_of_a_subgraph_has_its_own_value_through_two_levels(reader: Reader) -> None:
    inside = subgraph(INNER, [inner_loader(link=5)], feeds=(5, 3, 0))
    host = node(INNER, ["middle.safetensors"], 7, inputs=[{"name": "ckpt_name", "widget": {"name": "ckpt_name"}}])
    outside = subgraph(SUBGRAPH, [host], feeds=(9, 7, 0))
    workflow = graph(
        node(SUBGRAPH, ["one.safetensors"], 12), node(SUBGRAPH, ["two.safetensors"], 13), subgraphs=[outside, inside]
    )
    assert [need[0] for need in reader.read(workflow)] == ["one.safetensors", "two.safetensors"]


def test_a_subgraph_within_itself_ends(reader: Reader) -> None:
    loop = subgraph(SUBGRAPH, [inner_loader(), node(SUBGRAPH, [], 9)])
    assert reader.read(graph(node(SUBGRAPH, [], 12), subgraphs=[loop])) == [("inner.safetensors", "checkpoints", None)]


def test_a_definition_whose_inputs_are_no_list_has_none() -> None:
    subgraph = {"id": SUBGRAPH, "inputs": 5, "nodes": [node("Checkpoint", ["x"])], "links": [[1, -10, 0, 1, 0, "S"]]}
    (placed,) = walk(graph(node(SUBGRAPH, [], 7), subgraphs=[subgraph]))
    assert placed.id == "7:1"


@pytest.mark.parametrize("how", ["in a chain", "in one another"])
@pytest.mark.parametrize(("depth", "code"), [(60, None), (70, "too_large"), (1500, "too_large")])
def test_subgraphs_that_nest_deeper_than_anyone_needs_are_refused(how: str, depth: int, code: str | None) -> None:
    chain: list[dict[str, Any]] = [
        {"id": f"g{n}", "nodes": [node(f"g{n + 1}" if n < depth else "Checkpoint", [])]} for n in range(depth + 1)
    ]
    if how == "in one another":
        for outer, inner in itertools.pairwise(chain):
            outer["definitions"] = {"subgraphs": [inner]}
        chain = chain[:1]
    try:
        assert [placed.type for placed in walk(graph(node("g0", []), subgraphs=chain))] == ["Checkpoint"]
        found = None
    except UiapiError as error:
        found = error.code
    assert found == code


@pytest.mark.parametrize("key", ["id", "type", "mode", "widgets_values", "properties", "inputs", "links", "nodes"])
def test_a_value_nested_beyond_reason_is_no_name(reader: Reader, key: str) -> None:
    deep: Any = []
    for _ in range(980):
        deep = [deep]
    strange = node("Checkpoint", ["x.safetensors"]) | {key: deep}
    inner = {"id": SUBGRAPH, "nodes": [strange], "inputs": [{"name": deep}], "links": [[1, deep, 0, deep, 0, "S"]]}
    workflow = graph(strange, node(SUBGRAPH, []), subgraphs=[inner | {key: deep}, inner])
    # Without its type or its values a node needs nothing; whatever else is strange, it needs what its values say.
    needed = [] if key in ("type", "widgets_values") else [("x.safetensors", "checkpoints", None)]
    assert reader.read(workflow) == needed


def test_an_api_export_of_more_nodes_than_anyone_runs_is_refused(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyui_uiapi.downloads.workflow.required_models.MOST_NODES", 3)
    nodes = {str(n): {"class_type": "Checkpoint", "inputs": {"ckpt_name": "x.safetensors"}} for n in range(4)}
    with pytest.raises(UiapiError) as caught:
        reader.read(nodes)
    assert caught.value.code == "too_large"
    nodes.popitem()
    assert reader.read(nodes) == [("x.safetensors", "checkpoints", None)]


def test_a_workflow_that_unfolds_without_bounds_is_refused() -> None:
    levels = [f"level-{number}" for number in range(40)]
    definitions = [
        {"id": here, "nodes": [{"id": 1, "type": below}, {"id": 2, "type": below}], "links": [], "inputs": []}
        for here, below in zip(levels, [*levels[1:], "Checkpoint"], strict=True)
    ]
    with pytest.raises(UiapiError) as caught:
        for _ in walk(graph({"id": 1, "type": levels[0]}, subgraphs=definitions)):
            pass
    assert caught.value.code == "too_large"


# -- API format and nonsense ----------------------------------------------------------------------------------


def test_an_api_export_is_read_by_its_classes_inputs(reader: Reader) -> None:
    workflow = {
        "4": {"class_type": "Checkpoint", "inputs": {"ckpt_name": "x.safetensors"}},
        "12:5": {"class_type": "Lora", "inputs": {"lora_name": "l.safetensors", "model": ["4", 0], "seed": 1}},
        "6": {"class_type": "NotInstalled", "inputs": {"file": "y.gguf", "text": "no model"}},
        "7": {"class_type": "Vae", "inputs": {"vae_name": "pixel_space"}},
        "8": {"class_type": "Config"},
    }
    assert reader.read(workflow) == [
        ("x.safetensors", "checkpoints", None),
        ("l.safetensors", "loras", None),
        ("y.gguf", None, None),
    ]


def test_models_in_and_next_to_a_node_of_unknown_type_are_found(reader: Reader) -> None:
    workflow = {
        "1": {"class_type": "Checkpoint", "inputs": {"ckpt_name": "gone.safetensors"}},
        "29:8": {"inputs": {"UNKNOWN": "other.safetensors"}, "class_type": None, "_meta": {"title": ""}},
        "3": {"inputs": {"UNKNOWN": "third.safetensors"}, "_meta": {"title": ""}},
    }
    assert node_types(workflow) == {"Checkpoint"}
    needs = Needs(reader.places, reader.inputs).read(workflow)
    assert [use.to_dict() for need in needs[1:] for use in need.uses] == [
        {"id": "29:8", "type": None, "path": "#29:8.UNKNOWN", "widget": "UNKNOWN"},
        {"id": "3", "type": None, "path": "#3.UNKNOWN", "widget": "UNKNOWN"},
    ]
    saved = graph(node("Checkpoint", ["x.safetensors"]), {**node("", ["y.gguf"], 2), "type": None})
    assert reader.read(saved) == [("x.safetensors", "checkpoints", None), ("y.gguf", None, None)]


def test_the_answer_of_get_workflow_is_read_too(reader: Reader) -> None:
    ui = graph(node("Checkpoint", ["x.safetensors"]))
    api = {"1": {"class_type": "Checkpoint", "inputs": {"ckpt_name": "x.safetensors"}}}
    for workflow in ({"workflow": ui, "output": api}, {"output": api}, {"prompt": api}):
        assert reader.read(workflow) == [("x.safetensors", "checkpoints", None)]


@pytest.mark.parametrize(
    "workflow", [[], "x", None, {"nodes": {}}, {"a": 1}, {"1": {"inputs": {}}}, {"1": {"class_type": 3}}]
)
def test_a_value_that_is_no_workflow_is_invalid(reader: Reader, workflow: Any) -> None:
    with pytest.raises(UiapiError) as caught:
        reader.read(workflow)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    "broken",
    [
        {"nodes": [None, 3, {}, {"id": 1}, {"type": 4}, {"type": "Checkpoint", "properties": 3}]},
        {"nodes": [node("Checkpoint", ["x"], properties={"models": [3, {}, {"name": 3}, None]})]},
        {"nodes": [node("Checkpoint", 5), node("Checkpoint", None, mode="odd")], "definitions": 3},
        {"nodes": [node(SUBGRAPH, [])], "definitions": {"subgraphs": [{"id": SUBGRAPH, "nodes": 3, "links": [[1]]}]}},
        {"nodes": [node(SUBGRAPH, [])], "definitions": {"subgraphs": [{"id": SUBGRAPH, "inputs": [3], "links": [{}]}]}},
    ],
)
def test_broken_parts_of_a_workflow_are_passed_over(reader: Reader, broken: Any) -> None:
    assert reader.read(broken) == []


# -- joined with the disk ---------------------------------------------------------------------------------------


async def test_the_analysis_says_what_is_there_and_which_widgets_have_no_file(reader: Reader, tmp_path: Path) -> None:
    there = reader.folders.root("checkpoints") / "there.safetensors"
    there.write_bytes(model_bytes(200))
    workflow = graph(
        node("Checkpoint", ["there.safetensors"]),
        node("Lora", [0, "fixed", "sub\\gone.safetensors", 1.0], 2),
        node("NotInstalled", ["far.safetensors"], 3, properties={"models": [model("far.safetensors", "depth")]}),
    )
    presence = Presence(Hashes(tmp_path / "hashes.json", reader.places))
    analysis = Analysis(reader.places, reader.inputs, presence)
    found = {need["name"]: need for need in await analysis.describe(workflow)}
    assert [*found] == ["there.safetensors", "sub/gone.safetensors", "far.safetensors"]
    use = {"id": "1", "type": "Checkpoint", "path": "#1.ckpt_name", "widget": "ckpt_name"}
    assert found["there.safetensors"] == {
        "name": "there.safetensors",
        "directory": "checkpoints",
        "url": None,
        "urls": [],
        "exists": True,
        "state": "present",
        "listed": None,
        "copies": [],
        "similar": [],
        "path": str(there),
        "size": 200,
        "sha256": None,
        "gated": None,
        "needed": True,
        "reason": None,
        "damage": None,
        "named_in": "loader",
        "node": use,
        "nodes": [{**use, "value": "there.safetensors", "state": "present", "listed": None}],
    }
    assert found["far.safetensors"]["reason"] == "unknown_folder"
    elsewhere = model("there.safetensors", "vae")
    workflow["nodes"].append(node("Checkpoint", ["there.safetensors"], 4, properties={"models": [elsewhere]}))
    assert await analysis.absent(workflow) == [{"node": "2", "widget": "lora_name", "value": "sub\\gone.safetensors"}]
