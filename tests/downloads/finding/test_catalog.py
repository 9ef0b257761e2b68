"""Where a missing model can be downloaded from, as the workflow and lists on this computer say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.finding import catalog, templates
from comfyui_uiapi.downloads.finding.candidate import Candidate
from comfyui_uiapi.downloads.finding.catalog import Catalog
from comfyui_uiapi.downloads.finding.note_links import NoteLink
from comfyui_uiapi.downloads.finding.shortlist import only_one
from comfyui_uiapi.downloads.workflow.required_models import Need
from comfyui_uiapi.tests.downloads.conftest import FolderPaths
from comfyui_uiapi.tests.downloads.finding.conftest import Installed, of_models, record

HUB = "https://huggingface.co"
ONE = f"{HUB}/maker/repo/resolve/main/one.safetensors"
OTHER = f"{HUB}/other/repo/resolve/main/one.safetensors"


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped table, which is empty until a test writes it."""
    path = tmp_path / "known.json"
    path.write_text("[]", encoding="utf-8")
    monkeypatch.setattr(catalog, "TABLE", path)
    return path


def put_manager_list(folders: FolderPaths, *models: dict[str, Any]) -> Path:
    """Install ComfyUI-Manager as a custom node with this list."""
    path = Path(folders.folder_names_and_paths["custom_nodes"][0][0], "ComfyUI-Manager", "model-list.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"models": [*models]}), encoding="utf-8")
    return path


def put_known(table: Path, *rows: list[Any]) -> None:
    table.write_text(json.dumps(rows), encoding="utf-8")


def listed(name: str, save_path: str, url: str, kind: str = "lora", **more: Any) -> dict[str, Any]:
    return {"name": "One", "type": kind, "save_path": save_path, "filename": name, "url": url, "size": "1.5GB"} | more


async def found(finder: Catalog, need: Need, notes: dict[str, list[NoteLink]] | None = None) -> list[Candidate]:
    await finder.warm()
    return finder.candidates(need, notes or {})


def origins(candidates: list[Candidate]) -> list[tuple[str, str]]:
    return [(one.origin, one.url) for one in candidates]


async def test_each_origin_that_knows_the_file_is_named_in_the_order_in_which_they_count(
    finder: Catalog, installed: Installed, folders: FolderPaths, tmp_path: Path, table: Path
) -> None:
    urls = [f"{HUB}/maker/{number}/resolve/main/one.safetensors" for number in range(5)]
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", urls[2])))
    put_manager_list(folders, listed("one.safetensors", "loras/SDXL", urls[3], base="SDXL"))
    put_known(table, ["one.safetensors", "vae", urls[4], 5, "b" * 64])
    need = Need("sub\\one.safetensors", "loras", [urls[0]], "a" * 64)
    candidates = await found(finder, need, {"one.safetensors": [NoteLink(urls[1], "7")]})
    assert origins(candidates) == [
        *zip(("workflow", "note", "templates", "manager", "known"), urls, strict=True),
    ]
    assert [one.directory for one in candidates] == ["loras", None, "loras", "loras", "vae"]
    assert [one.size for one in candidates] == [None, None, None, 1_500_000_000, 5]
    assert [one.sha256 for one in candidates] == ["a" * 64, None, None, None, "b" * 64]
    assert candidates[3].base_model == "SDXL"
    assert [one.why for one in candidates] == [
        "The workflow names this URL for the model.",
        "The note #7 in the workflow links to a file of this name.",
        "The official template template_0 uses this file.",
        "ComfyUI-Manager lists it as 'One' for SDXL.",
        "It is in the table of well-known files that ships with this extension, but for vae instead of loras.",
    ]


async def test_only_a_file_of_exactly_that_name_is_a_candidate(
    finder: Catalog, installed: Installed, tmp_path: Path
) -> None:
    names = ("one.safetensors", "One.safetensors", "one-v2.safetensors", "one.safetensors.safetensors", "one.ckpt")
    models = [record(name, "loras", f"{HUB}/a/b/resolve/main/{name}") for name in names]
    installed.with_templates(tmp_path / "t", of_models(*models))
    assert [one.name for one in await found(finder, Need("a/one.safetensors", "loras"))] == ["one.safetensors"]
    assert await found(finder, Need("two.safetensors", "loras")) == []


async def test_a_list_that_gives_another_files_url_for_a_name_is_not_believed_if_the_very_name_has_one(
    finder: Catalog, installed: Installed, tmp_path: Path
) -> None:
    wrong = ONE.replace("one.safetensors", "base.safetensors")
    installed.with_templates(
        tmp_path / "t",
        of_models(record("one.safetensors", "loras", wrong), record("one.safetensors", "loras", ONE)),
        of_models(record("one.safetensors", "loras", wrong)),
        of_models(record("renamed.safetensors", "loras", wrong)),
    )
    assert origins(await found(finder, Need("one.safetensors", "loras"))) == [("templates", ONE)]
    [renamed] = await found(finder, Need("renamed.safetensors", "loras"))
    assert renamed.url == wrong and renamed.why.endswith("where the file has another name.")


async def test_a_file_for_another_directory_comes_last_and_is_never_taken_by_itself(
    finder: Catalog, installed: Installed, folders: FolderPaths, tmp_path: Path
) -> None:
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "checkpoints", ONE)))
    need = Need("one.safetensors", "diffusion_models")
    [only] = await found(finder, need)
    assert only.directory == "checkpoints" and "for checkpoints instead of diffusion_models" in only.why
    assert only_one(need, [only]) is None
    put_manager_list(folders, listed("one.safetensors", "unet/FLUX1", OTHER))
    candidates = await found(finder, need)
    assert origins(candidates) == [("manager", OTHER), ("templates", ONE)]
    # The older name of the directory means the same one.
    assert candidates[0].directory == "diffusion_models"
    assert only_one(need, candidates) == candidates[0]


