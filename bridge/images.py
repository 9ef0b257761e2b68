"""Pictures that a program sends as a field's value: stored in ComfyUI's input folder, replaced by their names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import Any

from .errors import UiapiError
from .picture_store import PictureStore

# First bytes of the formats that ComfyUI's LoadImage opens; a browser would call any of them an image.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")

# Errors after which a tab may have written all the same; after any other it has not.
MAYBE_WRITTEN = frozenset(
    "timeout client_disconnected tab_failed conflict execution_failed execution_interrupted internal".split()
)
# Bytes of a node's name in a file's name; file systems take 255 in all.
NAME_BYTES = 150


class Pictures:
    """The pictures of one request, for as long as the context lasts; a refusal leaves none that is new.

    Args:
        store: where they go.
    """

    def __init__(self, store: PictureStore) -> None:
        self._store = store
        self._names: list[str] = []

    async def __aenter__(self) -> Pictures:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._end(keep=not (isinstance(error, UiapiError) and error.code not in MAYBE_WRITTEN))

    async def keep(self) -> None:
        """The tab has written: whatever comes afterwards, the pictures stay."""
        await self._end(keep=True)

    async def store(self, writes: list[tuple[str, Any]], *, dry: bool = False) -> list[tuple[str, Any]]:
        """The same writes with every {"type": "image_base64", "data": …} stored and replaced by its file's name.

        Every picture is decoded before the first is stored; with `dry` none is, and only the names are worked out.
        UiapiError `invalid` or `storage_failed`.
        """
        if not any(_is_image(value) for _, value in writes):
            return writes
        storing = asyncio.ensure_future(asyncio.to_thread(self._store_all, writes, dry))
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            # The thread goes on, and what it stores is still to be released.
            await asyncio.wait({storing})
            raise

    def _store_all(self, writes: list[tuple[str, Any]], dry: bool) -> list[tuple[str, Any]]:
        pictures = [_decode(path, value.get("data")) if _is_image(value) else None for path, value in writes]
        stored = []
        for (path, value), picture in zip(writes, pictures, strict=True):
            stored.append((path, value if picture is None else self._name(label_of(path), picture, dry)))
        return stored

    def _name(self, label: str, picture: bytes, dry: bool) -> str:
        if dry:
            return self._store.name_for(label, picture)
        name = self._store.put(label, picture)
        self._names.append(name)
        return name

    async def _end(self, *, keep: bool) -> None:
        names, self._names = self._names, []
        if names:
            # Not to be left halfway by a caller who hangs up.
            await asyncio.shield(asyncio.to_thread(self._release, names, keep))

    def _release(self, names: list[str], keep: bool) -> None:
        for name in names:
            self._store.release(name, keep=keep)


def label_of(path: str) -> str:
    """The part of a picture's file name that says where it was sent: its node, and its widget if not called image."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\.?(.*)', path, re.DOTALL)
    node, _, widget = (quoted[1], "", quoted[2]) if quoted else path.rpartition(".")
    words = ".".join([node or widget, *([widget] if node and widget.lower() not in ("", "image") else [])])
    # Everything that could name a folder, a device or a hidden file becomes part of a plain name.
    plain = re.sub(r"[^\w\- ()\[\]]+", "_", words.strip().removeprefix("#")).strip("_ ")
    return plain.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore") or "image"


def _is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "image_base64"


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
