"""The preview a person sees before a program's downloads, and that nothing else is downloaded once they agree."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.api import consent
from comfyui_uiapi.downloads.jobs.fetches import FetchRequest, agreed_size
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.model_defs import ModelDef
from comfyui_uiapi.tests.bridge.conftest import Person, Server
from comfyui_uiapi.tests.downloads.conftest import finished
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

SIZE = 200_000


@pytest.fixture(autouse=True)
def slow_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question waits until every host has answered; a test may override it."""
    monkeypatch.setattr(consent, "LOOK_TIMEOUT", 240.0)


@pytest.fixture
async def person(server: Server) -> Person:
    """At the main tab; they want to be asked before each download."""
    tab = await server.tab(capabilities=["panel", "watch"])
    tab.__class__ = Person
    assert isinstance(tab, Person)
    tab.on("refresh_models", {"refreshed": True})
    await tab.send("panel_decide", rules={"download": "always"})
    return tab


async def question(person: Person) -> dict[str, Any]:
    """The next question, with the id to answer it by."""
    while (frame := await person.next("request"))["command"] != "approve":
        pass
    return {**frame["data"], "id": frame["id"]}


async def allow(person: Person, asked: dict[str, Any]) -> None:
    await person.respond(asked["id"], {"allowed": True})


async def test_every_file_is_shown_with_its_folder_host_and_size(
    server: Server, person: Person, host: Host, tmp_path: Path
) -> None:
    names = [f"{number}.safetensors" for number in range(30)]
    for name in names:
        host.offer(f"/{name}", model_bytes(SIZE))
    host.offer("/29.safetensors", model_bytes(SIZE), framing="chunked", ranges=False)
    (tmp_path / "models/loras/0.safetensors").write_bytes(model_bytes(SIZE))
    (tmp_path / "models/loras/1.safetensors").write_bytes(model_bytes(SIZE, 2))
    wanted = workflow(*((name, "loras", host.url(f"/{name}")) for name in names), ("who.safetensors", "vae", None))
    request = {"workflow": wanted, "download_table": {"1.safetensors": host.url("/1.safetensors")}, "overwrite": True}
    begun = asyncio.create_task(server.post("download_models", request))
    asked = await question(person)
    await person.respond(asked["id"], {"allowed": False})
    assert (await begun)[1]["code"] == "refused_by_person"
    file = {"folder": "loras", "hosts": [host.authority], "local": None, "size": SIZE, "replaces": False}
    assert asked["files"] == [
        {**file, "name": "1.safetensors", "replaces": True},
        *({**file, "name": name} for name in names[2:29]),
        {**file, "name": "29.safetensors", "size": None},
        {**file, "name": "who.safetensors", "folder": "vae", "hosts": [], "size": None},
    ]
    assert asked["program"] and (await server.get("downloads"))[1]["response"]["downloads"] == []


async def test_the_files_that_the_person_agreed_to_are_fetched_even_if_the_workflow_and_the_map_have_changed(
    server: Server, person: Person, host: Host, other_host: Host, tmp_path: Path
) -> None:
    host.offer("/x", model_bytes(SIZE))
    await person.send("panel_decide", rules={"download": "allow"})
    await server.post("add_model_url", {"model_name": "x.safetensors", "url": host.url("/x")})
    await person.send("panel_decide", rules={"download": "always"})
    opened = workflow(("x.safetensors", "vae", None))
    person.on("get_workflow", {"workflow": {"workflow": opened, "output": {}}})
    begun = asyncio.create_task(server.post("download_models", {}))
    asked = await question(person)
    assert [(file["name"], file["folder"], file["hosts"]) for file in asked["files"]] == [
        ("x.safetensors", "vae", [host.authority])
    ]
    another = workflow(("evil.safetensors", "loras", host.url("/evil")))
    person.on("get_workflow", {"workflow": {"workflow": another, "output": {}}})
    await url_map.save_model_urls({"x.safetensors": host.url("/evil")})
    await allow(person, asked)
    done = await finished(server, (await begun)[1]["download_id"])
    assert [*done["progress"]] == ["x.safetensors"] and done["status"] == "completed"
    assert (tmp_path / "models/vae/x.safetensors").read_bytes() == model_bytes(SIZE)
    assert host.asked("/evil") == []


