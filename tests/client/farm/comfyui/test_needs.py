"""What a prompt needs of a ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_uiapi.client.farm.comfyui.catalog import Catalog, Lack, is_file

INFO = {
    "Loader": {"input": {"required": {"name": [["a.safetensors"]]}, "optional": {"vae": ["COMBO", {"options": []}]}}},
    "Picture": {"input": {"required": {"image": [["a.pt"], {"image_upload": True}], "mode": [["fast"], {}]}}},
    "Odd": {"input": None},
}


def prompt(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": kind, "inputs": inputs}, "2": {"class_type": "Odd"}, "note": "no node"}


@pytest.mark.parametrize(
    ("given", "lacks"),
    [
        (prompt("Loader", name="a.safetensors"), []),
        (prompt("Loader", name="b.safetensors"), [Lack("Loader", "name", "b.safetensors")]),
        # The list of a folder without any model.
        (prompt("Loader", vae="b.pt"), [Lack("Loader", "vae", "b.pt")]),
        (prompt("Unknown", name="b.safetensors"), [Lack("Unknown")]),
        # Uploaded files, links, and values that are no models are not checked.
        (prompt("Picture", image="b.pt", mode="slow"), []),
        (prompt("Loader", name=["2", 0]), []),
    ],
)
def test_missing_node_types_and_models_are_found(given: dict[str, Any], lacks: list[Lack]) -> None:
    assert Catalog(INFO).lacks(given) == lacks
    assert all(lack.concerns(given) for lack in lacks)


def test_a_missing_model_concerns_only_prompts_that_need_it() -> None:
    model = Lack("Loader", "name", "b.safetensors")
    assert model.concerns(prompt("Loader", name="b.safetensors"))
    assert not model.concerns(prompt("Loader", name="a.safetensors"))
    assert not Lack("Unknown").concerns(prompt("Loader"))
    assert (str(model), str(Lack("Unknown"))) == ("the model b.safetensors", "the node type Unknown")


@pytest.mark.parametrize("option", ["image_upload", "video_upload", "audio_upload", "file_upload"])
def test_inputs_that_people_upload_are_files(option: str) -> None:
    assert is_file([["a"], {option: True}]) and is_file(["COMBO", {option: True, "options": ["a"]}])
    assert not is_file([["a"], {option: False}]) and not is_file([["a"]]) and not is_file("INT")
