"""Reads which files the official templates use, from the packages of templates that are installed with ComfyUI.

Up to a version, one package contains all templates; later it requires others, one of which contains the workflows.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..common.parsing import is_sha256
from .addresses import file_url
from .candidate import Candidate

log = logging.getLogger("uiapi")

_PACKAGE = "comfyui-workflow-templates"
# Packages that are asked for even if the first one, whose requirements name the others, is not installed.
_PARTS = ("core", "json", "media-api", "media-image", "media-other", "media-video")
# The name of an installed package, at the start of a requirement.
_REQUIRED = re.compile(r"comfyui[-_.]workflow[-_.]templates(?:[-_.][A-Za-z0-9]+)*", re.IGNORECASE)
# The key of a node's record of its models. In a text, the quotes would follow a backslash.
_RECORD = re.compile(rb'"models"\s*:\s*(?=\[)')
_DECODER = json.JSONDecoder()
# Bytes of a usual record, and of the largest file that is read.
_USUAL = 4096
_MOST_BYTES = 16_000_000
# The number of templates that a reason names.
_NAMED = 2


def template_folders() -> list[tuple[str, Path]]:
    """The folders of installed templates, each with what changes when its package does."""
    folders = []
    for package in _packages():
        module = package.lower().replace("-", "_").replace(".", "_")
        try:
            found = find_spec(module)
            version = importlib.metadata.version(package)
        except (ImportError, ValueError, importlib.metadata.PackageNotFoundError):
            continue
        for place in (found.submodule_search_locations or []) if found is not None else []:
            folder = Path(place, "templates")
            if folder.is_dir():
                folders.append((version, folder))
    return folders


def read_templates(folder: Path) -> list[Candidate]:
    """The files that the templates in a folder use, the most used first. Blocks on the disk."""
    users: dict[tuple[str, str, str | None], list[str]] = {}
    digests: dict[tuple[str, str, str | None], str] = {}
    # One buffer for all files, which are tens of megabytes together.
    buffer = bytearray(1 << 20)
    for path in sorted(folder.glob("*.json")):
        # The lists of templates, one for each language.
        if path.name.startswith("index."):
            continue
        for record in _records(path, buffer):
            url = file_url(record["url"])
            if url is None:
                continue
            directory = record.get("directory")
            key = (record["name"], str(url), directory if isinstance(directory, str) and directory else None)
            named = users.setdefault(key, [])
            if path.stem not in named:
                named.append(path.stem)
            kind, digest = str(record.get("hash_type")), record.get("hash")
            if kind.lower().replace("-", "") == "sha256" and is_sha256(digest):
                digests[key] = str(digest).lower()
    ordered = sorted(users.items(), key=lambda item: -len(item[1]))
    return [
        Candidate(name, url, "templates", _why(named), directory=directory, sha256=digests.get((name, url, directory)))
        for (name, url, directory), named in ordered
    ]


def _packages() -> list[str]:
    named = [_PACKAGE, *(f"{_PACKAGE}-{part}" for part in _PARTS)]
    try:
        required = importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    named += [match[0].lower().replace("_", "-") for text in required if (match := _REQUIRED.match(text))]
    return [*dict.fromkeys(named)]


def _records(path: Path, buffer: bytearray) -> Iterator[dict[str, Any]]:
    """The entries of all of a template's records of models.

    Only these are parsed, which is several times as fast as to parse whole files.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                return
            buffer.extend(bytes(max(0, size - len(buffer))))
            size = file.readinto(buffer) or 0
        for match in _RECORD.finditer(buffer, 0, size):
            for entry in _entries(buffer, match.end(), size):
                if isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("url"), str):
                    yield entry
    except (OSError, ValueError, RecursionError) as error:
        log.info("The template %s cannot be read: %s", path.name, error)


def _entries(buffer: bytearray, start: int, end: int) -> list[Any]:
    """The JSON list at a position. ValueError for invalid JSON."""
    view = memoryview(buffer)
    try:
        # A letter may be cut in two at the end, behind the list.
        entries, _ = _DECODER.raw_decode(str(view[start : min(end, start + _USUAL)], "utf-8", "replace"))
    except ValueError:
        entries, _ = _DECODER.raw_decode(str(view[start:end], "utf-8"))
    found: list[Any] = entries
    return found


def _why(templates: list[str]) -> str:
    if len(templates) == 1:
        return f"The official template {templates[0]} uses this file."
    others = len(templates) - _NAMED
    named = ", ".join(templates[:_NAMED])
    return f"The official templates {named}{f' and {others} more' if others > 0 else ''} use this file."
