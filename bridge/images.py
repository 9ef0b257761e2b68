"""Pictures that a program sends as a field's value: stored in ComfyUI's input folder, replaced by their names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from .comfy import Comfy
from .errors import UiapiError

# First bytes of the formats that ComfyUI's LoadImage opens; a browser would call any of them an image.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")

# What a tab answers, or is answered for it, when it has written nothing.
NOTHING_WRITTEN = frozenset(
    "unknown_path ambiguous_path unknown_node invalid revision_changed tab_changed no_webui unknown_webui "
    "too_many storage_failed".split()
)
# Bytes of a node's name in a file's name; file systems take 255 in all.
NAME_BYTES = 150
# How the names of files begin that are there for a moment, and may be left behind by a process that is killed.
BESIDE_PREFIX = ".uiapi-"


class Pictures:
    """The pictures of one request, for as long as the context lasts; a refusal leaves what was there before.

    Args:
        comfy: whose input folder they go to.
    """

    def __init__(self, comfy: Comfy) -> None:
        self._comfy = comfy
        self._swaps: list[Swap] = []
        self._by_name: dict[str, tuple[str, bytes]] = {}

    async def __aenter__(self) -> Pictures:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._swaps:
            refused = isinstance(error, UiapiError) and error.code in NOTHING_WRITTEN
            # Not to be left halfway by a caller who hangs up.
            await asyncio.shield(asyncio.to_thread(self._end, refused))

    async def store(self, writes: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """The same writes with every {"type": "image_base64", "data": …} stored and replaced by its file's name.

        Every picture is decoded before the first is stored. UiapiError `invalid` or `storage_failed`.
        """
        if not any(_is_image(value) for _, value in writes):
            return writes
        names = await asyncio.to_thread(self._store, writes)
        return [(path, names.get(path, value)) for path, value in writes]

    def _store(self, writes: list[tuple[str, Any]]) -> dict[str, str]:
        pictures = {path: _decode(path, value.get("data")) for path, value in writes if _is_image(value)}
        names = {path: image_name(path) for path in pictures}
        for path, picture in pictures.items():
            other, known = self._by_name.get(names[path].lower(), (path, picture))
            if other != path and known != picture:
                raise UiapiError(
                    "invalid",
                    f"The pictures of {other} and {path} would both be {names[path]}; give one of the nodes another "
                    "title, or name it by its #id.",
                )
            self._by_name[names[path].lower()] = path, picture
        folder = self._comfy.input_directory()
        for path, picture in pictures.items():
            self._swaps.append(Swap(folder / names[path], picture))
        return names

    def _end(self, refused: bool) -> None:
        for swap in reversed(self._swaps):
            swap.end(undo=refused)


class Swap:
    """A picture that was put in another one's place, which is kept until the write is known to have been done.

    Blocks on the disk. UiapiError `storage_failed`, with the old picture as it was.
    """

    # What is looked at and then acted on must not change in between; each takes as long as a rename.
    _lock = threading.Lock()

    def __init__(self, target: Path, picture: bytes) -> None:
        self._target = target
        self._before: str | None = None
        # Written beside and renamed, so that a run that loads the old picture now never sees half of the new one.
        try:
            temporary = _beside(target.parent)
            try:
                Path(temporary).write_bytes(picture)
                os.chmod(temporary, 0o644)
                with self._lock:
                    self._before = self._keep_before()
                    os.replace(temporary, target)
                    self._own = _which(target)
            except BaseException:
                for left in filter(None, (temporary, self._before)):
                    os.unlink(left)
                raise
        except OSError as error:
            raise UiapiError("storage_failed", f"The picture could not be stored: {error.strerror}.") from error

    def _keep_before(self) -> str | None:
        if not self._target.is_file():
            return None
        kept = _beside(self._target.parent)
        try:
            shutil.copy2(self._target, kept)
        except BaseException:
            os.unlink(kept)
            raise
        return kept

    def end(self, *, undo: bool) -> None:
        """Let the old picture go, or put it back unless somebody else has stored one since."""
        with contextlib.suppress(OSError), self._lock:
            if undo and _which(self._target) == self._own:
                if self._before is None:
                    os.unlink(self._target)
                else:
                    os.replace(self._before, self._target)
        if self._before is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._before)


def image_name(path: str) -> str:
    """The file name for a picture written to that field path: INPUT_<node>.png, or INPUT_<node>_<widget>.png for a
    widget that is not called image."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\.?(.*)', path, re.DOTALL)
    node, _, widget = (quoted[1], "", quoted[2]) if quoted else path.rpartition(".")
    words = [node or widget, *([widget] if node and widget.lower() not in ("", "image") else [])]
    # Everything that could name a folder, a device or a hidden file becomes part of a plain name.
    plain = re.sub(r"[^\w\- ()\[\]]+", "_", "_".join(words).lstrip("#")).strip("_ ")
    short = plain.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")
    return f"INPUT_{short or 'image'}.png"


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


def _beside(folder: Path) -> str:
    """An empty file of ours in that folder, for a moment."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=BESIDE_PREFIX, suffix=".tmp")
    os.close(descriptor)
    return name


def _which(path: Path) -> tuple[int, int, int]:
    """What tells a file from the one that takes its place."""
    seen = path.stat()
    return seen.st_ino, seen.st_mtime_ns, seen.st_size
