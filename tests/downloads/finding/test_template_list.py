"""The list of workflow templates, from the official packages and from node packs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.finding.template_list import Template, matching, named, templates_in, workflow_of

INDEX: list[dict[str, Any]] = [
    {
        "moduleName": "default",
        "title": "Image",
        "templates": [
            {
                "name": "flux_inpaint",
                "title": "Flux: Inpaint",
                "tags": ["Mask"],
                "models": ["Flux"],
                "openSource": True,
            },
            {"name": "upscale", "title": "Upscale", "description": "Larger pictures with flux.", "mediaType": "image"},
            {"name": "clip_2", "title": "A clip"},
            {"name": "clip_3", "title": "A clip"},
            {"name": "not_installed", "title": "Elsewhere"},
            {"title": "Without a name"},
            "damaged",
        ],
    },
    "damaged",  # type: ignore[list-item]
]


OFFICIAL = ["flux_inpaint", "upscale", "clip_2", "clip_3"]


@pytest.fixture
def templates(tmp_path: Path) -> list[Template]:
    official, other, packs = tmp_path / "official", tmp_path / "other", tmp_path / "custom_nodes"
    for folder in (official, other, packs / "Pack A" / "example_workflows", packs / "Pack B" / "workflows"):
        folder.mkdir(parents=True)
    (official / "index.json").write_text(json.dumps(INDEX))
    for name in OFFICIAL[1:]:
        (official / f"{name}.json").write_text('{"nodes": []}')
    # A later version has the workflows in another package.
    (other / "flux_inpaint.json").write_text("damaged")
    (other / "index.json").write_text("damaged")
    (packs / ".disabled" / "examples").mkdir(parents=True)
    (packs / ".disabled" / "examples" / "Off.json").write_text("{}")
    (packs / "Pack B" / "examples").mkdir()
    for pack, where in (("Pack A", "example_workflows"), ("Pack B", "examples"), ("Pack B", "workflows")):
        (packs / pack / where / "Same name.json").write_text("{}")
    (packs / "a file").write_text("")
    return templates_in([official, other], [packs, tmp_path / "none"])


def names(found: list[Template]) -> list[str]:
    return [template.name for template in found]


def test_official_templates_come_first_and_only_those_that_are_installed(templates: list[Template]) -> None:
    assert names(templates) == [*OFFICIAL, *["Same name"] * 3]
    assert [template.pack for template in templates] == [*[None] * 4, "Pack A", "Pack B", "Pack B"]
    assert templates[0].brief()["open_source"] is True
    assert templates[1].brief()["category"] == "Image"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [*OFFICIAL, *["Same name"] * 3]),
        ("FLUX", ["flux_inpaint", "upscale"]),
        ("mask flux", ["flux_inpaint"]),
        ("pack b", ["Same name"] * 2),
        ("larger", ["upscale"]),
        ("nothing", []),
    ],
)
def test_all_words_have_to_match(templates: list[Template], query: str, found: list[str]) -> None:
    assert names(matching(templates, query)) == found


def test_a_template_is_found_by_name_or_title_and_pack(templates: list[Template]) -> None:
    assert named(templates, "Flux: Inpaint", None).name == "flux_inpaint"
    assert named(templates, "UPSCALE.json", None).name == "upscale"
    assert named(templates, "same name", "pack b").path.parent.name == "examples"
    assert named(templates, "clip_3", None).name == "clip_3"


@pytest.mark.parametrize(
    ("name", "pack", "code", "words"),
    [
        ("Same name", None, "invalid", "Pack A, Pack B."),
        ("A clip", None, "invalid", "clip_2, clip_3."),
        ("upscale", "Pack A", "unknown_template", "list_templates"),
        ("inpaint", None, "unknown_template", "flux_inpaint"),
        ("../../secret", None, "unknown_template", "list_templates"),
    ],
)
def test_another_name_is_refused(templates: list[Template], name: str, pack: str | None, code: str, words: str) -> None:
    with pytest.raises(UiapiError) as refused:
        named(templates, name, pack)
    assert refused.value.code == code
    assert words in refused.value.message


def test_a_damaged_template_is_an_error_in_one_sentence(templates: list[Template]) -> None:
    with pytest.raises(UiapiError) as refused:
        workflow_of(templates[0])
    assert refused.value.code == "invalid"
    assert workflow_of(templates[1]) == {"nodes": []}
