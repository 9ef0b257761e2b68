"""What an execution made: its files as ComfyUI's history lists them, or why it failed, in one sentence."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

from .comfy import Comfy, names_of, within
from .connection import MAX_FRAME
from .errors import UiapiError

# Characters of base64 in one answer, which is to fit one frame with a megabyte for the rest of it; larger results are
# fetched by their urls.
MAX_INLINE = MAX_FRAME - 2**20


def output_files(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a history entry, in the order of its nodes.

    Each has node_id, title, node_type, kind ("images", "audio", …), filename, subfolder, type ("output",
    "temp") and url, the path that ComfyUI serves it under.
    """
    prompt = entry["prompt"][2]
    files = []
    for node_id, output in entry.get("outputs", {}).items():
        title, node_type = names_of(prompt.get(node_id))
        for kind, items in output.items():
            for item in items if isinstance(items, (list, tuple)) else ():
                if isinstance(item, dict) and isinstance(item.get("filename"), str):
                    place = {
                        "filename": item["filename"],
                        "subfolder": item.get("subfolder") or "",
                        "type": item.get("type") or "output",
                    }
                    files.append(
                        {
                            "node_id": node_id,
                            "title": title,
                            "node_type": node_type,
                            "kind": kind,
                            **place,
                            "url": f"/view?{urlencode(place)}",
                        }
                    )
    return files


def failure_of(entry: dict[str, Any], prompt_id: str) -> UiapiError | None:
    """Why the execution did not succeed, from ComfyUI's own messages; None if it did."""
    status = entry.get("status") or {}
    if status.get("status_str") != "error":
        return None
    messages = {name: data for name, data in status.get("messages", ())}
    if (data := messages.get("execution_interrupted")) is not None:
        return UiapiError(
            "execution_interrupted",
            "The run was interrupted; run it again if that was not meant.",
            {"prompt_id": prompt_id, "node": data.get("node_id"), "type": data.get("node_type")},
        )
    data = messages.get("execution_error", {})
    node_id, node_type = data.get("node_id"), data.get("node_type")
    title, _ = names_of(entry["prompt"][2].get(str(node_id)))
    # A bare assert has no message but an end of line.
    message = str(data.get("exception_message") or "").strip() or "ComfyUI gave no reason"
    return UiapiError(
        "execution_failed",
        # A node's own words may be a page long and end as they like; details have them whole.
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


async def inline_files(comfy: Comfy, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same files with `base64` in place of `url`; read off the loop. UiapiError when one cannot be had."""
    return await asyncio.to_thread(_read_all, comfy, files)


def _read_all(comfy: Comfy, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left = MAX_INLINE
    inlined = []
    for file in files:
        folder = comfy.directory_of(file["type"])
        path = folder and folder / file["subfolder"] / file["filename"]
        # A node names its output files itself, so a name is no better than any other input.
        if path is None or not within(path, folder):  # type: ignore[arg-type]
            raise UiapiError("forbidden", f"{file['filename']} lies outside ComfyUI's folders; fetch it another way.")
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
