"""Pictures that a program sends as a field's value: stored in ComfyUI's input folder, replaced by their names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import threading
from pathlib import Path
from typing import Any

from .comfy import Comfy
from .errors import UiapiError

# First bytes of the formats that ComfyUI's LoadImage opens; a browser would call any of them an image.
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")

# Errors after which a tab may have written all the same; after any other it has not.
MAYBE_WRITTEN = frozenset(
    "timeout client_disconnected tab_failed conflict execution_failed execution_interrupted internal".split()
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
        await self._end(undo=isinstance(error, UiapiError) and error.code not in MAYBE_WRITTEN)

    async def keep(self) -> None:
        """The tab has written: whatever comes afterwards, the pictures stay."""
        await self._end(undo=False)

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

    async def _end(self, *, undo: bool) -> None:
        swaps, self._swaps = self._swaps, []
        if swaps:
            # Not to be left halfway by a caller who hangs up.
            await asyncio.shield(asyncio.to_thread(_end_all, swaps, undo=undo))


def _end_all(swaps: list[Swap], *, undo: bool) -> None:
    for swap in reversed(swaps):
        swap.end(undo=undo)


class Swap:
    """A picture that was put in another one's place, which is kept until the write is known to have been done.

    Blocks on the disk. UiapiError `storage_failed`, with the old picture as it was.
    """

    # What is looked at and then acted on must not change in between; each takes as long as a rename.
    _lock = threading.Lock()
    # Those of each file whose write is not known to have been done, the latest last.
    _open: dict[Path, list[Swap]] = {}

    def __init__(self, target: Path, picture: bytes) -> None:
        self._target = target
        self._before: Path | None = None
        # Written beside and renamed, so that a run that loads the old picture now never sees half of the new one.
        temporary = _beside(target)
        try:
            try:
                temporary.write_bytes(picture)
                with self._lock:
                    self._before = self._keep_before()
                    os.replace(temporary, target)
                    self._own = _which(target)
                    self._open.setdefault(target, []).append(self)
            except BaseException:
                for left in filter(None, (temporary, self._before)):
                    left.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UiapiError("storage_failed", f"The picture could not be stored: {error.strerror}.") from error

    def _keep_before(self) -> Path | None:
        if not self._target.is_file():
            return None
        kept = _beside(self._target)
        try:
            os.link(self._target, kept)
        except OSError:
            # Not every file system has links.
            shutil.copy2(self._target, kept)
        return kept

    def end(self, *, undo: bool) -> None:
        """Let the old picture go, or put it back unless somebody else has stored one since."""
        with self._lock, contextlib.suppress(OSError):
            others = self._open[self._target]
            at = others.index(self)
            others.remove(self)
            if not others:
                del self._open[self._target]
            if undo and at < len(others):
                # The next one took this picture for what was there before; that was never accepted.
                others[at]._before, self._before = self._before, others[at]._before
            elif undo and _which(self._target) == self._own:
                if self._before is None:
                    self._target.unlink()
                else:
                    os.replace(self._before, self._target)
        if self._before is not None:
            with contextlib.suppress(OSError):
                self._before.unlink(missing_ok=True)


def image_name(path: str) -> str:
    """The file name for a picture written to that field path: INPUT_<node>.png, or INPUT_<node>_<widget>.png for a
    widget that is not called image. A name that a file cannot have is told from others like it by a few digits."""
    quoted = re.match(r'\s*"((?:[^"\\]|\\.)*)"\.?(.*)', path, re.DOTALL)
    node, _, widget = (quoted[1], "", quoted[2]) if quoted else path.rpartition(".")
    words = ".".join([node or widget, *([widget] if node and widget.lower() not in ("", "image") else [])])
    words = words.strip().removeprefix("#")
    # Everything that could name a folder, a device or a hidden file becomes part of a plain name.
    plain = re.sub(r"[^\w\- ()\[\]]+", "_", words).strip("_ ")
    short = plain.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")
    if short != words:
        digits = hashlib.sha256(words.lower().encode("utf-8", "replace")).hexdigest()[:6]
        short = f"{short or 'image'}_{digits}"
    return f"INPUT_{short}.png"


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


def _beside(target: Path) -> Path:
    """The name of a file of ours in the same folder, for a moment."""
    return target.with_name(f"{BESIDE_PREFIX}{secrets.token_hex(8)}.tmp")


def _which(path: Path) -> tuple[int, int, int]:
    """What tells a file from the one that takes its place."""
    seen = path.stat()
    return seen.st_ino, seen.st_mtime_ns, seen.st_size
