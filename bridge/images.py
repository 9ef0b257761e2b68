"""Pictures that a program sends as a field's value: stored in ComfyUI's input folder, replaced by their names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from .comfy import Comfy
from .errors import UiapiError

# First bytes of the formats that ComfyUI's LoadImage opens; a browser would call any of them an image.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")


async def store_images(comfy: Comfy, writes: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The same writes with every {"type": "image_base64", "data": …} stored and replaced by its file's name.

    Every picture is decoded before the first is stored. UiapiError `invalid` or `storage_failed`.
    """
    if not any(_is_image(value) for _, value in writes):
        return writes
    pictures = await asyncio.to_thread(_decode_all, writes)
    names = await asyncio.to_thread(_store_all, comfy.input_directory(), pictures)
    return [(path, names.get(path, value)) for path, value in writes]


def image_name(path: str) -> str:
    """The file name for a picture written to that field path: INPUT_<node>.png."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"', path)
    node = quoted.group(1) if quoted else path.rpartition(".")[0] or path
    # Everything that could name a folder, a device or a hidden file becomes part of a plain name.
    plain = re.sub(r"[^\w\- ()\[\]]+", "_", node.lstrip("#")).strip("_ ")[:100]
    return f"INPUT_{plain or 'image'}.png"


def _is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "image_base64"


def _decode_all(writes: list[tuple[str, Any]]) -> dict[str, bytes]:
    return {path: _decode(path, value.get("data")) for path, value in writes if _is_image(value)}


def _decode(path: str, data: Any) -> bytes:
    if not isinstance(data, str):
        raise UiapiError("invalid", f"{path}: send the picture as base64 text under data.")
    if data.startswith("data:"):
        data = data.partition(",")[2]
    try:
        picture = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise UiapiError("invalid", f"{path}: the picture is not base64.") from None
    webp = picture[:4] == b"RIFF" and picture[8:12] == b"WEBP"
    if not webp and not picture.startswith(SIGNATURES):
        raise UiapiError("invalid", f"{path}: this is not a PNG, JPEG, WebP, GIF, BMP or TIFF picture.")
    return picture


def _store_all(folder: Path, pictures: dict[str, bytes]) -> dict[str, str]:
    names = {}
    for path, picture in pictures.items():
        names[path] = image_name(path)
        _store(folder / names[path], picture)
    return names


def _store(target: Path, picture: bytes) -> None:
    # Written beside and renamed, so that a run that loads the old picture now never sees half of the new one.
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".uiapi-", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(picture)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UiapiError("storage_failed", f"The picture could not be stored: {error.strerror}.") from error