async def test_a_download_takes_what_there_is_no_choice_about_and_leaves_every_choice_to_the_person(
    finder: Catalog, installed: Installed, tmp_path: Path
) -> None:
    generic = f"{HUB}/a/b/resolve/main/diffusion_pytorch_model.safetensors"
    installed.with_templates(
        tmp_path / "t",
        of_models(
            record("one.safetensors", "loras", ONE + "?download=true"),
            record("one.safetensors", "loras", ONE.replace("/resolve/", "/blob/")),
            record("two.safetensors", "vae", ONE.replace("one", "two")),
            record("two.safetensors", "vae", OTHER.replace("one", "two")),
            record("both.safetensors", "vae", ONE.replace("one", "both")),
            record("both.safetensors", "loras", ONE.replace("one", "both")),
            record("diffusion_pytorch_model.safetensors", "vae", generic),
        ),
    )
    taken = {}
    for need in (
        Need("one.safetensors", "loras"),
        Need("one.safetensors", None),
        Need("two.safetensors", "vae"),
        Need("both.safetensors", "vae"),
        Need("both.safetensors", None),
        Need("diffusion_pytorch_model.safetensors", "vae"),
    ):
        only = only_one(need, await found(finder, need))
        taken[need.name, need.directory] = only and (only.url, only.directory)
    assert taken == {
        ("one.safetensors", "loras"): (ONE, "loras"),
        ("one.safetensors", None): (ONE, "loras"),
        ("two.safetensors", "vae"): None,
        ("both.safetensors", "vae"): (ONE.replace("one", "both"), "vae"),
        ("both.safetensors", None): None,
        ("diffusion_pytorch_model.safetensors", "vae"): None,
    }


async def test_a_link_in_a_note_is_proposed_and_taken_only_if_a_list_confirms_it(
    finder: Catalog, installed: Installed, tmp_path: Path
) -> None:
    need = Need("one.safetensors", "loras")
    notes = {"one.safetensors": [NoteLink(ONE, "7")]}
    candidates = await found(finder, need, notes)
    assert origins(candidates) == [("note", ONE)] and only_one(need, candidates) is None
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", OTHER)))
    candidates = await found(finder, need, notes)
    assert origins(candidates) == [("note", ONE), ("templates", OTHER)] and only_one(need, candidates) is None
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", ONE)), version="2")
    candidates = await found(finder, need, notes)
    assert origins(candidates) == [("templates", ONE)] and only_one(need, candidates) == candidates[0]


async def test_among_files_of_a_common_name_the_one_that_the_subfolder_means_comes_first(
    finder: Catalog, folders: FolderPaths
) -> None:
    name = "diffusion_pytorch_model.safetensors"
    urls = [f"{HUB}/{repo}/resolve/main/{name}" for repo in ("xinsir/union", "InstantX/InstantID", "maker/tile")]
    put_manager_list(folders, *(listed(name, "controlnet/SDXL", url) for url in urls))
    candidates = await found(finder, Need(f"InstantID/{name}", "controlnet"))
    assert [one.url for one in candidates] == [urls[1], urls[0], urls[2]]
    assert "many repositories have another file of this name" in candidates[0].why


async def test_the_digest_of_a_template_counts_and_the_most_used_url_comes_first(
    finder: Catalog, installed: Installed, tmp_path: Path
) -> None:
    digest = "AB" * 32
    rare = of_models(record("one.safetensors", "loras", OTHER))
    usual = of_models(record("one.safetensors", "loras", ONE, hash=digest, hash_type="SHA256"))
    installed.with_templates(tmp_path / "t", rare, usual, usual, usual)
    first, second = await found(finder, Need("one.safetensors", "loras"))
    assert (first.url, first.sha256, second.url) == (ONE, digest.lower(), OTHER)
    assert first.why == "The official templates template_1, template_2 and 1 more use this file."


