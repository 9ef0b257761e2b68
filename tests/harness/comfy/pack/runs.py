"""Nodes that differ in how they run: slow, failing, or with results other than saved pictures."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web
from comfy.model_management import throw_exception_if_processing_interrupted
from PIL import Image

from server import PromptServer

Inputs = dict[str, Any]
Ui = dict[str, Any]
SEED = ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True})


class Slow:
    """Passes its picture on after some seconds, unless it is interrupted; another seed makes a run a new one."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        seconds = ("FLOAT", {"default": 0.1, "min": 0.0, "max": 600.0, "step": 0.01})
        return {"required": {"image": ("IMAGE",), "seconds": seconds, "seed": SEED}}

    def run(self, image: Any, seconds: float, seed: int) -> tuple[Any]:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            throw_exception_if_processing_interrupted()
            time.sleep(min(left, 0.05))
        return (image,)


# How many more runs each gate lets through, by name.
GATES: dict[str, threading.Semaphore] = {}


async def open_gate(request: web.Request) -> web.Response:
    """Let as many runs through a gate."""
    gate = GATES.setdefault(request.query["gate"], threading.Semaphore(0))
    gate.release(int(request.query["runs"]))
    return web.json_response({})


PromptServer.instance.routes.post("/lab/gate")(open_gate)


class Gate:
    """Passes its picture on once the gate of that name lets it through, unless it is interrupted."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"image": ("IMAGE",), "gate": ("STRING", {"default": ""})}}

    def run(self, image: Any, gate: str) -> tuple[Any]:
        semaphore = GATES.setdefault(gate, threading.Semaphore(0))
        while not semaphore.acquire(timeout=0.05):
            throw_exception_if_processing_interrupted()
        return (image,)


class Text:
    """A text input."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"text": ("STRING", {"multiline": True, "dynamicPrompts": True, "default": ""})}}

    def run(self, text: str) -> tuple[str]:
        return (text,)


class ShowText:
    """Shows a text in the page, as `{"text": […]}`."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", ("STRING",), True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"text": ("STRING", {"forceInput": True})}}

    def run(self, text: str) -> Ui:
        return {"ui": {"text": [text]}, "result": (text,)}


class Silent:
    """An output node that shows nothing."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"image": ("IMAGE",)}}

    def run(self, image: Any) -> Ui:
        return {}


class SaveGif:
    """Saves an animation and shows it as `gifs`, with more facts than a file name."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"image": ("IMAGE",), "prefix": ("STRING", {"default": "animation"})}}

    def run(self, image: Any, prefix: str) -> Ui:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory()
        )
        file = f"{name}_{counter:05}_.gif"
        frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
        frames[0].save(Path(folder) / file, save_all=True, append_images=frames[1:])
        shown = {"filename": file, "subfolder": subfolder, "type": "output", "format": "image/gif", "frame_rate": 8.0}
        return {"ui": {"gifs": [shown]}}


class SaveFile:
    """Saves a text file of any suffix and shows it under any key, as packs do for audio, 3D and latents."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        text = {"key": "3d", "name": "model.glb", "content": "solid"}
        return {"required": {name: ("STRING", {"default": default}) for name, default in text.items()}}

    def run(self, key: str, name: str, content: str) -> Ui:
        (Path(folder_paths.get_output_directory()) / name).write_text(content, "utf-8")
        return {"ui": {key: [{"filename": name, "subfolder": "", "type": "output"}]}}


class Fail:
    """Fails if the seed is odd."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"image": ("IMAGE",), "seed": SEED}}

    def run(self, image: Any, seed: int) -> tuple[Any]:
        if seed % 2:
            raise ValueError(f"seed {seed} is odd")
        return (image,)


NODES = {
    "LabSlow": Slow,
    "LabGate": Gate,
    "LabText": Text,
    "LabShowText": ShowText,
    "LabSilent": Silent,
    "LabSaveGif": SaveGif,
    "LabSaveFile": SaveFile,
    "LabFail": Fail,
}
