"""A catalogue over the real lists: the official templates and ComfyUI-Manager's, as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.finding import catalog
from comfyui_uiapi.downloads.finding.catalog import Catalog
from comfyui_uiapi.tests.downloads.conftest import FolderPaths
from comfyui_uiapi.tests.tools import build

MANAGER_LIST = build.MANAGER / "comfyui_manager" / "model-list.json"


class Installed:
    """What is installed besides ComfyUI; a test changes it as installing and removing packages does."""

    def __init__(self) -> None:
        self.templates: list[tuple[str, Path]] = []

    def with_templates(self, folder: Path, *workflows: dict[str, Any], version: str = "1") -> None:
        """Install a package of templates that consists of these workflows."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, workflow in enumerate(workflows):
            (folder / f"template_{number}.json").write_text(json.dumps(workflow), encoding="utf-8")
        self.templates = [(version, folder)]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """No package of templates, until a test installs one."""
    installed = Installed()
    monkeypatch.setattr(catalog, "template_folders", lambda: installed.templates)
    return installed


@pytest.fixture
def folders(tmp_path: Path) -> FolderPaths:
    """ComfyUI's folders, without custom nodes."""
    return FolderPaths(tmp_path)


@pytest.fixture
def finder(installed: Installed, folders: FolderPaths) -> Catalog:
    """The catalogue of this ComfyUI."""
    return Catalog(folders)


def of_models(*models: dict[str, Any]) -> dict[str, Any]:
    """A workflow with a record of models inside a subgraph, as most templates have them."""
    node = {"id": 1, "type": "Loader", "properties": {"models": [*models]}}
    return {"nodes": [], "links": [], "definitions": {"subgraphs": [{"id": "a", "nodes": [node]}]}}


def record(name: str, directory: str, url: str, **more: Any) -> dict[str, Any]:
    """An entry of a node's record of models."""
    return {"name": name, "directory": directory, "url": url, **more}