async def test_the_lists_are_read_once_and_again_when_a_package_is_updated(
    finder: Catalog, installed: Installed, folders: FolderPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read = templates.read_templates

    def counted(folder: Path) -> list[Candidate]:
        reads.append(folder)
        return read(folder)

    monkeypatch.setattr(catalog, "read_templates", counted)
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", ONE)))
    need = Need("one.safetensors", "loras")
    for _ in range(3):
        assert origins(await found(finder, need)) == [("templates", ONE)]
    assert len(reads) == 1
    installed.with_templates(tmp_path / "t2", of_models(record("one.safetensors", "loras", OTHER)), version="2")
    assert origins(await found(finder, need)) == [("templates", OTHER)]
    put_manager_list(folders, listed("two.safetensors", "loras", ONE.replace("one", "two")))
    assert len(await found(finder, Need("two.safetensors", "loras"))) == 1


async def test_the_newest_copy_of_the_managers_list_counts(
    finder: Catalog, folders: FolderPaths, tmp_path: Path
) -> None:
    own = put_manager_list(folders, listed("one.safetensors", "loras", ONE))
    os.utime(own, (1000, 1000))
    folders.get_user_directory = lambda: str(tmp_path / "user")  # type: ignore[attr-defined]
    kept = tmp_path / "user" / "__manager" / "cache" / "1234_model-list.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"models": [listed("one.safetensors", "loras", OTHER)]}), encoding="utf-8")
    assert origins(await found(finder, Need("one.safetensors", "loras"))) == [("manager", OTHER)]


async def test_lists_that_are_gone_or_broken_leave_the_others(
    finder: Catalog, installed: Installed, folders: FolderPaths, tmp_path: Path, table: Path
) -> None:
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", ONE)))
    installed.templates.append(("1", tmp_path / "gone"))
    put_manager_list(folders).write_text('{"models": [', encoding="utf-8")
    await asyncio.to_thread(table.unlink)
    assert origins(await found(finder, Need("one.safetensors", "loras"))) == [("templates", ONE)]


async def test_entries_that_are_no_files_for_a_model_folder_are_left_out(
    finder: Catalog, folders: FolderPaths, installed: Installed, tmp_path: Path
) -> None:
    put_manager_list(
        folders,
        listed("one.safetensors", "custom_nodes/pack/models", ONE),
        listed("one.safetensors", "etc", ONE),
        listed("one.safetensors", "../loras", ONE),
        listed("one.safetensors", "loras", "maker/repo"),
        listed("one.safetensors", "loras", "file:///etc/one.safetensors"),
        listed("one.safetensors", "loras", "https://user:secret@host.example/one.safetensors"),
        listed("../one.safetensors", "loras", ONE),
        {"filename": "one.safetensors", "url": 3},
        [],  # type: ignore[arg-type]
    )
    broken = tmp_path / "t"
    installed.with_templates(broken, of_models(record("one.safetensors", "loras", "javascript:one.safetensors")))
    (broken / "cut.json").write_text('{"nodes": [{"properties": {"models": [{"name": ', encoding="utf-8")
    (broken / "binary.json").write_bytes(b'"models": [\xff')
    (broken / "deep.json").write_text('"models": ' + "[" * 200_000, encoding="utf-8")
    (broken / "words.json").write_text('{"models": ["Flux", {"name": 1, "url": []}]}', encoding="utf-8")
    assert await found(finder, Need("one.safetensors", "loras")) == []


def test_the_templates_are_found_in_one_package_and_in_those_it_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(package: str, *requires: str, workflows: bool) -> None:
        module = tmp_path / package.replace("-", "_")
        (module / "templates").mkdir(parents=True) if workflows else module.mkdir()
        (module / "__init__.py").write_text("raise RuntimeError('this package must not be imported')")
        metadata = tmp_path / f"{package.replace('-', '_')}-1.2.dist-info" / "METADATA"
        metadata.parent.mkdir()
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n{needs}")

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert templates.template_folders() == []
    base = "comfyui-workflow-templates"
    install(base, f"{base}-core==1.2", f"{base}-new-part==1.2", "other>=1", workflows=False)
    install(f"{base}-core", workflows=False)
    install(f"{base}-new-part", workflows=True)
    assert templates.template_folders() == [("1.2", tmp_path / "comfyui_workflow_templates_new_part" / "templates")]
    (tmp_path / "comfyui_workflow_templates" / "templates").mkdir()
    assert ("1.2", tmp_path / "comfyui_workflow_templates" / "templates") in templates.template_folders()
