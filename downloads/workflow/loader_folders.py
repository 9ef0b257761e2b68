"""Knows which model directory the inputs of well-known node packs list, for packs that are not installed.

The table in `loader_folders.json` has, by pack and node type, either the one directory that all model files of the node
belong to, or its widgets in order up to the last one that names a model, each with its directory or null.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from .graph_walk import Placed

# Directories in the table that ComfyUI itself has, or has had since some version.
_OF_COMFYUI = frozenset(
    "checkpoints clip_vision controlnet detection diffusion_models loras text_encoders upscale_models vae "
    "vae_approx".split()
)
_TABLE = Path(__file__).with_suffix(".json")

Inputs = str | dict[str, str | None]


def folder_of(placed: Placed, widget: str | None, value: str) -> str | None:
    """The directory of the model that a widget of a node names, None if it is unknown.

    Args:
        widget: the widget's name, None if the workflow does not give it; its position then decides.
        value: the model's name, as the widget has it.
    """
    inputs = _by_type().get(placed.type or "")
    if inputs is None or isinstance(inputs, str):
        return inputs
    if widget is not None:
        return inputs.get(widget)
    names = [*inputs]
    held = placed.widgets if isinstance(placed.widgets, list) else []
    places = {index for index, one in enumerate(held) if one == value}
    folders = {inputs[names[index]] if index < len(names) else None for index in places}
    return folders.pop() if len(folders) == 1 else None


def pack_of(directory: str) -> str | None:
    """The first pack in the table that adds a directory to ComfyUI, None if none does."""
    if directory in _OF_COMFYUI:
        return None
    packs = (pack for pack, types in _table().items() if any(directory in _folders(one) for one in types.values()))
    return next(packs, None)


def _folders(inputs: Inputs) -> set[str | None]:
    return {inputs} if isinstance(inputs, str) else set(inputs.values())


@cache
def _by_type() -> dict[str, Inputs]:
    return {kind: inputs for types in _table().values() for kind, inputs in types.items()}


@cache
def _table() -> dict[str, dict[str, Inputs]]:
    table: dict[str, dict[str, Inputs]] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return table
