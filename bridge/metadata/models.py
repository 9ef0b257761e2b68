"""The texts in the metadata of 3D models in GLB, of latents and other safetensors files, and of SVG pictures.

GLB: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#binary-gltf-layout; ComfyUI writes into `asset.extras`.
Safetensors: https://huggingface.co/docs/safetensors; ComfyUI's SaveLatent writes into `__metadata__`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .chunks import Cursor, Damaged, text_of

# The kind of the chunk with the JSON of a GLB.
JSON_CHUNK = 0x4E4F534A
# Two patterns, since one for both would look for the end again from every beginning.
_SVG_DATA = re.compile(r"<metadata>\s*<!\[CDATA\[", re.IGNORECASE)
_SVG_END = re.compile(r"\]\]>\s*</metadata>", re.IGNORECASE)


def of_glb(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a GLB. Raises Damaged."""
    cursor = Cursor(content, "little")
    cursor.skip(12)
    size, kind = cursor.number(4), cursor.number(4)
    if kind == JSON_CHUNK:
        asset = _object(text_of(cursor.take(size))).get("asset")
        yield from _texts(asset.get("extras") if isinstance(asset, dict) else None)


def of_safetensors(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of a safetensors file. Raises Damaged."""
    cursor = Cursor(content, "little")
    yield from _texts(_object(text_of(cursor.take(cursor.number(8)))).get("__metadata__"))


def of_svg(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield (key, text) of an SVG. Raises Damaged."""
    text = text_of(content)
    begin = _SVG_DATA.search(text)
    end = None if begin is None else _SVG_END.search(text, begin.end())
    if begin is not None and end is not None:
        yield from _texts(_object(text[begin.end() : end.start()].strip()))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise Damaged("invalid JSON") from None
    return value if isinstance(value, dict) else {}


def _texts(values: Any) -> Iterator[tuple[str, str]]:
    for key, value in values.items() if isinstance(values, dict) else ():
        yield key, value if isinstance(value, str) else json.dumps(value)
