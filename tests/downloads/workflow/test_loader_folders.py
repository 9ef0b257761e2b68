"""The directories of models that nodes of packs name which are not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.workflow import loader_folders
from comfyui_uiapi.tests.harness.models.node_reader import Reader, graph, node, put


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.parametrize(
    ("kind", "values", "folders"),
    [
        ("UnetLoaderGGUF", ["q.gguf"], ["diffusion_models"]),
        ("DualCLIPLoaderGGUF", ["a.gguf", "b.safetensors", "flux"], ["text_encoders", "text_encoders"]),
        ("IPAdapterModelLoader", ["ip-adapter.bin"], ["ipadapter"]),
        ("UltralyticsDetectorProvider", ["bbox/face_yolov8m.pt"], ["ultralytics"]),
        ("WanVideoModelLoader", ["wan/x.safetensors", "bf16", "disabled"], ["diffusion_models"]),
        ("WanVideoLoraSelectMulti", ["a.safetensors", 1, "none", 1, "b.safetensors"], ["loras", "loras"]),
        ("VAELoaderKJ", ["LTX23_audio_vae_bf16.safetensors", "main_device", "bf16"], ["vae"]),
        ("Efficient Loader", ["a.ckpt", "b.vae.pt", -1, "c.safetensors"], ["checkpoints", "vae", "loras"]),
        ("Efficient Loader", ["a.ckpt", "Baked VAE", -1, "None"], ["checkpoints"]),
        ("ReActorFaceSwap", [True, "inswapper_128.onnx", "YOLOv5l", "GFPGANv1.4.pth"], [None, "facerestore_models"]),
        ("UnetLoaderGGUFMultiGPU", ["q.gguf", "cuda:0"], ["diffusion_models"]),
        ("SomethingElse", ["a.safetensors"], [None]),
    ],
)
def test_a_node_of_a_known_pack_says_the_directory_of_its_models(
    reader: Reader, kind: str, values: list[Any], folders: list[str | None]
) -> None:
    assert [folder for _, folder, _ in reader.read(graph(node(kind, values)))] == folders


def test_a_widgets_name_counts_where_the_workflow_gives_it(reader: Reader) -> None:
    named = {"lora_name": "c.safetensors", "ckpt_name": "a.safetensors", "other": "d.safetensors"}
    found = {"c.safetensors": "loras", "a.safetensors": "checkpoints", "d.safetensors": None}
    export = {"1": {"class_type": "Efficient Loader", "inputs": named}}
    for workflow in (graph(node("Efficient Loader", named)), export):
        assert {name: folder for name, folder, _ in reader.read(workflow)} == found


def test_a_value_at_two_places_of_different_directories_has_none(reader: Reader) -> None:
    values = ["same.safetensors", "same.safetensors", -1, "None"]
    assert reader.read(graph(node("Efficient Loader", values))) == [("same.safetensors", None, None)]


def test_an_installed_class_knows_better_than_the_table(reader: Reader) -> None:
    reader.classes["UnetLoaderGGUF"] = reader.classes["Checkpoint"]
    assert reader.read(graph(node("UnetLoaderGGUF", ["a.safetensors"]))) == [("a.safetensors", "checkpoints", None)]


async def test_a_file_that_is_there_is_found_in_the_directory_of_the_table(reader: Reader) -> None:
    put(reader, "diffusion_models", "a.safetensors")
    workflow = graph(node("WanVideoModelLoader", ["a.safetensors"]))
    [need] = await reader.analysis.describe(workflow)
    assert need["state"] == "present"


def test_the_table_names_directories_only_and_each_type_once() -> None:
    table = loader_folders._table()
    types = [kind for one in table.values() for kind in one]
    assert len(types) == len(set(types))
    for kind, inputs in loader_folders._by_type().items():
        folders = {inputs} if isinstance(inputs, str) else {one for one in inputs.values() if one}
        assert folders and all(one.replace("_", "").isalnum() for one in folders), kind
    assert loader_folders.pack_of("ipadapter") == "ComfyUI_IPAdapter_plus"
    assert loader_folders.pack_of("loras") is None and loader_folders.pack_of("nothing") is None
