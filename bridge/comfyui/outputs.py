"""Reads the outputs (files and texts) of an execution, or its failure, from ComfyUI's history."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from ...common.errors import UiapiError
from ...common.paths import within
from ..protocol.codec import MAX_FRAME
from .adapter import Comfy, names_of

# Characters of base64 in one answer, so that it fits one frame together with its texts and a megabyte of other data;
# larger results have to be fetched by URL.
MAX_INLINE = MAX_FRAME - 2**20
# Bytes of JSON for the texts of one answer, and the bytes counted for the keys around each. The full text is in
# ComfyUI's history.
MAX_TEXTS = 4 * 2**20
TEXT_OVERHEAD = 300
# Characters of all texts in one event about a node's output.
MAX_EVENT_TEXTS = 2**20
# The key under which nodes put the texts they show; other keys are for their own frontends.
TEXT_KEY = "text"
# The key under which nodes put the path of a 3D model in the output directory, among other data for their viewer.
RESULT_KEY = "result"
MODEL_3D = re.compile(r"[^\0]+\.(glb|gltf|obj|fbx|stl|ply|splat|spz|ksplat|usdz)", re.IGNORECASE)


def outputs_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files and texts of a history entry, in the order of its nodes.

    Each has node_id, title, node_type and kind. The kind of a file is the node's own key ("images", "gifs", "audio",
    "3d", …); a file also has filename, subfolder, type ("output", "temp"), format if the node reports it, and url, the
    URL path where ComfyUI serves it. A text has the kind "text", and text.
    """
    prompt = entry["prompt"][2]
    outputs = []
    for node_id, output in entry.get("outputs", {}).items():
        title, node_type = names_of(prompt.get(node_id))
        maker = {"node_id": node_id, "title": title, "node_type": node_type}
        for kind, items in output.items() if isinstance(output, dict) else ():
            if not isinstance(items, (list, tuple)):
                continue
            if kind == TEXT_KEY:
                outputs += [{**maker, "kind": "text", "text": text} for text in _texts(items)]
            outputs += [{**maker, "kind": kind, **file} for file in _files(kind, items)]
    return outputs


def _texts(items: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    items = [item for item in items if not _is_file(item)]
    # ComfyUI concatenates the outputs for each input into one list, which splits a bare string into characters.
    if len(items) > 1 and all(isinstance(item, str) and len(item) == 1 for item in items):
        yield "".join(items)
        return
    for item in items:
        if item is not None:
            yield item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)


def _files(kind: str, items: list[Any] | tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for item in items:
        if _is_file(item):
            format_ = {"format": item["format"]} if isinstance(item.get("format"), str) else {}
            yield _file(item["filename"], item.get("subfolder") or "", item.get("type") or "output", **format_)
        elif kind == RESULT_KEY and isinstance(item, str) and MODEL_3D.fullmatch(item):
            subfolder, _, filename = item.replace("\\", "/").strip("/").rpartition("/")
            yield _file(filename, subfolder, "output")


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("filename"), str)


def _file(filename: str, subfolder: str, kind: str, **more: str) -> dict[str, Any]:
    place = {"filename": filename, "subfolder": subfolder, "type": kind}
    return {**place, **more, "url": f"/view?{urlencode(place)}"}


class TextRoom:
    """The budget for the texts of one answer.

    Args:
        size: bytes of JSON; MAX_TEXTS by default.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = self.left = MAX_TEXTS if size is None else size

    @property
    def taken(self) -> int:
        """Bytes of JSON that the texts use."""
        return self._size - self.left

    def fit(self, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the same outputs with their texts limited to the budget.

        A text that is too long is cut, and `length` is its full length in characters. When the budget is used up,
        texts are left out, and the last included one has their number as `omitted`.
        """
        kept: list[dict[str, Any]] = []
        last: dict[str, Any] | None = None
        omitted = 0
        for output in outputs:
            if "text" not in output:
                kept.append(output)
            elif self.left < TEXT_OVERHEAD and last is not None:
                omitted += 1
            else:
                room = max(0, self.left - TEXT_OVERHEAD)
                last = {**output, **_cut(output["text"], room)}
                self.left = max(0, room - _size(last["text"]))
                kept.append(last)
        if omitted and last is not None:
            last["omitted"] = omitted
        return kept


