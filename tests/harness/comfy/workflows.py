"""API-format workflows for ComfyUI's own nodes that need no downloaded model, and checks of their pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import save_file

Workflow = dict[str, Any]
Pixels = npt.NDArray[np.uint8]

RED, GREEN, BLUE = 0xFF0000, 0x00FF00, 0x0000FF
UPSCALER = "identity.safetensors"
# Feature maps and layers of the upscaler: enough work for a fraction of a second a tile.
FEATURES, LAYERS = 32, 8


def _node(class_type: str, title: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "_meta": {"title": title}, "inputs": inputs}


def picture(color: int = RED, *, width: int = 48, height: int = 32, prefix: str = "picture") -> Workflow:
    """One picture of one colour (0xRRGGBB), saved."""
    return {
        "1": _node("EmptyImage", "Canvas", width=width, height=height, batch_size=1, color=color),
        "2": _node("SaveImage", "Result", images=["1", 0], filename_prefix=prefix),
    }


def twins() -> Workflow:
    """Two nodes with the same title, so that a path by title matches both."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=32, batch_size=1, color=RED),
        "2": _node("EmptyImage", "Canvas", width=64, height=32, batch_size=1, color=BLUE),
        "3": _node("SaveImage", "First", images=["1", 0], filename_prefix="first"),
        "4": _node("SaveImage", "Second", images=["2", 0], filename_prefix="second"),
    }


def photo(file: str) -> Workflow:
    """A picture of ComfyUI's input directory, saved unchanged."""
    return {
        "1": _node("LoadImage", "Photo", image=file),
        "2": _node("SaveImage", "Result", images=["1", 0], filename_prefix="photo"),
    }


def noise() -> Workflow:
    """A picture that differs with its seed."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=16, batch_size=1, color=0x808080),
        "2": _node("ImageAddNoise", "Noise", image=["1", 0], seed=1, strength=1.0),
        "3": _node("SaveImage", "Result", images=["2", 0], filename_prefix="noise"),
    }


def slow(seconds: float) -> Workflow:
    """A picture that takes `seconds` to make; needs the test pack."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=16, batch_size=1, color=BLUE),
        "2": _node("LabSlow", "Slow", image=["1", 0], seconds=seconds, seed=0),
        "3": _node("SaveImage", "Result", images=["2", 0], filename_prefix="slow"),
    }


def gated(gate: str) -> Workflow:
    """A picture that is made once ComfyProcess.open_gate lets it through this gate; needs the test pack."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=16, batch_size=1, color=BLUE),
        "2": _node("LabGate", "Gate", image=["1", 0], gate=gate),
        "3": _node("SaveImage", "Result", images=["2", 0], filename_prefix=gate),
    }


def failing(seed: int) -> Workflow:
    """A picture that fails where the seed is odd; needs the test pack."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=16, batch_size=1, color=BLUE),
        "2": _node("LabFail", "Fail", image=["1", 0], seed=seed),
        "3": _node("SaveImage", "Result", images=["2", 0], filename_prefix="failing"),
    }


def texts(text: str) -> Workflow:
    """A text that two nodes show; needs the test pack."""
    return {
        "1": _node("LabText", "Said", text=text),
        "2": _node("PreviewAny", "Look", source=["1", 0]),
        "3": _node("LabShowText", "Show", text=["1", 0]),
    }


def film() -> Workflow:
    """A video of four pictures that is saved, and the pictures as previews."""
    return {
        "1": _node("EmptyImage", "Canvas", width=64, height=64, batch_size=4, color=GREEN),
        "2": _node("CreateVideo", "Film", images=["1", 0], fps=8.0),
        "3": _node("SaveVideo", "Saved", video=["2", 0], filename_prefix="video/film", format="auto", codec="auto"),
        "4": _node("PreviewImage", "Look", images=["1", 0]),
    }


