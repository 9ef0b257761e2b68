"""Node classes that list model directories in every common style, and an analysis of workflows with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

from comfyui_uiapi.downloads.storage.file_presence import Presence
from comfyui_uiapi.downloads.storage.hash_cache import Hashes
from comfyui_uiapi.downloads.storage.model_folders import Places
from comfyui_uiapi.downloads.workflow.analysis import Analysis
from comfyui_uiapi.downloads.workflow.node_inputs import NodeInputs
from comfyui_uiapi.downloads.workflow.required_models import Needs, node_types
from comfyui_uiapi.tests.downloads.conftest import FolderPaths
from comfyui_uiapi.tests.harness.models.model_host import model_bytes


def classes_of(folders: FolderPaths) -> dict[str, type]:
    """Return node classes that list model directories in every common style."""

    class Checkpoint:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"ckpt_name": (folders.get_filename_list("checkpoints"),)}}

    class Lora:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            names = ["None", *folders.get_filename_list("loras"), "[None]"]
            return {
                "required": {
                    "model": ("MODEL",),
                    "seed": ("INT", {"default": 0}),
                    "lora_name": (names, {}),
                    "strength": ("FLOAT", {}),
                }
            }

    class Vae:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            vaes = [*folders.get_filename_list("vae")]
            vaes += [name for name in folders.get_filename_list("upscale_models") if "taesd" in name]
            return {"required": {"vae_name": ([*vaes, "pixel_space"],)}}

    class Pair:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            encoders = {"options": folders.get_filename_list("clip")}
            return {
                "required": {"text_encoder": ("COMBO", encoders), "type": (["a", "b"],)},
                "optional": {"ckpt_name": (folders.get_filename_list("checkpoints"), {"tooltip": "x"})},
            }

    class Config:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"config_name": (folders.get_filename_list("configs"),), "note": ("STRING", {})}}

    class Broken:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            raise RuntimeError("an error inside a custom node")

    return {"Checkpoint": Checkpoint, "Lora": Lora, "Vae": Vae, "Pair": Pair, "Config": Config, "Broken": Broken}


class Reader:
    def __init__(self, base: Path) -> None:
        self.folders = FolderPaths(base)
        self.classes = classes_of(self.folders)
        self.inputs = NodeInputs(self.folders, lambda: self.classes)
        self.places = Places(self.folders)
        presence = Presence(Hashes(base / "hashes.json", self.places))
        self.analysis = Analysis(self.places, self.inputs, presence)

    def read(self, workflow: Any) -> list[tuple[str, str | None, str | None]]:
        """Return (name, directory, reason) of every required model."""
        self.inputs.learn(node_types(workflow))
        needs = Needs(self.places, self.inputs).read(workflow)
        return [(need.name, need.directory, need.reason) for need in needs]


class Listed:
    """A node class that lists files itself instead of a model directory."""

    files: ClassVar = ["none"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        upload = (["a.bin"], {"image_upload": True})
        return {"required": {"file": ([*cls.files],), "text": ("STRING", {}), "upload": upload}}


def node(kind: str, values: Any, node_id: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "widgets_values": values, **more}


def graph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": [*nodes], "links": []}


def put(reader: Reader, folder: str, name: str) -> Path:
    path = reader.folders.root(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        path.write_bytes(model_bytes(200))
    else:
        with ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"as torch writes them")
    return path
