"""Finds the workflow in the metadata of a file, in the formats that ComfyUI's page opens when one is dropped on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...common.errors import UiapiError
from . import audio, matroska, models, mp4, pictures
from .chunks import MAX_TEXT, Damaged

# The keys under which ComfyUI saves the graph as the page shows it, and as it ran.
KEYS = ("workflow", "prompt")
# Keys that programs use for one JSON object with the keys above.
WRAPPERS = ("comment",)
# Characters of JSON that are decoded.
MAX_JSON = 32 * 2**20
# Characters of all texts of a file: many may be compressed, or refer to the same bytes.
MAX_TEXTS = 2 * MAX_TEXT

# The beginning of a file at an offset, and the function that yields its (key, text) pairs.
Texts = Callable[[bytes], Iterator[tuple[str, str]]]
FORMATS: list[tuple[int, bytes, Texts]] = [
    (0, b"\x89PNG\r\n\x1a\n", pictures.of_png),
    (8, b"WEBP", pictures.of_webp),
    (0, b"\xff\xd8\xff", pictures.of_jpeg),
    (4, b"ftyp", mp4.texts),
    (0, b"\x1a\x45\xdf\xa3", matroska.texts),
    (0, b"fLaC", audio.of_flac),
    (0, b"OggS", audio.of_ogg),
    (0, b"ID3", audio.of_mp3),
    (0, b"glTF", models.of_glb),
    (0, b"<svg", models.of_svg),
    (0, b"<?xml", models.of_svg),
    (8, b'{"', models.of_safetensors),
]
NAMES = "PNG, WebP, JPEG, SVG, MP4, WebM, FLAC, Ogg, MP3, GLB and safetensors"


def workflow_in(content: bytes, *, api: bool = False) -> dict[str, Any]:
    """Return the workflow in a file. It blocks for as long as decoding takes, so call it on a thread.

    Args:
        content: the file; JSON is a workflow itself.
        api: prefer API format to UI format, which the page prefers.

    Raises:
        UiapiError: `unsupported_type` for another format, `no_workflow` for a file without one, `invalid` for damaged
            files and workflows.
    """
    texts = next((texts for at, start, texts in FORMATS if content[at : at + len(start)] == start), None)
    if texts is None:
        if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return _decoded(content.decode("utf-8-sig", "replace"))
        raise UiapiError("unsupported_type", f"The file holds no workflow; send JSON, or one of {NAMES}.")
    found = _Found()
    try:
        left = MAX_TEXTS
        for key, text in texts(content):
            left -= len(key) + len(text)
            if left < 0:
                raise Damaged(f"texts of more than {MAX_TEXTS // 2**20} MB")
            found.add(key, text)
    except Damaged as damage:
        if not found.workflows:
            raise UiapiError("invalid", f"The file is damaged ({damage}); save it again.") from None
    return found.best(reversed(KEYS) if api else KEYS)


class _Found:
    """The workflows in the texts of a file.

    Attributes:
        workflows: by the keys of KEYS.
    """

    def __init__(self) -> None:
        self.workflows: dict[str, dict[str, Any]] = {}
        self._others: set[str] = set()
        self._problem: UiapiError | None = None

    def add(self, key: str, text: str) -> None:
        """Take a text; as in the page, the last of several counts, under a key in lower case if there is one."""
        name = key.lower()
        if name in KEYS:
            if key == name or name not in self.workflows:
                self.workflows.pop(name, None)
                try:
                    self.workflows[name] = _decoded(text)
                except UiapiError as error:
                    # Another text may have a workflow.
                    self._problem = error
        elif name in WRAPPERS and (wrapped := _wrapped(text)):
            for inner, value in wrapped.items():
                self.workflows.setdefault(inner, value)
        else:
            self._others.add(name)

    def best(self, order: Iterable[str]) -> dict[str, Any]:
        """Return the first workflow in this order. Raises UiapiError without one."""
        for key in order:
            if self.workflows.get(key):
                return self.workflows[key]
        raise self._problem or _nothing(self._others)


def _nothing(others: set[str]) -> UiapiError:
    why = "ComfyUI was started with --disable-metadata, or another program has saved the file again"
    if "parameters" in others:
        why = "it has the parameters of another program, which are no workflow"
    return UiapiError("no_workflow", f"The file has no workflow in its metadata: {why}; send another file.")


def _decoded(text: str) -> dict[str, Any]:
    """Return the object in a JSON text. NaN and Infinity, which ComfyUI writes, become None, as in its page."""
    if len(text) > MAX_JSON:
        raise UiapiError("too_large", f"The workflow in the file has more than {MAX_JSON // 2**20} MB.")
    try:
        value = json.loads(text.rstrip("\0"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise UiapiError("invalid", "The workflow in the file is not valid JSON; save it again.") from None
    if not isinstance(value, dict):
        raise UiapiError("invalid", "The workflow in the file is not a JSON object; save it again.")
    return value


def _wrapped(text: str) -> dict[str, dict[str, Any]]:
    """Return the workflows in a comment, each as an object or as JSON; empty for any other comment."""
    try:
        value = _decoded(text)
        inner = {key: value[key] for key in KEYS if key in value}
        return {key: item if isinstance(item, dict) else _decoded(str(item)) for key, item in inner.items()}
    except UiapiError:
        return {}
