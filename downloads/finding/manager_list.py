"""Reads ComfyUI-Manager's list of models, where it is installed as a package or as a custom node."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...common.manager_files import newest_list
from ..storage.model_folders import CLOSED_FOLDERS, MODEL_EXTENSIONS, extension_of, local_name
from .addresses import file_url
from .candidate import Candidate

log = logging.getLogger("uiapi")

_FILE = "model-list.json"
# The folders of the custom node, by its own name and by those that other ways to install it use.
_NODE_FOLDERS = ("ComfyUI-Manager", "comfyui-manager")
# The directories of its types of models, for entries that do not name one.
_DIRECTORIES = {
    "checkpoint": "checkpoints",
    "checkpoints": "checkpoints",
    "unclip": "checkpoints",
    "clip": "text_encoders",
    "text_encoders": "text_encoders",
    "vae": "vae",
    "lora": "loras",
    "t2i-adapter": "controlnet",
    "t2i-style": "controlnet",
    "controlnet": "controlnet",
    "clip_vision": "clip_vision",
    "gligen": "gligen",
    "upscale": "upscale_models",
    "embedding": "embeddings",
    "embeddings": "embeddings",
    "unet": "diffusion_models",
    "diffusion_model": "diffusion_models",
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)i?B", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_MOST_BYTES = 32_000_000


def list_file(folder_paths: Any) -> Path | None:
    """The newest copy of the list, None if ComfyUI-Manager is not installed. Blocks on the disk.

    Args:
        folder_paths: ComfyUI's module of that name.
    """
    nodes = folder_paths.folder_names_and_paths.get("custom_nodes", ([], set()))[0]
    user = getattr(folder_paths, "get_user_directory", lambda: None)()
    folders = [Path(place, folder) for place in nodes for folder in _NODE_FOLDERS]
    return newest_list(_FILE, folders, None if user is None else Path(user))


def read_list(path: Path) -> list[Candidate]:
    """The files in one copy of the list; empty if it cannot be read. Blocks on the disk."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return []
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        log.info("ComfyUI-Manager's list of models cannot be read: %s", error)
        return []
    models = read.get("models") if isinstance(read, dict) else None
    return [*_read(models)] if isinstance(models, list) else []


def _read(models: list[Any]) -> Iterator[Candidate]:
    for model in models:
        texts = (
            {key: value for key, value in model.items() if isinstance(value, str)} if isinstance(model, dict) else {}
        )
        name, url = texts.get("filename", ""), file_url(texts.get("url", ""))
        if url is None or "/" in name or local_name(name) is None or extension_of(name) not in MODEL_EXTENSIONS:
            continue
        folder = texts.get("save_path", "default").replace("\\", "/").partition("/")[0]
        directory = _DIRECTORIES.get(texts.get("type", "").lower()) if folder in ("default", "") else folder
        # A path into a custom node is no directory for models, and "etc" is one that no loader lists.
        if directory in CLOSED_FOLDERS or directory in ("etc", "..", "."):
            continue
        base = texts.get("base")
        why = f"ComfyUI-Manager lists it as {texts.get('name', name)[:100]!r}{f' for {base[:40]}' if base else ''}."
        size = _size(texts.get("size", ""))
        yield Candidate(name, str(url), "manager", why, directory=directory, size=size, base_model=base)


def _size(text: str) -> int | None:
    match = _SIZE.fullmatch(text.strip())
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match is not None else None
