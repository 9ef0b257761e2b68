"""Nodes that name model files in ways that only running code reveals, and one with a type without a hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths

Inputs = dict[str, Any]


class AnyType(str):
    """Equal to every type; with `__eq__` and without `__hash__`, it can't be a key of a dict."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class ShowAny:
    """Accepts any input."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "lab", "run", (), True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"anything": (AnyType("*"), {})}}

    def run(self, anything: Any) -> dict[str, Any]:
        return {"ui": {"text": [str(anything)]}}


class ThrowingInputs:
    """A class that returns its inputs only once."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("IMAGE",)
    asked = False

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        if cls.asked:
            raise RuntimeError("this class answers once only")
        cls.asked = True
        return {"required": {"text": ("STRING", {})}}

    def run(self, text: str) -> tuple[Any]:
        return (None,)


class ListedCheckpoint:
    """Lists the checkpoints directory itself instead of asking ComfyUI."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        found = sorted(
            path.name for folder in folder_paths.get_folder_paths("checkpoints") for path in Path(folder).glob("*.s*")
        )
        return {"required": {"ckpt_name": (found or ["none"],)}}

    def run(self, ckpt_name: str) -> tuple[str]:
        return (ckpt_name,)


class LoraTexts:
    """Names LoRAs as `<lora:name:1>` in a text and as rows of `{name, active}`."""

    CATEGORY, FUNCTION, RETURN_TYPES = "lab", "run", ("STRING",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        return {"required": {"text": ("STRING", {"multiline": True, "default": ""})}, "optional": {"loras": ("LORAS",)}}

    def run(self, text: str, loras: Any = None) -> tuple[str]:
        return (text,)


NODES = {
    "LabShowAny": ShowAny,
    "LabThrowingInputs": ThrowingInputs,
    "LabListedCheckpoint": ListedCheckpoint,
    "LabLoraTexts": LoraTexts,
}
