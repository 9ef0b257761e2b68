"""The documentation matches the code: its tables are complete, its names exist, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from comfyui_uiapi import server  # noqa: F401 - importing declares every command
from comfyui_uiapi.bridge.protocol.command_spec import COMMANDS
from comfyui_uiapi.bridge.protocol.subscriptions import EVENTS
from comfyui_uiapi.client.cli.terminal import EXIT_CODES
from comfyui_uiapi.common.errors import STATUS
from comfyui_uiapi.model_defs import KEPT_AS
from comfyui_uiapi.tests.harness.documents import DOCS, PAGES, PROJECT_PAGES, README, Page
from comfyui_uiapi.tests.tools import build
from PIL import Image

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
every_project_page = pytest.mark.parametrize("page", [*PAGES, *PROJECT_PAGES], ids=lambda page: page.name)
# What runs at a commit, at a push and at a release.
CI = [build.ROOT / ".pre-commit-config.yaml", *sorted((build.ROOT / ".github" / "workflows").glob("*.yml"))]
# The README is a start page; longer texts have their own page.
MOST_LINES = 200


def test_every_error_is_explained_and_no_other() -> None:
    assert DOCS["errors"].first_column("Codes of the server") == set(STATUS)


def test_every_exit_code_is_explained_and_no_other() -> None:
    listed = re.findall(r"^\| (\d+) \|", DOCS["errors"].text, re.MULTILINE)
    assert {int(code) for code in listed} == {0, 2, *EXIT_CODES}


def test_every_event_is_listed_and_no_other() -> None:
    assert DOCS["events"].first_column() == EVENTS


def test_every_older_spelling_is_in_the_glossary_and_no_other() -> None:
    spellings = DOCS["glossary"].text.partition("## Spellings")[2]
    rows = re.findall(r"^\| (?:`\w+` )?\| `(\w+)` \| (.*) \|$", spellings, re.MULTILINE)
    listed = {(command, old) for old, commands in rows for command in re.findall(r"`(\w+)`", commands)}
    assert listed == {(name, old) for name, command in COMMANDS.items() for old in command.request.older}
    assert {old for old, where in rows if where == "model definitions"} == set(KEPT_AS.values())


@every_page
def test_every_command_that_is_named_is_one(page: Page) -> None:
    verbs = "get|set|send|list|new|open|switch|rename|save|close|download|model|add|remove|plan|clear|relink|late|take"
    named = set(re.findall(rf"`((?:{verbs})_[a-z_]+)`", page.text))
    fields = {name for command in COMMANDS.values() for name in command.request.model_fields}
    older = {old for command in COMMANDS.values() for old in command.request.older}
    others = {*STATUS, "download_failed", *DOCS["events"].first_column()}
    assert named - fields - older - others <= set(COMMANDS)


@every_project_page
def test_every_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    for link in page.links:
        target, _, anchor = link.partition("#")
        if "://" not in target:
            path = (page.path.parent / target).resolve() if target else page.path
            assert path.is_file(), link
            assert not anchor or anchor in Page(path).anchors, link


@every_project_page
def test_every_file_that_is_named_is_there(page: Page) -> None:
    folder = ""
    prose = re.sub(r"^```.*?^```$", "", page.text, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`(\w[\w./-]*\.(?:py|js|mjs|sh|json|toml|md))`", prose):
        # A name without a folder is in the folder of the name before it.
        path = Path(name) if "/" in name or not folder else Path(folder) / name
        known = [build.ROOT / path, build.ROOT / name, build.ROOT / "client/examples" / name]
        assert any(one.is_file() for one in known), name
        folder = str(path.parent)


@pytest.mark.parametrize(
    "path", [*(page.path for page in [*PAGES, *PROJECT_PAGES]), *CI], ids=lambda path: path.relative_to(build.ROOT).name
)
def test_every_command_of_dev_py_that_is_named_is_one_and_its_tests_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    known = set(re.findall(r'add\(\s*"([a-z-]+)"', (build.ROOT / "dev.py").read_text("utf-8")))
    assert set(re.findall(r"python3 dev\.py ([a-z][a-z-]*)", text)) <= known
    for name in re.findall(r"dev\.py [a-z-]+ (tests/\S+)", text):
        assert (build.ROOT / name).exists(), name


@every_page
def test_there_is_no_block_of_another_kind(page: Page) -> None:
    assert {kind for kind, _ in page.blocks} <= {"sh", "python"}


@every_page
def test_a_snippet_that_needs_an_extra_says_which(page: Page) -> None:
    code = "\n".join(text for kind, text in page.blocks if kind == "python")
    if re.search(r"^import numpy|\.numpy\(\)|\.pil\(\)", code, re.MULTILINE):
        assert "comfyui-uiapi[images]" in page.text


def test_every_page_can_be_found_from_the_readme() -> None:
    assert {page.path.relative_to(build.ROOT).as_posix() for page in DOCS.values()} <= {
        link.partition("#")[0] for link in README.links
    }


def test_the_readme_is_a_start_page() -> None:
    assert len(README.text.splitlines()) <= MOST_LINES
    # Replaced in one place once the URL is known.
    assert sum(text.count("<repository>") for page in PAGES for _, text in page.blocks) == 1


def test_the_readme_begins_with_a_moving_picture_of_a_bearable_size() -> None:
    path = README.path.parent / README.links[0]
    assert path.stat().st_size < 2_000_000
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) > 10
