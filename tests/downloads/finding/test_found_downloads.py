"""Plans and downloads of models whose URL is found in a list or in a note of the workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.tests.downloads.conftest import Person, Service
from comfyui_uiapi.tests.downloads.finding.conftest import Installed, of_models, record
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256

DATA = model_bytes(50_000)

pytestmark = pytest.mark.usefixtures("installed")


def loader(name: str, kind: str = "Loader", **more: Any) -> dict[str, Any]:
    """A workflow with one node that names a model without a URL, and with its directory if `more` gives it."""
    models = [{"name": name, **more}] if more else []
    node = {"id": 1, "type": kind, "widgets_values": [name], "properties": {"models": models}}
    return {"nodes": [node], "links": []}


def with_note(workflow: dict[str, Any], text: str) -> dict[str, Any]:
    return {**workflow, "nodes": [*workflow["nodes"], {"id": 2, "type": "Note", "widgets_values": [text]}]}


async def planned(service: Service, workflow: dict[str, Any], table: dict[str, Any] | None = None) -> dict[str, Any]:
    model: dict[str, Any] = (await service.downloads.plan(workflow, table or {}))["models"][0]
    return model


async def downloaded(service: Service, workflow: dict[str, Any]) -> dict[str, Any]:
    entry = await service.ended(await service.downloads.begin(workflow, {}))
    progress: dict[str, Any] = next(iter(entry["progress"].values()))
    return progress


async def test_a_model_of_the_official_templates_is_planned_with_its_origin_and_downloaded_unasked(
    service: Service, host: Host, installed: Installed, person: Person, tmp_path: Path
) -> None:
    host.offer("/one.safetensors", DATA)
    url = host.url("/one.safetensors")
    entry = record("one.safetensors", "loras", url, hash=sha256(DATA), hash_type="SHA256")
    installed.with_templates(tmp_path / "t", of_models(entry))
    # The directory is known from the template alone.
    workflow = loader("sub/one.safetensors")
    model = await planned(service, workflow)
    assert (model["action"], model["origin"], model["directory"]) == ("download", "templates", "loras")
    assert (model["url"], model["size"], model["sha256"]) == (url, len(DATA), sha256(DATA))
    [candidate] = model["candidates"]
    assert (candidate["origin"], candidate["url"], candidate["sha256"]) == ("templates", url, sha256(DATA))
    assert candidate["why"] == "The official template template_0 uses this file."
    assert (await downloaded(service, workflow))["status"] == "success"
    assert service.path("sub/one.safetensors", "loras").read_bytes() == DATA
    assert person.asked == []


async def test_a_choice_is_left_to_the_person_and_the_plan_shows_every_candidate(
    service: Service, host: Host, installed: Installed, person: Person, tmp_path: Path
) -> None:
    urls = [host.url(f"/{number}/one.safetensors") for number in range(2)]
    installed.with_templates(tmp_path / "t", of_models(*(record("one.safetensors", "vae", url) for url in urls)))
    workflow = loader("one.safetensors", directory="vae")
    model = await planned(service, workflow)
    assert (model["action"], model["origin"], model["url"]) == ("no_url", None, None)
    assert [one["url"] for one in model["candidates"]] == urls
    assert model["reason"]["message"].startswith("2 files may be one.safetensors; give the URL of one")
    host.offer("/1/one.safetensors", DATA)
    assert (await planned(service, workflow, {"one.safetensors": urls[1]}))["origin"] == "request"
    person.urls = {"one.safetensors": urls[1]}
    assert (await downloaded(service, workflow))["status"] == "success"
    assert [one["name"] for one in person.asked] == ["one.safetensors"]
    # What the person chose is saved, and is the origin from then on.
    service.path("one.safetensors", "vae").unlink()
    assert (await planned(service, workflow))["origin"] == "saved"


async def test_a_link_in_a_note_is_a_candidate_and_nothing_is_fetched_from_it_unasked(
    service: Service, host: Host, person: Person
) -> None:
    url = host.url("/one.safetensors")
    workflow = with_note(loader("one.safetensors", directory="vae"), f"Get it [here]({url}).")
    model = await planned(service, workflow)
    assert (model["action"], [one["origin"] for one in model["candidates"]]) == ("no_url", ["note"])
    assert "give the URL of this candidate" in model["reason"]["message"]
    person.urls = UiapiError("declined", "The person gave none.")
    assert (await downloaded(service, workflow))["status"] == "error"
    assert host.sent == {}


async def test_a_file_that_is_there_is_used_whatever_a_list_says_about_its_name(
    service: Service, host: Host, installed: Installed, tmp_path: Path
) -> None:
    entry = record("one.safetensors", "loras", host.url("/one.safetensors"), hash="0" * 64, hash_type="SHA256")
    installed.with_templates(tmp_path / "t", of_models(entry))
    for folder in ("loras", "checkpoints"):
        path = service.path("one.safetensors", folder)
        path.write_bytes(DATA)
        assert (await planned(service, loader("one.safetensors")))["action"] == "present"
        assert (await downloaded(service, loader("one.safetensors")))["status"] == "success"
        assert path.read_bytes() == DATA
        path.unlink()
    assert host.sent == {}


async def test_a_workflows_own_url_and_the_saved_one_come_before_every_list(
    service: Service, host: Host, installed: Installed, tmp_path: Path
) -> None:
    own, listed, saved = (host.url(f"/{name}/one.safetensors") for name in ("own", "listed", "saved"))
    for name in ("own", "listed", "saved"):
        host.offer(f"/{name}/one.safetensors", DATA)
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", listed)))
    workflow = loader("one.safetensors", directory="loras", url=own)
    model = await planned(service, workflow)
    assert (model["origin"], model["url"]) == ("workflow", own)
    assert [one["url"] for one in model["candidates"]] == [own, listed]
    await service.downloads.save_urls({"one.safetensors": saved})
    model = await planned(service, workflow)
    assert (model["origin"], model["url"]) == ("saved", saved)


async def test_a_download_that_a_list_began_is_resumed_from_the_same_url_after_a_restart(
    service: Service, host: Host, installed: Installed, tmp_path: Path
) -> None:
    url = host.url("/one.safetensors")
    host.offer("/one.safetensors", status=404)
    installed.with_templates(tmp_path / "t", of_models(record("one.safetensors", "loras", url)))
    run = await service.downloads.begin(loader("one.safetensors"), {})
    await service.ended(run)
    assert json.loads((service.state / "downloads.json").read_text("utf-8"))
    installed.templates = []
    host.offer("/one.safetensors", DATA)
    run = await service.downloads.resume(run.id, None)
    assert (await service.ended(run))["status"] == "completed"
    assert service.path("one.safetensors", "loras").read_bytes() == DATA


async def test_a_directory_that_only_a_pack_adds_is_named_with_the_pack(service: Service) -> None:
    workflow = loader("ip-adapter-plus_sd15.safetensors", "IPAdapterModelLoader")
    model = await planned(service, workflow)
    assert (model["action"], model["directory"], model["origin"]) == ("blocked", "ipadapter", "known")
    message = "This ComfyUI has no model folder 'ipadapter'; install ComfyUI_IPAdapter_plus, which adds it."
    assert model["reason"] == {"code": "unknown_folder", "message": message}
    failed = await downloaded(service, workflow)
    assert (failed["code"], failed["error"]) == ("unknown_folder", message)
