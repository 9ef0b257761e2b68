"""What the person is asked of a download's models: URLs, and directories that are unknown; and who asks them."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.tests.bridge.conftest import Person, Server
from comfyui_uiapi.tests.downloads.conftest import finished
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

SIZE = 20_000


@pytest.fixture
async def panel(server: Server) -> Person:
    """A tab with a panel."""
    tab = await server.tab(capabilities=["panel", "watch"])
    tab.__class__ = Person
    assert isinstance(tab, Person)
    tab.on("refresh_models", {"refreshed": True})
    return tab


async def asked_for_url(panel: Person) -> str:
    """Wait for the question about URLs, and return its id."""
    while (frame := await panel.next("request"))["command"] != "get_model_url":
        pass
    return str(frame["id"])


async def test_whose_download_asks_for_a_url_is_shown_until_the_person_has_answered(
    server: Server, host: Host, panel: Person
) -> None:
    host.offer("/x", model_bytes(SIZE))
    needed = workflow(("x.safetensors", "vae", None))
    mine = {"headers": {"User-Agent": "Blender"}}
    _, body = await server.post("download_models", {"workflow": needed}, **mine)
    question = await asked_for_url(panel)
    await panel.event("panel_state", lambda state: state["asking"] == ["Blender"])
    await panel.respond(question, {"urls": {}})
    await panel.event("panel_state", lambda state: state["asking"] == [])
    # A download that the person resumes is their own.
    await finished(server, body["download_id"])
    resumed = {"download_id": body["download_id"]}
    # Not `send`, which drops what comes before the response.
    await panel.ws.send_json({"type": "request", "id": "resume", "command": "download_resume", "data": resumed})
    question = await asked_for_url(panel)
    await panel.event("panel_state", lambda state: state["asking"] == ["ComfyUI"])
    await panel.respond(question, {"urls": {"x.safetensors": host.url("/x")}})
    await panel.event("panel_state", lambda state: state["asking"] == [])
    assert (await finished(server, body["download_id"]))["status"] == "completed"


async def test_a_folder_that_the_person_chooses_is_that_of_the_download_and_is_saved(
    server: Server, host: Host, panel: Person, tmp_path: Path
) -> None:
    host.offer("/x", model_bytes(SIZE))
    nobody_knows = {"1": {"class_type": "NoSuchLoader", "inputs": {"file": "my_lora.safetensors"}}}
    fields = [{"name": "my_lora.safetensors", "fields": ["NoSuchLoader.file"]}]
    folders = (await panel.send("panel_model_folders", models=fields))["response"]
    assert folders["likely"] == [["loras"]] and {"loras", "vae"} < set(folders["folders"])
    assert "custom_nodes" not in folders["folders"]
    panel.on(
        "get_model_url",
        {"urls": {"my_lora.safetensors": host.url("/x")}, "directories": {"my_lora.safetensors": "loras"}},
    )
    _, body = await server.post("download_models", {"workflow": nobody_knows})
    assert (await finished(server, body["download_id"]))["status"] == "completed"
    assert (tmp_path / "models/loras/my_lora.safetensors").is_file()
    saved = {"url": host.url("/x"), "ckpt_type": "loras"}
    assert (await server.get("model_urls"))[1]["response"]["urls"] == {"my_lora.safetensors": saved}
    panel.on("get_model_url", {"url": host.url("/x"), "model_type": "vae", "directories": {"y.safetensors": "vae"}})
    assert (await server.post("get_model_url", {"model_name": "y.safetensors"}))[1]["model_type"] == "vae"
    saved = {"url": host.url("/x"), "ckpt_type": "vae"}
    assert (await server.get("model_urls"))[1]["response"]["urls"]["y.safetensors"] == saved


async def test_a_model_without_a_known_folder_keeps_the_url_that_is_known_of_it(server: Server, host: Host) -> None:
    nobody_knows = {"1": {"class_type": "NoSuchLoader", "inputs": {"file": "x.safetensors"}}}
    table = {"x.safetensors": host.url("/x")}
    _, body = await server.post("plan_downloads", {"workflow": nobody_knows, "download_table": table})
    [model] = body["response"]["models"]
    assert (model["reason"]["code"], model["url"]) == ("unknown_folder", host.url("/x"))
