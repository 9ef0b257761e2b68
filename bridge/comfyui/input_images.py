"""Stores pictures that are sent as field values in ComfyUI's input directory, and replaces them by their file names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from ...common.errors import UiapiError
from .picture_store import PictureStore, digest_in, digests_in

# First bytes of the formats that ComfyUI's LoadImage opens.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")

# Errors after which a tab may have written the fields; after any other it has not.
MAYBE_WRITTEN = frozenset(
    "timeout client_disconnected tab_failed conflict execution_failed execution_interrupted internal".split()
)
# Characters of a text that may be a file name; base64 up to this length is not taken for a picture.
FILE_NAME = 255
# Characters of base64 that are enough to recognize the format.
HEAD = 32
# Bytes of a node's name in a file name; file systems allow 255 in total.
NAME_BYTES = 150


class Pictures:
    """The pictures of one request, as a context; if the request is refused, new pictures are removed.

    Args:
        store: the picture store.
    """

    def __init__(self, store: PictureStore) -> None:
        self._store = store
        self._names: list[str] = []
        # Pictures found in strings that the tab may use as plain text.
        self._offered: set[str] = set()

    async def __aenter__(self) -> Pictures:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._end(keep=not (isinstance(error, UiapiError) and error.code not in MAYBE_WRITTEN))

    async def keep(self, answer: Any = None) -> None:
        """Keep the pictures even if the request fails later, since the tab has written them.

        With the tab's answer, pictures in strings that it used as plain text are removed.
        """
        if self._offered and answer is not None:
            used = digests_in([answer])
            taken_as_text = {name for name in self._offered if digest_in(name) not in used}
            await self._end(keep=False, only=taken_as_text)
        await self._end(keep=True)

    async def data(self, writes: list[tuple[str, Any]], *, dry: bool = False) -> dict[str, Any]:
        """Return the writes in the form a tab accepts: `fields` as `store` returns them, and `pictures`.

        The latter are the file names of pictures in strings, by their index in `fields`; the tab knows whether a field
        takes a picture or a text. Raises UiapiError as `store` does.
        """
        offered: dict[str, str] = {}
        fields = await self._in_thread(writes, lambda: self._store_all(writes, dry, offered))
        self._offered.update(offered.values())
        return {"fields": fields, "pictures": offered} if offered else {"fields": fields}

    async def store(self, writes: list[tuple[str, Any]], takes_picture: Callable[[int], bool]) -> list[tuple[str, Any]]:
        """Store every {"type": "image_base64", "data": …} and return the writes with file names instead.

        The same is done for a string that contains a picture, if `takes_picture` (called on a thread) returns True for
        its index. All pictures are decoded before the first is stored. Raises UiapiError `invalid` or `storage_failed`.
        """

        def work() -> list[tuple[str, Any]]:
            offered: dict[str, str] = {}
            stored = self._store_all(writes, False, offered, takes_picture)
            return [(path, offered.get(str(at), value)) for at, (path, value) in enumerate(stored)]

        return await self._in_thread(writes, work)

    async def _in_thread(
        self, writes: list[tuple[str, Any]], work: Callable[[], list[tuple[str, Any]]]
    ) -> list[tuple[str, Any]]:
        if not any(_is_image(value) or _may_hold_picture(value) for _, value in writes):
            return writes
        storing = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            # The thread goes on, and the pictures it stores must still be released.
            await asyncio.wait({storing})
            raise

    def _store_all(
        self,
        writes: list[tuple[str, Any]],
        dry: bool,
        offered: dict[str, str],
        takes_picture: Callable[[int], bool] = lambda at: True,
    ) -> list[tuple[str, Any]]:
        pictures = [_decode(path, value.get("data")) if _is_image(value) else None for path, value in writes]
        in_texts = {at: held for at, (_, value) in enumerate(writes) if (held := picture_in(value)) is not None}
        stored = []
        for (path, value), picture in zip(writes, pictures, strict=True):
            stored.append((path, value if picture is None else self._name(label_of(path), picture, dry)))
        for at, picture in in_texts.items():
            if takes_picture(at):
                offered[str(at)] = self._name(label_of(writes[at][0]), picture, dry)
        return stored

    def _name(self, label: str, picture: bytes, dry: bool) -> str:
        if dry:
            return self._store.name_for(label, picture)
        name = self._store.put(label, picture)
        self._names.append(name)
        return name

    async def _end(self, *, keep: bool, only: set[str] | None = None) -> None:
        names = [name for name in self._names if only is None or name in only]
        self._names = [name for name in self._names if name not in names]
        if names:
            # Must finish even if the caller disconnects.
            await asyncio.shield(asyncio.to_thread(self._release, names, keep))

    def _release(self, names: list[str], keep: bool) -> None:
        for name in names:
            self._store.release(name, keep=keep)


def label_of(path: str) -> str:
    """Return the readable part of a picture's file name: its node, and its widget unless that is called image."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\.?(.*)', path, re.DOTALL)
    node, _, widget = (quoted[1], "", quoted[2]) if quoted else path.rpartition(".")
    words = ".".join([node or widget, *([widget] if node and widget.lower() not in ("", "image") else [])])
    # Replace all characters that could make it a path, a device or a hidden file.
    plain = re.sub(r"[^\w\- ()\[\]]+", "_", words.strip().removeprefix("#")).strip("_ ")
    return plain.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore") or "image"


def _is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "image_base64"


def _may_hold_picture(value: Any) -> bool:
    """Whether a string may contain a picture in base64; cheap, since it is called for every written string."""
    if not isinstance(value, str):
        return False
    if value[:5].lower() == "data:":
        return True
    return len(value) > FILE_NAME and _head_is_picture(value)


def picture_in(value: Any) -> bytes | None:
    """Return the picture in a string, bare base64 or a data URL; None for anything else."""
    if not _may_hold_picture(value):
        return None
    text = value
    if text[:5].lower() == "data:":
        about, _, text = text.partition(",")
        if not about.lower().endswith(";base64") or not _head_is_picture(text):
            return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None


def _head_is_picture(text: str) -> bool:
    try:
        return _is_picture(base64.b64decode("".join(text[: 2 * HEAD].split())[:HEAD], validate=True))
    except ValueError:
        return False


def _is_picture(data: bytes) -> bool:
    return data.startswith(SIGNATURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _decode(path: str, data: Any) -> bytes:
    if not isinstance(data, str):
        raise UiapiError("invalid", f"{path}: send the picture as base64 text under data.")
    if data.startswith("data:"):
        data = data.partition(",")[2]
    try:
        picture = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise UiapiError("invalid", f"{path}: the picture is not base64.") from None
    if not _is_picture(picture):
        raise UiapiError("invalid", f"{path}: send a PNG, JPEG, WebP, GIF, BMP or TIFF picture.")
    return picture
