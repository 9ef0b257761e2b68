"""Models as they are published: workflows that name them, and a scripted host as Hugging Face and CivitAI."""

from __future__ import annotations

import json
from typing import Any

from comfyui_uiapi.tests.harness.models.model_host import Host, sha256

COMMIT = "a" * 40


def workflow(*needs: tuple[str, str, str | None], **more: Any) -> dict[str, Any]:
    """Return a workflow whose nodes name their models as (name, directory, URL)."""
    nodes = [
        {
            "id": number,
            "type": "Loader",
            "mode": 0,
            "widgets_values": [name],
            "properties": {"models": [{"name": name, "directory": folder, "url": url or ""} | more]},
        }
        for number, (name, folder, url) in enumerate(needs, 1)
    ]
    return {"nodes": nodes, "links": []}


def hub_file(host: Host, cdn: Host, path: str, data: bytes) -> None:
    """Offer a large file as Hugging Face does: headers at its own URL, the bytes on another host."""
    linked = {
        "X-Repo-Commit": COMMIT,
        "X-Linked-Etag": f'"{sha256(data)}"',
        "X-Linked-Size": str(len(data)),
        "Location": cdn.url(f"/cdn/{sha256(data)}?X-Amz-Signature=secret"),
    }
    for revision in ("main", COMMIT):
        host.offer(f"/org/repo/resolve/{revision}/{path}", status=302, headers=linked)
    cdn.offer(f"/cdn/{sha256(data)}", data)


def civitai_file(name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """Return a file of a version, as CivitAI's API describes it."""
    return {
        "id": more.pop("id", 1),
        "name": name,
        "type": "Model",
        "sizeKB": len(data) / 1024,
        "primary": more.pop("primary", False),
        "metadata": {"format": more.pop("format", "SafeTensor"), "size": more.pop("size", "full"), "fp": "fp16"},
        "pickleScanResult": more.pop("scan", "Success"),
        "hashes": {"SHA256": sha256(data).upper()},
        "downloadUrl": "https://civitai.com/api/download/models/34" + more.pop("query", ""),
        **more,
    }


def civitai_version(host: Host, files: list[dict[str, Any]], **more: Any) -> None:
    """Offer version 34 of model 12 with these files."""
    version = {"id": 34, "modelId": 12, "availability": "Public", "files": files, **more}
    body = json.dumps(version).encode()
    host.offer("/api/v1/model-versions/34", body, content_type="application/json")
    model = json.dumps({"id": 12, "modelVersions": [version]}).encode()
    host.offer("/api/v1/models/12", model, content_type="application/json")
