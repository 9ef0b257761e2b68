"""Scripted stand-ins for the searches of Hugging Face and CivitAI, over catalogues that a test fills."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from comfyui_uiapi.tests.harness.models.model_host import Answer, Host, Seen, sha256
from comfyui_uiapi.tests.harness.models.model_sites import COMMIT


@dataclass(frozen=True)
class File:
    """A file of a catalogue, without its bytes."""

    sha256: str
    size: int = 1000


@dataclass
class Hub:
    """Hugging Face: the list of repositories, each repository, and the files that have bytes.

    As the hub does, it searches the names of repositories only, and lists the files of those it finds.
    """

    host: Host
    repos: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.list = _dynamic(self.host, "/api/models", self._found)

    def repo(self, name: str, files: Mapping[str, bytes | File], **about: Any) -> Answer:
        """Add a repository; `about` are further keys of its record. Returns the answer with its digests."""
        licence = about.pop("licence", "apache-2.0")
        record = {"id": name, "downloads": 10, "gated": False, "lastModified": "2025-03-04T05:06:07.000Z"}
        record |= {"tags": [f"license:{licence}"], **about}
        siblings = []
        for path, file in files.items():
            digest, size = (file.sha256, file.size) if isinstance(file, File) else (sha256(file), len(file))
            siblings.append({"rfilename": path, "size": size, "lfs": {"sha256": digest, "size": size}})
            if isinstance(file, bytes):
                for revision in ("main", COMMIT):
                    headers = {"X-Repo-Commit": COMMIT}
                    self.host.offer(f"/{name}/resolve/{revision}/{path}", file, etag=f'"{digest}"', headers=headers)
        names = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
        self.repos[name] = {**record, "siblings": names}
        return _offer(self.host, f"/api/models/{name}", {**record, "siblings": siblings})

    def _found(self, query: dict[str, str]) -> Any:
        words, author = query.get("search", "").lower(), query.get("author", "").lower()
        found = [
            record
            for name, record in self.repos.items()
            if words in name.lower() and author in ("", name.lower().partition("/")[0])
        ]
        return sorted(found, key=lambda record: -record["downloads"])[: int(query["limit"])]


@dataclass
class Civitai:
    """CivitAI: the search for models by words, the file with a hash, and the versions of models."""

    host: Host
    models: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.list = _dynamic(self.host, "/api/v1/models", self._found)

    def model(self, name: str, kind: str, files: Mapping[str, bytes | File], **about: Any) -> int:
        """Add a model with one version; `about` are further keys of the version. Returns the version's id."""
        number = len(self.models) + 1000
        listed: list[dict[str, Any]] = []
        for own, file in files.items():
            digest, size = (file.sha256, file.size) if isinstance(file, File) else (sha256(file), len(file))
            hashes = {"SHA256": digest.upper(), "AutoV2": digest[:10].upper()}
            listed.append({"id": number, "name": own, "type": "Model", "sizeKB": size / 1024, "hashes": hashes})
            listed[-1] |= {"pickleScanResult": "Success"}
            listed[-1]["downloadUrl"] = f"https://civitai.com/api/download/models/{number}"
            if isinstance(file, bytes):
                self.host.offer(f"/api/download/models/{number}", file)
        version = {"id": number, "name": "v1", "baseModel": "SD 1.5", "availability": "Public", "files": listed}
        version |= {"publishedAt": "2024-01-02T03:04:05.000Z", "stats": {"downloadCount": 7}, **about}
        head = {"id": number, "name": name, "type": kind, "allowCommercialUse": ["Image"]}
        self.models.append({**head, "modelVersions": [version]})
        _offer(self.host, f"/api/v1/model-versions/{number}", version)
        for one in listed:
            for digest in one["hashes"].values():
                record = {**version, "model": {"name": name, "type": kind}}
                _offer(self.host, f"/api/v1/model-versions/by-hash/{digest.lower()}", record)
        return number

    def _found(self, query: dict[str, str]) -> Any:
        """The models that have most of the words, as a full-text search: the first words must be in their names."""
        words = query["query"].lower().split()
        for most in range(len(words), 0, -1):
            found = [model for model in self.models if all(word in model["name"].lower() for word in words[:most])]
            if found:
                break
        limit = int(query["limit"])
        return {"items": found[:limit], "metadata": {"nextCursor": "1", "nextPage": self.host.url("/endless")}}


def _dynamic(host: Host, path: str, found: Callable[[dict[str, str]], Any]) -> Answer:
    """Offer an answer that is made of the query of each request, unless a test replaced its data."""
    answer = host.offer(path, content_type="application/json")

    def make(seen: Seen) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(unquote(seen.path)).query).items()}
        answer.data = json.dumps(found(query)).encode()

    answer.on_request = make
    return answer


def _offer(host: Host, path: str, data: Any) -> Answer:
    return host.offer(path, json.dumps(data).encode(), content_type="application/json")
