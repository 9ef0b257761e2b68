"""Models that are found by a search: who asks for it, who decides what is used, and what is saved of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.downloads.api import consent
from comfyui_uiapi.downloads.searching import search
from comfyui_uiapi.downloads.searching.budget import Limits
from comfyui_uiapi.downloads.searching.hub import ORGANISATIONS
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.tests.bridge.conftest import Person, Server
from comfyui_uiapi.tests.downloads.conftest import finished
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import workflow
from comfyui_uiapi.tests.harness.models.search_sites import Civitai, Hub

DATA, OTHER = (model_bytes(50_000, seed) for seed in (1, 2))
NAME = "thing_of_ours.safetensors"
NEEDED = workflow((NAME, "vae", None))


@pytest.fixture(autouse=True)
def endpoints(host: Host, other_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", host.url(""))
    monkeypatch.setenv("CIVITAI_ENDPOINT", other_host.url(""))
    # The seconds of a search are not enough for every busy machine.
    monkeypatch.setattr(search, "Limits", lambda: Limits(seconds=120, each=60))
    monkeypatch.setattr(consent, "LOOK_TIMEOUT", 240.0)


@pytest.fixture
def hub(host: Host) -> Hub:
    return Hub(host)


@pytest.fixture
def civitai(other_host: Host) -> Civitai:
    return Civitai(other_host)


@pytest.fixture
async def person(server: Server) -> Person:
    tab = await server.tab(capabilities=["panel", "watch"])
    tab.__class__ = Person
    assert isinstance(tab, Person)
    tab.on("refresh_models", {"refreshed": True})
    return tab


def publish(hub: Hub, *files: bytes) -> list[str]:
    """Publish files of the name at well-known organisations, and return their URLs, the likeliest first."""
    urls: list[str] = []
    for owner, data in zip(("Comfy-Org", "Kijai"), files, strict=False):
        hub.repo(f"{owner}/things", {f"vae/{NAME}": data}, downloads=100 - len(urls))
        urls.append(hub.host.url(f"/{owner}/things/resolve/main/vae/{NAME}"))
    return urls


def fetched(*hosts: Host) -> list[str]:
    """What was requested apart from searches."""
    return [
        seen.path for host in hosts for seen in host.seen if "/api/models" not in seen.path and "/v1/" not in seen.path
    ]


async def plan(server: Server, **more: Any) -> dict[str, Any]:
    status, body = await server.post("plan_downloads", {"workflow": NEEDED, **more})
    assert status == 200, body
    plan: dict[str, Any] = body["response"]
    return plan


async def question(person: Person, command: str) -> dict[str, Any]:
    while (frame := await person.next("request"))["command"] != command:
        pass
    return {**frame["data"], "id": frame["id"]}


async def test_a_search_runs_only_when_asked_for_and_shows_its_budget_and_what_it_found(
    server: Server, hub: Hub, civitai: Civitai
) -> None:
    [url] = publish(hub, DATA)
    await server.post("analyze_workflow", {"workflow": NEEDED})
    unsearched = await plan(server)
    assert unsearched["search"] is None and unsearched["models"][0]["candidates"] == []
    assert hub.host.seen == [] == civitai.host.seen
    searched = await plan(server, search=True)
    assert searched["search"]["complete"] and searched["search"]["failures"] == []
    assert 0 < searched["search"]["requests"] <= searched["search"]["most_requests"]
    assert 0 <= searched["search"]["seconds"] <= searched["search"]["most_seconds"]
    [model] = searched["models"]
    assert (model["action"], model["url"], searched["verdict"]) == ("no_url", None, "blocked")
    [candidate] = model["candidates"]
    assert (candidate["url"], candidate["sha256"], candidate["size"]) == (url, sha256(DATA), len(DATA))
    assert fetched(hub.host, civitai.host) == []


async def test_only_what_is_missing_without_any_url_is_searched_for(
    server: Server, hub: Hub, civitai: Civitai, tmp_path: Path
) -> None:
    (tmp_path / "models/vae/here.safetensors").write_bytes(DATA)
    hub.host.offer("/given.safetensors", DATA)
    needed = workflow(
        ("here.safetensors", "vae", None), ("given.safetensors", "vae", hub.host.url("/given.safetensors"))
    )
    _, body = await server.post("plan_downloads", {"workflow": needed, "search": True})
    assert body["response"]["search"]["requests"] == 0
    assert civitai.host.seen == [] and hub.host.asked("/api/models") == []


async def test_a_search_that_fails_leaves_the_rest_of_the_plan(server: Server, hub: Hub, civitai: Civitai) -> None:
    hub.host.offer("/api/models", b"<html>", content_type="text/html")
    civitai.host.offer("/api/v1/models", status=429)
    hub.repo("Comfy-Org/given", {"vae/given.safetensors": OTHER})
    table = {"given.safetensors": hub.host.url("/Comfy-Org/given/resolve/main/vae/given.safetensors")}
    request = {"workflow": workflow((NAME, "vae", None), ("given.safetensors", "vae", None)), "search": True}
    _, body = await server.post("plan_downloads", {**request, "download_table": table})
    lost, given = body["response"]["models"]
    assert (lost["action"], lost["reason"]["code"]) == ("no_url", "no_url")
    assert (given["action"], given["size"]) == ("download", len(OTHER))
    codes = {failure["code"] for failure in body["response"]["search"]["failures"]}
    assert codes == {"source_failed", "rate_limited"} and not body["response"]["search"]["complete"]


async def test_a_download_after_a_plan_asks_no_host_again(
    server: Server, hub: Hub, civitai: Civitai, person: Person
) -> None:
    publish(hub, DATA)
    await plan(server, search=True)
    assert len(hub.host.asked("/api/models")) == len(ORGANISATIONS)
    _, begun = await server.post("download_models", {"workflow": NEEDED, "accept": "found"})
    assert (await finished(server, begun["download_id"]))["status"] == "completed"
    assert len(hub.host.asked("/api/models")) == len(ORGANISATIONS)


async def test_a_searched_file_is_proposed_to_the_person_and_only_what_they_choose_is_fetched_and_saved(
    server: Server, hub: Hub, civitai: Civitai, person: Person, tmp_path: Path
) -> None:
    likely, chosen = publish(hub, DATA, OTHER)
    _, begun = await server.post("download_models", {"workflow": NEEDED, "search": True})
    asked = await question(person, "get_model_url")
    [model] = asked["models"]
    assert [one["url"] for one in model["candidates"]] == [likely, chosen]
    assert asked["ckpt_names"] == [NAME] and model["directory"] == "vae"
    assert fetched(hub.host, civitai.host) == []
    await person.respond(asked["id"], {"urls": {NAME: chosen}})
    assert (await finished(server, begun["download_id"]))["status"] == "completed"
    assert (tmp_path / "models/vae" / NAME).read_bytes() == OTHER
    saved = (await url_map.load_stored_urlmap())[NAME]
    assert saved == {"url": chosen, "ckpt_type": "vae", "sha256": sha256(OTHER)}


async def test_nothing_is_fetched_of_what_a_person_declines(
    server: Server, hub: Hub, civitai: Civitai, person: Person, tmp_path: Path
) -> None:
    publish(hub, DATA)
    person.refuse("get_model_url", "declined")
    _, begun = await server.post("download_models", {"workflow": NEEDED, "search": True})
    assert (await finished(server, begun["download_id"]))["progress"][NAME]["code"] == "declined"
    assert fetched(hub.host, civitai.host) == [] and await url_map.load_stored_urlmap() == {}
    assert not (tmp_path / "models/vae" / NAME).exists()


async def test_with_accept_found_an_unambiguous_file_is_fetched_without_asking(
    server: Server, hub: Hub, civitai: Civitai, person: Person, tmp_path: Path
) -> None:
    publish(hub, DATA)
    [model] = (await plan(server, accept="found"))["models"]
    assert (model["action"], model["origin"], model["size"]) == ("download", "huggingface", len(DATA))
    _, begun = await server.post("download_models", {"workflow": NEEDED, "accept": "found"})
    assert (await finished(server, begun["download_id"]))["status"] == "completed"
    assert (tmp_path / "models/vae" / NAME).read_bytes() == DATA
    assert "get_model_url" not in [frame["command"] for frame in person.requests]


async def test_with_accept_found_a_choice_is_still_the_persons(
    server: Server, hub: Hub, civitai: Civitai, person: Person
) -> None:
    urls = publish(hub, DATA, OTHER)
    await server.post("download_models", {"workflow": NEEDED, "accept": "found"})
    asked = await question(person, "get_model_url")
    assert [one["url"] for one in asked["models"][0]["candidates"]] == urls
    assert fetched(hub.host, civitai.host) == []


async def test_with_accept_found_the_person_who_wants_to_be_asked_sees_what_was_found_and_may_refuse(
    server: Server, hub: Hub, civitai: Civitai, person: Person, tmp_path: Path
) -> None:
    publish(hub, DATA)
    await person.send("panel_decide", rules={"download": "always"})
    begun = asyncio.create_task(server.post("download_models", {"workflow": NEEDED, "accept": "found"}))
    asked = await question(person, "approve")
    [file] = asked["files"]
    assert (file["name"], file["size"], file["hosts"]) == (NAME, len(DATA), [hub.host.authority])
    assert file["found"] == "A file of exactly this name is in Comfy-Org/things on Hugging Face."
    await person.respond(asked["id"], {"allowed": False})
    assert (await begun)[1]["code"] == "refused_by_person"
    assert hub.host.asked(f"/Comfy-Org/things/resolve/main/vae/{NAME}")[1:] == []
    assert not (tmp_path / "models/vae" / NAME).exists() and sum(hub.host.sent.values()) == _sent_as_json(hub.host)


def _sent_as_json(host: Host) -> int:
    return sum(count for path, count in host.sent.items() if path.startswith("/api/"))


async def test_under_a_rule_against_downloads_no_host_hears_of_the_models(
    server: Server, hub: Hub, civitai: Civitai, person: Person
) -> None:
    await person.send("panel_decide", rules={"download": "refuse"})
    for command in ("plan_downloads", "download_models"):
        request = {"workflow": NEEDED, "search": True, "accept": "found"}
        assert (await server.post(command, request))[1]["code"] == "refused_by_person"
    assert hub.host.seen == [] == civitai.host.seen


async def test_the_person_can_search_from_the_page_and_programs_cannot_use_that_command(
    server: Server, hub: Hub, civitai: Civitai, person: Person
) -> None:
    [url] = publish(hub, DATA)
    wanted = [{"name": "none.safetensors"}, {"name": NAME, "directory": "vae", "sha256": None}]
    answer = (await person.send("panel_find_models", models=wanted))["response"]
    assert [[one["url"] for one in model["candidates"]] for model in answer["models"]] == [[], [url]]
    assert answer["search"]["complete"]
    assert (await server.post("panel_find_models", {"models": wanted}))[0] in (403, 404)


async def test_accept_takes_no_other_value_than_found(server: Server) -> None:
    status, body = await server.post("download_models", {"workflow": NEEDED, "accept": "all"})
    assert (status, body["code"]) == (422, "invalid")
