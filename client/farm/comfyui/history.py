"""Reads the outputs and the failure of a prompt from an entry of ComfyUI's history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

# The key under which nodes put texts.
TEXT = "text"
# The key under which nodes put the path of a 3D model, and the suffixes of those.
RESULT = "result"
MODELS_3D = (".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply", ".splat", ".spz", ".ksplat", ".usdz")


def outputs_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the files and texts of a history entry, in the form in which the server's `run` returns them."""
    prompt = _prompt(entry)
    found: list[dict[str, Any]] = []
    for node_id, output in (entry.get("outputs") or {}).items():
        node = prompt.get(node_id) or {}
        maker = {"node_id": node_id, "title": _title(node), "node_type": node.get("class_type")}
        for kind, items in output.items() if isinstance(output, Mapping) else ():
            if isinstance(items, (list, tuple)):
                found += [{**maker, "kind": kind, **file} for file in _files(kind, items)]
                if kind == TEXT:
                    found += [{**maker, "kind": TEXT, "text": text} for text in _texts(items)]
    return found


def error_of(entry: Mapping[str, Any], prompt_id: str) -> dict[str, Any] | None:
    """Returns the error of a history entry as {code, message, details}; None if the prompt succeeded."""
    status = entry.get("status") or {}
    if status.get("status_str") != "error":
        return None
    messages = {name: data for name, data in status.get("messages") or ()}
    if "execution_interrupted" in messages:
        message = "The run was interrupted in ComfyUI; run it again if that was not intended."
        return {"code": "execution_interrupted", "message": message, "details": {"prompt_id": prompt_id}}
    data = messages.get("execution_error") or {}
    node_id, node_type = str(data.get("node_id")), data.get("node_type")
    reason = str(data.get("exception_message") or "").strip() or "ComfyUI gave no reason"
    name = _title(_prompt(entry).get(node_id) or {}) or node_type or "A node"
    message = f"{name} (#{node_id}) failed: {reason.splitlines()[0].rstrip('. ')}."
    details = {"prompt_id": prompt_id, "node": node_id, "type": node_type, "message": reason}
    return {"code": "execution_failed", "message": message, "details": {**details, "traceback": data.get("traceback")}}


def refusal_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the error of a prompt that ComfyUI did not queue, from its answer."""
    reasons = [
        f"#{node_id} ({entry.get('class_type')}): {': '.join(filter(None, (one.get('message'), one.get('details'))))}"
        for node_id, entry in node_errors(answer).items()
        for one in entry.get("errors") or ()
    ]
    error = answer.get("error")
    general = str((error.get("message") if isinstance(error, Mapping) else error) or "ComfyUI gave no reason")
    message = f"ComfyUI would not run this: {'; '.join(reasons) or general}"
    details = {"node_errors": node_errors(answer)}
    return {"code": "execution_failed", "message": f"{message.rstrip('. ')}.", "details": details}


def may_run_elsewhere(answer: Mapping[str, Any]) -> bool:
    """Returns whether another ComfyUI may run a prompt that this one refused: only lists differ between machines."""
    kinds = {one.get("type") for entry in node_errors(answer).values() for one in entry.get("errors") or ()}
    error = answer.get("error")
    if not kinds and isinstance(error, Mapping):
        # Older versions say that a node type is missing with the first, newer ones with the second.
        return error.get("type") in ("invalid_prompt", "missing_node_type")
    return bool(kinds) and kinds <= {"value_not_in_list", "custom_validation_failed"}


def node_errors(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the errors of single nodes in ComfyUI's answer."""
    errors = answer.get("node_errors")
    return errors if isinstance(errors, dict) else {}


def _prompt(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    queued = entry.get("prompt")
    return queued[2] if isinstance(queued, Sequence) and len(queued) > 2 else {}


def _title(node: Mapping[str, Any]) -> str | None:
    meta = node.get("_meta")
    return meta.get("title") if isinstance(meta, Mapping) else None


def _files(kind: str, items: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for item in items:
        if _is_file(item):
            more = {"format": item["format"]} if isinstance(item.get("format"), str) else {}
            yield {**_file(item["filename"], item.get("subfolder") or "", item.get("type") or "output"), **more}
        elif kind == RESULT and isinstance(item, str) and item.lower().endswith(MODELS_3D):
            subfolder, _, filename = item.replace("\\", "/").strip("/").rpartition("/")
            yield _file(filename, subfolder, "output")


def _is_file(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("filename"), str)


def _file(filename: str, subfolder: str, kind: str) -> dict[str, Any]:
    place = {"filename": filename, "subfolder": subfolder, "type": kind}
    return {**place, "url": f"/view?{urlencode(place)}"}


def _texts(items: Sequence[Any]) -> Iterator[str]:
    texts = [item for item in items if item is not None and not _is_file(item)]
    # ComfyUI joins the outputs for several inputs into one list, which splits a bare text into characters.
    if len(texts) > 1 and all(isinstance(item, str) and len(item) == 1 for item in texts):
        texts = ["".join(texts)]
    for item in texts:
        yield item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, default=str)
