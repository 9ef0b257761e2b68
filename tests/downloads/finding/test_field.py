"""What public workflows and the official templates need: a right URL for every model whose URL is known offline.

`field_models.csv` lists models that public workflows need, as their widgets name them, the directory as far as it is
known, and where a URL of the model can be found without a network, if anywhere.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from comfyui_uiapi.downloads.finding.candidate import Candidate
from comfyui_uiapi.downloads.finding.catalog import Catalog
from comfyui_uiapi.downloads.finding.known_models import TABLE
from comfyui_uiapi.downloads.finding.shortlist import base_name
from comfyui_uiapi.downloads.workflow.required_models import Need, Needs
from comfyui_uiapi.tests.downloads.conftest import FolderPaths
from comfyui_uiapi.tests.downloads.finding.conftest import MANAGER_LIST, Installed
from comfyui_uiapi.tests.harness.models.node_reader import Reader
from comfyui_uiapi.tests.tools import build
from comfyui_uiapi.tests.tools.generators import known_models

TEMPLATES = build.TEMPLATES / "templates"
OWN = "https://example.org/files"

Rows = list[tuple[str, str | None, str]]


def field() -> Rows:
    """(model, directory, origin) of every line."""
    with Path(__file__).with_name("field_models.csv").open(newline="", encoding="utf-8") as file:
        return [(row["model"], row["directory"] or None, row["origin"]) for row in csv.DictReader(file)]


@pytest.fixture
def lists(installed: Installed, folders: FolderPaths) -> None:
    """The real templates, and the real Manager's list as a custom node."""
    installed.templates = [("1", TEMPLATES)]
    node = Path(folders.folder_names_and_paths["custom_nodes"][0][0], "ComfyUI-Manager")
    node.mkdir(parents=True)
    (node / MANAGER_LIST.name).symlink_to(MANAGER_LIST)


def all_records() -> dict[tuple[str, str], set[str]]:
    """The URLs by (name, directory) in the records of all templates."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)

    def read(graph: dict[str, Any]) -> None:
        for node in graph.get("nodes") or []:
            for model in (node.get("properties") or {}).get("models") or []:
                found[model["name"], model["directory"]].add(model["url"].partition("?")[0])
        for inner in (graph.get("definitions") or {}).get("subgraphs") or []:
            read(inner)

    for path in TEMPLATES.glob("*.json"):
        data = json.loads(path.read_text("utf-8"))
        if isinstance(data, dict) and isinstance(data.get("nodes"), list):
            read(data)
    return found


def manager_urls() -> dict[str, set[str]]:
    """The URLs by name in the Manager's list."""
    found: dict[str, set[str]] = defaultdict(set)
    for model in json.loads(MANAGER_LIST.read_text("utf-8"))["models"]:
        found[model["filename"]].add(model["url"])
    return found


def link(name: str) -> str:
    return f"{OWN}/{quote(base_name(name))}"


def workflow_of(model: str, directory: str | None, origin: str) -> dict[str, Any]:
    """A workflow that needs a model, and says what the file says that it does."""
    entry = {"name": model, "directory": directory, "url": link(model) if origin == "workflow" else ""}
    node = {"id": 1, "type": "Loader", "widgets_values": [model], "properties": {"models": [entry]}}
    text = f"**{base_name(model)}**: [download]({link(model)}?download=true)" if origin == "note" else "A note"
    return {"nodes": [node, {"id": 2, "type": "MarkdownNote", "widgets_values": [text]}], "links": []}


async def found_for(finder: Catalog, rows: Rows, tmp_path: Path) -> list[list[Candidate]]:
    reader = Reader(tmp_path / "reader")
    found = []
    for row in rows:
        workflow = workflow_of(*row)
        [candidates] = await finder.of(workflow, Needs(reader.places, reader.inputs).read(workflow))
        found.append(candidates)
    return found


@pytest.mark.usefixtures("lists")
async def test_every_model_whose_url_is_known_offline_gets_a_right_one_and_no_other_gets_any(
    finder: Catalog, tmp_path: Path
) -> None:
    rows = field()
    of_templates, of_manager = all_records(), manager_urls()
    named = 0
    for (model, directory, origin), candidates in zip(rows, await found_for(finder, rows, tmp_path), strict=True):
        if not origin:
            assert candidates == [], model
            continue
        named += 1
        first, name = candidates[0], base_name(model)
        assert (first.name, first.directory or directory) == (name, directory or first.directory), model
        if origin == "templates":
            assert first.directory is not None
            assert first.url in of_templates[name, first.directory], model
        elif origin == "model-list":
            assert first.url in of_manager[name], model
        else:
            assert (first.url.partition("?")[0], first.origin) == (link(model), origin), model
    assert (named, len(rows)) == (142, 329)


@pytest.mark.usefixtures("installed")
async def test_the_shipped_table_has_a_url_for_all_of_them_where_no_list_is_installed(
    finder: Catalog, tmp_path: Path
) -> None:
    rows = [row for row in field() if row[2] in ("templates", "model-list")]
    of_templates, of_manager = all_records(), manager_urls()
    for (model, directory, _), candidates in zip(rows, await found_for(finder, rows, tmp_path), strict=True):
        first, name = candidates[0], base_name(model)
        assert first.origin == "known" and directory in (None, first.directory), model
        assert first.url in of_templates.get((name, first.directory or ""), set()) | of_manager[name], model


@pytest.mark.usefixtures("lists")
async def test_every_model_of_the_official_templates_is_found_without_its_record(finder: Catalog) -> None:
    await finder.warm()
    records = all_records()
    for (name, directory), urls in records.items():
        candidates = finder.candidates(Need(name, directory), {})
        assert candidates[0].url in urls and candidates[0].directory == directory, name
        assert candidates[0].origin == "templates"
    assert len(records) == 354


def test_the_shipped_table_is_what_the_pinned_packages_say() -> None:
    assert TABLE.read_text("utf-8") == known_models.made(), "run python3 dev.py known-models"