def all_kinds() -> Workflow:
    """An animation, a 3D model, a latent, and a node that shows nothing; needs the test pack."""
    return {
        "1": _node("EmptyImage", "Canvas", width=16, height=16, batch_size=1, color=RED),
        "2": _node("LabSaveGif", "Gif", image=["1", 0], prefix="clips/animation"),
        "3": _node("LabSaveFile", "Model", key="3d", name="model.glb", content="solid"),
        "4": _node("LabSaveFile", "Odd", key="odd_things", name="thing.bin", content="bytes"),
        "5": _node("LabSilent", "Silent", image=["1", 0]),
        "6": _node("EmptyLatentImage", "Latent", width=16, height=16, batch_size=1),
        "7": _node("SaveLatent", "Latents", samples=["6", 0], filename_prefix="latents/all"),
    }


def unconnected() -> Workflow:
    """A workflow that ComfyUI refuses: SaveImage has no input."""
    return {"1": _node("SaveImage", "Result", filename_prefix="nothing")}


def throwing() -> Workflow:
    """A workflow that ComfyUI accepts and whose first node raises: the regular expression is invalid."""
    return {
        "1": _node("RegexReplace", "Pattern", string="text", regex_pattern="(", replace=""),
        "2": _node("PreviewAny", "Shown", source=["1", 0]),
    }


def upscaled(pictures: int, color: int = GREEN, *, size: int = 32) -> Workflow:
    """Pictures through an upscaler (see write_upscaler), which reports its progress after each."""
    return {
        "1": _node("EmptyImage", "Canvas", width=size, height=size, batch_size=pictures, color=color),
        "2": _node("UpscaleModelLoader", "Upscaler", model_name=UPSCALER),
        "3": _node("ImageUpscaleWithModel", "Upscale", upscale_model=["2", 0], image=["1", 0]),
        "4": _node("SaveImage", "Result", images=["3", 0], filename_prefix="upscaled"),
    }


def streamed(pictures: int, color: int) -> Workflow:
    """Pictures that are sent to the page as previews while they are made, and are not saved.

    Needs ComfyUI's own custom_nodes/websocket_image_save.py.
    """
    return {
        "1": _node("EmptyImage", "Canvas", width=512, height=512, batch_size=pictures, color=color),
        "2": _node("SaveImageWebsocket", "Sent", images=["1", 0]),
    }


def endless() -> Workflow:
    """A run that lasts longer than any test unless it is interrupted; needs write_upscaler."""
    return upscaled(300, size=256)


def write_upscaler(base: Path) -> None:
    """Give the ComfyUI with this base directory an upscale model that returns every picture unchanged.

    It has the layout of SRVGGNetCompact (https://github.com/xinntao/Real-ESRGAN, realesrgan/archs/srvgg_arch.py), which
    adds the output of its layers to the picture. With weights of zero that output is zero.
    """
    shapes: list[tuple[int, ...]] = [(FEATURES, 3, 3, 3)]
    shapes += [(FEATURES, FEATURES, 3, 3)] * LAYERS
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for index, shape in enumerate(shapes):
        weights |= _layer(2 * index, shape)
        weights[f"body.{2 * index + 1}.weight"] = np.zeros(FEATURES, np.float32)
    weights |= _layer(2 * len(shapes), (3, FEATURES, 3, 3))
    folder = base / "models" / "upscale_models"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / UPSCALER)


def _layer(number: int, shape: tuple[int, ...]) -> dict[str, npt.NDArray[np.float32]]:
    return {
        f"body.{number}.weight": np.zeros(shape, np.float32),
        f"body.{number}.bias": np.zeros(shape[0], np.float32),
    }


def pixels(file: bytes) -> Pixels:
    """Return an image file's pixels: rows, columns, and red, green and blue from 0 to 255."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))


def is_all(file: bytes, color: int) -> bool:
    """Return whether every pixel of an image file has this colour (0xRRGGBB)."""
    wanted = np.array([color >> 16, color >> 8 & 0xFF, color & 0xFF], np.uint8)
    return bool((pixels(file) == wanted).all())