@pytest.mark.parametrize("command", ["download_model", "download_models"])
async def test_a_file_whose_size_is_another_than_was_agreed_to_is_not_fetched(
    server: Server, person: Person, host: Host, tmp_path: Path, command: str
) -> None:
    host.offer("/x", model_bytes(SIZE))
    one = {"model_name": "x.safetensors", "model_def": {"url": host.url("/x"), "ckpt_type": "vae"}}
    several = {"workflow": workflow(("x.safetensors", "vae", host.url("/x")))}
    begun = asyncio.create_task(server.post(command, one if command == "download_model" else several))
    asked = await question(person)
    host.offer("/x", model_bytes(SIZE * 2))
    await allow(person, asked)
    answer = (await begun)[1]
    if command == "download_models":
        answer = (await finished(server, answer["download_id"]))["progress"]["x.safetensors"]
    assert answer["code"] == "size_mismatch"
    assert not (tmp_path / "models/vae/x.safetensors").exists()


def test_a_host_is_held_to_the_size_that_was_agreed_to_before_its_file_comes() -> None:
    agreed, free = (FetchRequest("vae", "x.safetensors", ModelDef(), size=size) for size in (SIZE, None))
    for size in (SIZE - 1, SIZE + 1):
        with pytest.raises(UiapiError, match="agreed"):
            agreed_size(agreed, size)
        assert agreed_size(free, size) == size
    assert agreed_size(agreed, SIZE) == agreed_size(agreed, None) == SIZE and agreed_size(free, None) is None


async def test_a_file_that_came_after_the_question_is_not_replaced(
    server: Server, person: Person, host: Host, tmp_path: Path
) -> None:
    host.offer("/x", model_bytes(SIZE))
    target = tmp_path / "models/vae/x.safetensors"
    definition = {"url": host.url("/x"), "ckpt_type": "vae"}
    request = {"model_name": "x.safetensors", "model_def": definition, "overwrite": True}
    begun = asyncio.create_task(server.post("download_model", request))
    asked = await question(person)
    assert asked["files"][0]["replaces"] is False
    target.write_bytes(own := model_bytes(SIZE, 7))
    await allow(person, asked)
    assert (await begun)[0] == 200
    assert target.read_bytes() == own


async def test_the_question_shows_the_resumed_models_and_only_these_continue(
    server: Server, person: Person, host: Host, tmp_path: Path
) -> None:
    host.offer("/a", model_bytes(SIZE))
    wanted = workflow(("a.safetensors", "vae", host.url("/a")), ("b.safetensors", "vae", host.url("/gone")))
    await person.send("panel_decide", rules={"download": "allow"})
    host.answers["/a"].refusals = [404]
    download = {"download_id": (await server.post("download_models", {"workflow": wanted}))[1]["download_id"]}
    await finished(server, download["download_id"])
    await person.send("panel_decide", rules={"download": "always"})
    resumed = asyncio.create_task(server.post("download_resume", {**download, "model": "a.safetensors"}))
    asked = await question(person)
    assert [(file["name"], file["size"]) for file in asked["files"]] == [("a.safetensors", SIZE)]
    await allow(person, asked)
    assert (await resumed)[0] == 200
    done = await finished(server, download["download_id"])
    assert {name: one["status"] for name, one in done["progress"].items()} == {
        "a.safetensors": "success",
        "b.safetensors": "error",
    }


async def test_a_url_to_be_saved_is_shown_with_its_host(server: Server, person: Person) -> None:
    request = {"model_name": "x.safetensors", "url": "https://civitai.com/models/1", "model_type": "loras"}
    added = asyncio.create_task(server.post("add_model_url", request))
    asked = await question(person)
    [shown] = asked["files"]
    assert (shown["name"], shown["folder"], shown["hosts"][0]) == ("x.safetensors", "loras", "civitai.com")
    await allow(person, asked)
    assert (await added)[0] == 200


async def test_a_host_that_is_silent_holds_the_question_up_no_longer_than_its_time(
    server: Server, person: Person, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "LOOK_TIMEOUT", 0.1)
    host.offer("/x", model_bytes(SIZE), silent=True)
    request = {"model_name": "x.safetensors", "model_def": {"url": host.url("/x")}}
    begun = asyncio.create_task(server.post("download_model", request))
    asked = await question(person)
    assert (asked["files"][0]["hosts"], asked["files"][0]["size"]) == ([host.authority], None)
    await person.respond(asked["id"], {"allowed": False})
    assert (await begun)[1]["code"] == "refused_by_person"


async def test_a_download_that_would_be_refused_raises_no_question(server: Server, person: Person) -> None:
    request = {"model_name": "x.safetensors", "model_def": {"url": "https://elsewhere.example/x"}}
    assert (await server.post("download_model", request))[1]["code"] == "host_refused"
    assert [frame["command"] for frame in person.requests] == []
