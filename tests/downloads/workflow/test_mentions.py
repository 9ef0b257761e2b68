"""Models that a workflow names outside of loader widgets: in a class's own lists, in rows, and in texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.workflow.prompt_texts import embeddings_of, loras_of, without_comments
from comfyui_uiapi.tests.harness.models.node_reader import Listed, Reader, graph, node, put

Node = dict[str, Any]


class Encoder:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"text": ("STRING", {}), "clip": ("CLIP",)}}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr(Listed, "files", ["none"])
    reader = Reader(tmp_path)
    reader.classes.update(Listed=Listed, Encoder=Encoder)
    return reader


async def analysed(reader: Reader, *nodes: Node) -> dict[str, dict[str, Any]]:
    found = await reader.analysis.describe(graph(*nodes))
    return {need["name"]: need for need in found}


# -- lists of a class's own ---------------------------------------------------------------------------------------


async def test_a_model_that_an_installed_class_does_not_offer_is_a_need_whatever_it_lists(reader: Reader) -> None:
    for suffix in ("safetensors", "sft", "gguf", "onnx", "ckpt", "pt", "pth", "bin"):
        found = await analysed(reader, node("Listed", [f"x.{suffix}", "a.pth", "a.bin"]))
        assert {name: (need["directory"], need["state"], need["named_in"]) for name, need in found.items()} == {
            f"x.{suffix}": (None, "missing", "combo")
        }
        assert found[f"x.{suffix}"]["node"]["path"] == "#1.file"


async def test_the_choices_of_a_class_are_read_again_each_time(reader: Reader) -> None:
    held = node("Listed", ["x.safetensors", "", ""])
    assert [*await analysed(reader, held)] == ["x.safetensors"]
    Listed.files = ["x.safetensors"]
    assert await analysed(reader, held) == {}
    Listed.files = []
    assert [*await analysed(reader, held)] == ["x.safetensors"]


async def test_a_list_that_does_not_offer_a_file_refuses_it_wherever_else_it_lies(reader: Reader) -> None:
    put(reader, "checkpoints", "x.safetensors")
    found = await analysed(reader, node("Listed", ["x.safetensors", "", ""]))
    assert (found["x.safetensors"]["exists"], found["x.safetensors"]["path"]) == (False, None)


def test_words_that_are_no_files_are_no_needs_of_a_list_either(reader: Reader) -> None:
    assert reader.read(graph(node("Listed", ["other", "x.safetensors", "x.bin"]))) == []
    assert reader.read(graph(node("Listed", ["a.bin", "moved by a widget of the page's own", "none"]))) == []


# -- rows -----------------------------------------------------------------------------------------------------------

ROWS = [
    {"name": "on", "strength": 0.6, "active": True},
    {"name": "sub/suffixed.safetensors", "active": True},
    {"name": "off", "active": False},
    {"name": "None", "active": True},
    {"name": "no flag"},
    {"text": "no name", "active": True},
    "no row",
]


@pytest.mark.parametrize("as_api", [False, True])
def test_rows_of_name_and_active_are_needs_where_they_are_active(reader: Reader, as_api: bool) -> None:
    if as_api:
        inputs = {"text": "", "loras": {"__value__": ROWS}, "other": ["4", 0]}
        workflow: dict[str, Any] = {"1": {"class_type": "Rows", "inputs": inputs}}
    else:
        workflow = graph(node("Rows", [{"version": 1}, "", ROWS]))
    assert reader.read(workflow) == [
        ("on.safetensors", "loras", None),
        ("sub/suffixed.safetensors", "loras", None),
        ("off.safetensors", "loras", "off"),
    ]


def test_a_tag_of_a_row_of_the_same_node_counts_as_the_row(reader: Reader) -> None:
    text = "<lora:on:0.6> <lora:off:1> <lora:other:1>"
    assert reader.read(graph(node("Rows", ["", text, ROWS[:1] + ROWS[2:3]]))) == [
        ("on.safetensors", "loras", None),
        ("off.safetensors", "loras", "off"),
        ("other.safetensors", "loras", None),
    ]


@pytest.mark.parametrize("file", ["x.safetensors", "sub/x.safetensors", "deep/er/x.pt", "x.ckpt"])
async def test_a_name_without_its_suffix_is_found_with_any_and_in_any_subfolder(reader: Reader, file: str) -> None:
    path = put(reader, "loras", file)
    rows = [{"name": "x", "active": True}]
    found = await analysed(reader, node("Rows", [rows]), node("Encoder", ["<lora:x:1>"], 2))
    [need] = found.values()
    assert (need["exists"], need["path"], need["named_in"]) == (True, str(path), "row")
    assert [use["path"] for use in need["nodes"]] == ["#1", "#2.text"]


async def test_a_name_in_its_own_folder_and_in_safetensors_goes_first(reader: Reader) -> None:
    for file in ("a/x.safetensors", "x.pt", "x.safetensors"):
        put(reader, "loras", file)
    found = await analysed(reader, node("Rows", [[{"name": "x", "active": True}]]))
    assert found["x.safetensors"]["path"] == str(reader.folders.root("loras") / "x.safetensors")


# -- texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a <lora:one:1> b<LoRA:sub/two.safetensors:0.5:0.7>", ["one", "sub/two.safetensors"]),
        ("<lora:three> <lora:four:1:LBW=0,1>", ["three", "four"]),
        ("<lora:> <lora:five <lora:six\n:1> < lora:seven:1>", []),
        ("/* <lora:out:1> */ <lora:in:1> // <lora:out too:1>", ["in"]),
    ],
)
def test_lora_tags_are_read_as_packs_read_them(text: str, names: list[str]) -> None:
    assert [*loras_of(text)] == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("embedding:one", ["one"]),
        ("a embedding:one, b\nembedding:sub/two.pt,,c", ["one", "sub/two.pt,,c"]),
        ("a, embedding:one,embedding:two", ["one,embedding:two"]),
        ("(embedding:one:1.2) ((embedding:two)) (a (b) embedding:three:0.5)", ["one", "two", "three"]),
        ("embedding: one", ["one"]),
        ("embedding:one. embedding:two!", ["one.", "two!"]),
        ("xembedding:no embedding: ", []),
        ("Embedding:no", []),
        ("{embedding:one|b embedding:two}", ["one", "two"]),
        (r"embedding:one\(v2\) x", ["one(v2)"]),
        ("embedding:(no:1.2)", []),
        ("// embedding:no\nembedding:one", ["one"]),
        ("((((embedding:one", ["one"]),
        (")embedding:no", []),
    ],
)
def test_embeddings_are_read_as_comfyui_reads_them(text: str, names: list[str]) -> None:
    assert [*embeddings_of(text)] == names


async def test_models_named_in_texts_are_needed_with_or_without_suffix(reader: Reader) -> None:
    path = put(reader, "embeddings", "sub/there.pt")
    found = await analysed(reader, node("Encoder", ["(embedding:there:1.1), embedding:gone.pt, hands <lora:l:1>"]))
    listed = {name: (need["directory"], need["state"], need["named_in"], need["path"]) for name, need in found.items()}
    assert listed == {
        "l.safetensors": ("loras", "missing", "lora_tag", None),
        "there.safetensors": ("embeddings", "present", "embedding", str(path)),
        "gone.pt": ("embeddings", "missing", "embedding", None),
    }


def test_texts_that_do_not_run_or_can_name_no_file_are_no_needs(reader: Reader) -> None:
    text = "<lora:x:1> embedding:x"
    fed = [{"name": "text", "link": 7, "widget": {"name": "text"}}, {"name": "clip", "link": 8}]
    workflow = graph(
        node("Note", [text]),
        node("MarkdownNote", [text], 2),
        node("Encoder", [text], 3, inputs=fed),
        node("Encoder", ["<lora:../x:1> <lora:None:1> embedding:x:1.2 embedding:x. embedding:"], 4),
    )
    assert reader.read(workflow) == []
    assert reader.read(graph(node("Encoder", [text], mode=4))) == [
        ("x.safetensors", "loras", "bypassed"),
        ("x.safetensors", "embeddings", "bypassed"),
    ]


def test_a_text_on_a_subgraphs_node_counts_although_the_widget_inside_is_linked(reader: Reader) -> None:
    slot = {"name": "text", "link": 5, "widget": {"name": "text"}}
    definition: dict[str, Any] = {
        "id": "b0e5ca93-2731-42b9-8e0a-d28ea851ff81",
        "nodes": [node("Encoder", ["<lora:inner:1>"], 3, inputs=[slot])],
        "links": [{"id": 5, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0, "type": "STRING"}],
        "inputs": [{"name": "text", "type": "STRING", "linkIds": [5]}],
    }
    workflow = graph(node(definition["id"], ["<lora:host:1>"]))
    workflow["definitions"] = {"subgraphs": [definition]}
    assert reader.read(workflow) == [("host.safetensors", "loras", None)]


async def test_texts_and_rows_are_never_cleared(reader: Reader) -> None:
    rows = [{"name": "x", "active": True}]
    workflow = graph(node("Encoder", ["embedding:x <lora:y:1>"]), node("Rows", [rows], 2))
    assert await reader.analysis.absent(workflow) == []
    listed = graph(node("Listed", ["x.gguf", "", ""]))
    assert await reader.analysis.absent(listed) == [{"node": "1", "widget": "file", "value": "x.gguf"}]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a /* b */ c", "a  c"),
        ("a // b\nc // d", "a \nc "),
        ("/*/ a", "/*/ a"),
        ("/**/a/*/ b */", "a"),
        ("/* a // b\nc", "/* a \nc"),
        ("a // b */ /* c */\nd", "a \nd"),
        ("/*//", "/*"),
        ("a / b", "a / b"),
        ("/* a */ b */ c", " b */ c"),
    ],
)
def test_comments_are_left_out_as_the_page_leaves_them_out(text: str, left: str) -> None:
    assert without_comments(text) == left == re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("repeated", ["/* ", "//", "(a:", "(", "embedding:", "<lora:", "1", "1 "])
def test_a_text_is_looked_through_once_whatever_it_repeats(repeated: str) -> None:
    text = f"embedding:a <lora:b> (c:{repeated * 300_000}x)"
    assert "b" in [*loras_of(text)]
    assert "a" in [*embeddings_of(text)]