def shortened(output: Any) -> Any:
    """Return a node's output for an event, with long texts cut; the answer of the run has the texts."""
    if not isinstance(output, dict):
        return output
    left = MAX_EVENT_TEXTS

    def cut(item: Any) -> Any:
        nonlocal left
        if not isinstance(item, str):
            return item
        kept = item[:left]
        left -= len(kept)
        return kept

    return {
        key: [cut(item) for item in items] if isinstance(items, (list, tuple)) else cut(items)
        for key, items in output.items()
    }


def _cut(text: str, room: int) -> dict[str, Any]:
    if len(text) <= room and _size(text) <= room:
        return {"text": text}
    # A character takes at most six bytes in JSON.
    return {"text": text[: room // 6], "length": len(text)}


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2


def failure_of(entry: dict[str, Any], prompt_id: str) -> UiapiError | None:
    """Return the error of an execution from ComfyUI's messages; None if it succeeded."""
    status = entry.get("status") or {}
    if status.get("status_str") != "error":
        return None
    messages = {name: data for name, data in status.get("messages", ())}
    if (data := messages.get("execution_interrupted")) is not None:
        return UiapiError(
            "execution_interrupted",
            "The run was interrupted; run it again if that was not intended.",
            {"prompt_id": prompt_id, "node": data.get("node_id"), "type": data.get("node_type")},
        )
    data = messages.get("execution_error", {})
    node_id, node_type = data.get("node_id"), data.get("node_type")
    title, _ = names_of(entry["prompt"][2].get(str(node_id)))
    # A bare assert has a newline as its message.
    message = str(data.get("exception_message") or "").strip() or "ComfyUI gave no reason"
    return UiapiError(
        "execution_failed",
        # A node's message may be long and end in any way; the details have all of it.
        f"{title or node_type or 'A node'} (#{node_id}) failed: {message.splitlines()[0].rstrip('. ')}.",
        {
            "prompt_id": prompt_id,
            "node": node_id,
            "type": node_type,
            "title": title,
            "message": message,
            "exception_type": data.get("exception_type"),
            "traceback": data.get("traceback"),
        },
    )


async def inline_files(comfy: Comfy, outputs: list[dict[str, Any]], texts: int) -> list[dict[str, Any]]:
    """Return the same outputs with `base64` instead of `url`; files are read on a thread. Raises UiapiError.

    Args:
        comfy: the running ComfyUI.
        outputs: files and texts.
        texts: bytes of the answer that the texts use.
    """
    return await asyncio.to_thread(_read_all, comfy, outputs, MAX_INLINE - texts)


def _read_all(comfy: Comfy, outputs: list[dict[str, Any]], left: int) -> list[dict[str, Any]]:
    inlined = []
    for file in outputs:
        if "filename" not in file:
            inlined.append(file)
            continue
        folder = comfy.directory_of(file["type"])
        path = folder and folder / file["subfolder"] / file["filename"]
        # Nodes choose the names of their output files, so a name is untrusted input.
        if path is None or not within(path, folder):  # type: ignore[arg-type]
            raise UiapiError("forbidden", f"{file['filename']} is outside ComfyUI's directories; fetch it another way.")
        try:
            left -= (path.stat().st_size + 2) // 3 * 4
            if left < 0:
                raise UiapiError("too_large", 'The files are too large to send as base64; ask with outputs: "urls".')
            content = path.read_bytes()
        except OSError as error:
            raise UiapiError("storage_failed", f"{file['filename']} could not be read: {error.strerror}.") from error
        described = {key: value for key, value in file.items() if key != "url"}
        inlined.append({**described, "base64": base64.b64encode(content).decode()})
    return inlined
