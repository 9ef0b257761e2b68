"""What a node class tells of its inputs when it is asked while it lists folders."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.tests.downloads.reader import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_a_class_tells_which_folder_each_input_lists_even_with_empty_folders(reader: Reader) -> None:
    reader.inputs.learn(reader.classes)
    known = {name: dict(reader.inputs.of(name).folders) for name in reader.classes}  # type: ignore[union-attr]
    assert known == {
        "Checkpoint": {"ckpt_name": "checkpoints"},
        "Lora": {"lora_name": "loras"},
        "Vae": {"vae_name": "vae"},
        "Pair": {"text_encoder": "text_encoders", "ckpt_name": "checkpoints"},
        "Config": {},
        "Broken": {},
    }


def test_asking_a_class_leaves_comfyui_as_it_was(reader: Reader) -> None:
    original = reader.folders.get_filename_list
    reader.inputs.learn(reader.classes)
    assert reader.folders.get_filename_list == original
    assert reader.classes["Vae"].INPUT_TYPES()["required"]["vae_name"][0] == ["pixel_space"]  # type: ignore[attr-defined]


def test_other_threads_get_their_own_lists_while_a_class_is_asked(reader: Reader) -> None:
    seen: list[list[str]] = []

    class Nosy:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            other = threading.Thread(target=lambda: seen.append(reader.folders.get_filename_list("loras")))
            other.start()
            other.join()
            return {"required": {"lora_name": ([*reader.folders.get_filename_list("loras")],)}}

    reader.classes["Nosy"] = Nosy
    reader.inputs.learn(["Nosy"])
    assert seen == [[], []] and type(seen[0]) is list
    assert dict(reader.inputs.of("Nosy").folders) == {"lora_name": "loras"}  # type: ignore[union-attr]


def test_a_class_is_asked_once(reader: Reader) -> None:
    assert reader.inputs.unknown(["Lora", "Vae", "NotThere"]) == ["Lora", "Vae"]
    reader.inputs.learn(["Lora"])
    assert reader.inputs.unknown(["Lora", "Vae"]) == ["Vae"]
