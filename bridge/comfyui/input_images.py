"""Stores files that are sent as field values in ComfyUI's input directory, and replaces them by their names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...common.errors import UiapiError
from .input_files import PICTURE, Content, Fetched, is_picture, suffix_of
from .picture_store import PictureStore, digest_in, digests_in

# The types of values that are files; of a URL, the server downloads it.
PICTURE_TYPE, FILE_TYPE, URL_TYPE = "image_base64", "file_base64", "url"
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
        downloads: whether values that are URLs may be downloaded.
    """

    def __init__(self, store: PictureStore, *, downloads: bool = False) -> None:
        self._store = store
        self._downloads = downloads
        self._names: list[str] = []
        # Pictures found in strings that the tab may use as plain text.
        self._offered: set[str] = set()
        # Files that were downloaded for this request, by their URLs.
        self._fetched: dict[str, Fetched] = {}

    async def __aenter__(self) -> Pictures:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._end(keep=not (isinstance(error, UiapiError) and error.code not in MAYBE_WRITTEN))
        await self._forget_fetched()

    async def keep(self, answer: Any = None, undecided: Sequence[Any] = ()) -> None:
        """Keep the pictures even if the request fails later, since the tab has written them.

        With the tab's answer, pictures in strings that it used as plain text are removed. `undecided` is what `data`
        returned and the tab has not used yet; the pictures of that stay as they are.
        """
        if not self._names:
            return
        used = digests_in([answer]) if self._offered or undecided else set()
        waiting = digests_in(undecided) - used
        decided = {name for name in self._names if digest_in(name) not in waiting}
        if answer is not None:
            taken_as_text = {name for name in self._offered & decided if digest_in(name) not in used}
            await self._end(keep=False, only=taken_as_text)
        await self._end(keep=True, only=decided)

    async def data(self, writes: list[tuple[str, Any]], *, dry: bool = False) -> dict[str, Any]:
        """Return the writes in the form a tab accepts: `fields` as `store` returns them, and `pictures`.

        The latter are the file names of pictures in strings, by their index in `fields`; the tab knows whether a field
        takes a picture or a text. Raises UiapiError as `store` does.
        """
        offered: dict[str, str] = {}
        fields = await self._in_thread(writes, lambda: self._store_all(writes, dry, offered), fetch=not dry)
        self._offered.update(offered.values())
        return {"fields": fields, "pictures": offered} if offered else {"fields": fields}

    async def store(self, writes: list[tuple[str, Any]], takes_picture: Callable[[int], bool]) -> list[tuple[str, Any]]:
        """Store every file, such as {"type": "image_base64", "data": …}, and return the writes with file names instead.

        The same is done for a string that contains a picture, if `takes_picture` (called on a thread) returns True for
        its index. All pictures are decoded before the first is stored. Raises UiapiError `invalid` or `storage_failed`.
        """

        def work() -> list[tuple[str, Any]]:
            offered: dict[str, str] = {}
            stored = self._store_all(writes, False, offered, takes_picture)
            return [(path, offered.get(str(at), value)) for at, (path, value) in enumerate(stored)]

        return await self._in_thread(writes, work)

    async def _in_thread(
        self, writes: list[tuple[str, Any]], work: Callable[[], list[tuple[str, Any]]], *, fetch: bool = True
    ) -> list[tuple[str, Any]]:
        if not any(_type_of(value) or _may_hold_picture(value) for _, value in writes):
            return writes
        if fetch:
            await self._fetch_all(writes)
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
        files = [self._file(path, value) if _type_of(value) else None for path, value in writes]
        in_texts = {at: held for at, (_, value) in enumerate(writes) if (held := picture_in(value)) is not None}
        stored = []
        for (path, value), file in zip(writes, files, strict=True):
            stored.append((path, value if file is None else self._name(label_of(path), *file, dry)))
        for at, picture in in_texts.items():
            if takes_picture(at):
                offered[str(at)] = self._name(label_of(writes[at][0]), picture, PICTURE, dry)
        return stored

    async def _fetch_all(self, writes: list[tuple[str, Any]]) -> None:
        """Download the files that are named by a URL."""
        for path, value in writes:
            if _type_of(value) != URL_TYPE:
                continue
            url = value["url"]
            if not isinstance(url, str):
                raise UiapiError("invalid", f"{path}: send the URL as text under url.")
            if not self._downloads:
                # The person's rules and the token were not checked for this one.
                raise UiapiError("forbidden", f"{path}: a URL is not accepted here; send the file itself.")
            if url not in self._fetched:
                self._fetched[url] = await self._store.fetch(url)

    def _file(self, path: str, value: dict[str, Any]) -> tuple[Content, str]:
        """Return the file in a value, and the suffix for its name. Raises UiapiError `invalid`."""
        kind, filename = _type_of(value), value.get("filename")
        if kind == PICTURE_TYPE:
            return _decode(path, value.get("data")), PICTURE
        if filename is not None and not isinstance(filename, str):
            raise UiapiError("invalid", f"{path}: send filename as text.")
        if kind == FILE_TYPE:
            content = _bytes(path, value.get("data"))
            return content, suffix_of(path, content, filename)
        fetched = self._fetched.get(value["url"])
        if fetched is None:
            # Nothing is downloaded for a dry run.
            return b"", PICTURE
        return fetched, suffix_of(path, fetched, filename or fetched.filename)

    async def _forget_fetched(self) -> None:
        fetched, self._fetched = [*self._fetched.values()], {}
        if fetched:
            await asyncio.shield(asyncio.to_thread(_remove, fetched))

    def _name(self, label: str, file: Content, suffix: str, dry: bool) -> str:
        if dry:
            return self._store.name_for(label, file, suffix)
        name = self._store.put(label, file, suffix)
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


def has_url(writes: Iterable[tuple[str, Any]]) -> bool:
    """Whether a file for one of the writes has to be downloaded; a value may also be a list of several."""
    values = (one for _, value in writes for one in (value if isinstance(value, list) else (value,)))
    return any(_type_of(value) == URL_TYPE for value in values)


def _type_of(value: Any) -> str | None:
    """Return the type of a value that is a file; None for any other value."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in (PICTURE_TYPE, FILE_TYPE):
        return str(kind)
    # An object of a field may have a key of this name as well.
    return URL_TYPE if kind == URL_TYPE and value.keys() <= {"type", "url", "filename"} and "url" in value else None


def _remove(fetched: Iterable[Fetched]) -> None:
    for file in fetched:
        with contextlib.suppress(OSError):
            file.path.unlink(missing_ok=True)


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
        return is_picture(base64.b64decode("".join(text[: 2 * HEAD].split())[:HEAD], validate=True))
    except ValueError:
        return False


def _decode(path: str, data: Any) -> bytes:
    picture = _bytes(path, data, "picture")
    if not is_picture(picture):
        raise UiapiError("invalid", f"{path}: send a PNG, JPEG, WebP, GIF, BMP or TIFF picture.")
    return picture


def _bytes(path: str, data: Any, what: str = "file") -> bytes:
    if not isinstance(data, str):
        raise UiapiError("invalid", f"{path}: send the {what} as base64 text under data.")
    if data.startswith("data:"):
        data = data.partition(",")[2]
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise UiapiError("invalid", f"{path}: the {what} is not base64.") from None
