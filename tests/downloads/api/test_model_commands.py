"""The commands about models over HTTP, with a scripted tab."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from comfyui_uiapi.bridge.comfyui.adapter import Comfy
from comfyui_uiapi.bridge.policy.access import Guard
from comfyui_uiapi.tests.bridge.conftest import Server
from comfyui_uiapi.tests.downloads.conftest import finished, received
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
SIZE = 200_000


async def test_a_programs_download_from_request_to_file(server: Server, host: Host, tmp_path: Path) -> None:
    data = model_bytes(SIZE)
    host.offer("/x", data)
    status, body = await server.post(
        "download_models",
        {
            "download_table": {"x.safetensors": host.url("/x")},
            "workflow": workflow(("x.safetensors", "loras", None)),
            "client_id": "a-uuid",
        },
    )
    assert status == 200 and body["status"] == "ok" and body["message"]
    done = await finished(server, body["download_id"])
    assert (done["status"], done["total_models"]) == ("completed", 1)
    entry = done["progress"]["x.safetensors"]
    assert (entry["status"], entry["path"]) == ("success", str(tmp_path / "models/loras/x.safetensors"))
    status, body = await server.get("model_status/x.safetensors")
    assert (status, body["exists"], body["path"], body["type"]) == (200, True, entry["path"], "loras")
    assert (await server.get("model_status/loras/x.safetensors"))[1]["exists"] is True
    assert (await server.get("connection_status"))[1]["active_downloads"] == 0


async def test_a_damaged_model_is_no_success_for_model_status_or_download_model(
    server: Server, host: Host, tmp_path: Path
) -> None:
    host.offer("/x.safetensors", model_bytes(SIZE))
    path = tmp_path / "models/loras/x.safetensors"
    path.write_bytes(b"<html>log in</html>")
    status, body = await server.get("model_status/x.safetensors")
    assert (status, body["status"], body["exists"], body["path"]) == (200, "damaged", False, str(path))
    assert "page" in body["damage"]
    wanted = host.wanted("x.safetensors")
    status, body = await server.post("download_model", wanted)
    assert (status, body["code"]) == (409, "damaged") and "overwrite" in body["error"]
    status, body = await server.post("download_model", wanted | {"overwrite": True})
    assert (status, body["status"]) == (200, "success")
    assert (await server.get("model_status/x.safetensors"))[1]["status"] == "success"


async def test_without_a_workflow_the_open_one_is_meant(server: Server, host: Host, tmp_path: Path) -> None:
    host.offer("/x", model_bytes(SIZE))
    status, body = await server.post("download_models", {"download_table": {}, "workflow": None})
    assert (status, body["code"]) == (503, "no_webui")
    tab = await server.tab()
    opened = workflow(("x.safetensors", "vae", host.url("/x")))
    tab.on("get_workflow", {"workflow": {"workflow": opened, "output": {}}})
    tab.on("refresh_models", {"refreshed": True})
    status, body = await server.post("download_models", {"download_table": {}})
    done = await finished(server, body["download_id"])
    assert done["progress"]["x.safetensors"]["status"] == "success"
    status, body = await server.post("analyze_workflow")
    assert [(model["name"], model["exists"]) for model in body["response"]["models"]] == [("x.safetensors", True)]


async def test_the_open_tab_reloads_its_lists_when_a_file_is_complete(server: Server, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE))
    tab = await server.tab()
    tab.on("refresh_models", {"refreshed": True})
    await server.post("download_model", {"model_name": "x.safetensors", "model_def": {"url": host.url("/x")}})
    assert (await tab.next())["command"] == "refresh_models"


async def test_the_person_is_asked_through_the_tab_for_an_unknown_url(server: Server, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE))
    tab = await server.tab()
    tab.on("get_model_url", {"urls": {"x.safetensors": host.url("/x")}})
    tab.on("refresh_models", {"refreshed": True})
    _, body = await server.post("download_models", {"workflow": workflow(("x.safetensors", "vae", None))})
    assert (await finished(server, body["download_id"]))["status"] == "completed"
    asked = tab.requests[0]
    assert asked["command"] == "get_model_url" and asked["data"]["ckpt_names"] == ["x.safetensors"]
    assert asked["data"]["models"][0]["directory"] == "vae" and asked["timeout"] == 300.0
    assert (await server.get("model_urls"))[1]["response"]["urls"] == {"x.safetensors": host.url("/x")}


async def test_download_model_answers_when_the_model_is_present_or_with_the_reason(
    server: Server, host: Host, tmp_path: Path
) -> None:
    data = model_bytes(SIZE)
    host.offer("/x", data)
    request = {"model_name": "sub/x.safetensors", "model_def": {"url": host.url("/x"), "ckpt_type": "loras"}}
    status, body = await server.post("download_model", request)
    assert (status, body["status"]) == (200, "success")
    assert body["path"] == str(tmp_path / "models/loras/sub/x.safetensors")
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"model_name": "y.safetensors", "model_def": {"url": host.url("/gone")}}, 404, "not_at_source"),
        ({"model_name": "../y.safetensors", "model_def": {"url": host.url("/x")}}, 400, "bad_path"),
        ({"model_name": "y.ckpt", "model_def": {"url": host.url("/x")}}, 403, "pickle_refused"),
        ({"model_name": "y.txt", "model_def": {"url": host.url("/x")}}, 415, "unsupported_type"),
        ({"model_name": "y.safetensors", "model_def": {"link": host.url("/x")}}, 422, "invalid"),
        ({"model_name": "y.safetensors", "model_def": {"url": "nonsense"}}, 422, "invalid"),
        ({"model_name": "y.safetensors", "model_def": {}}, 422, "invalid"),
        ({"model_name": "y.safetensors"}, 422, "invalid"),
        ({"model_name": "", "model_def": {"url": host.url("/x")}}, 422, "invalid"),
        ({"model_name": "y.safetensors", "model_def": {"url": "https://elsewhere.example/y"}}, 403, "host_refused"),
        ({"model_name": "y.safetensors", "model_def": {"url": "http://169.254.169.254/y"}}, 403, "host_refused"),
    ]
    for body, expected, code in refusals:
        status, answer = await server.post("download_model", body)
        assert (status, answer["code"]) == (expected, code), (body, answer)
    assert len(host.seen) == 2


async def test_a_model_that_takes_longer_than_the_caller_waits_goes_on(server: Server, host: Host) -> None:
    go = asyncio.Event()
    host.offer("/x", model_bytes(3_000_000), held=go)
    request = {"model_name": "x.safetensors", "model_def": {"url": host.url("/x")}, "timeout": 0.2}
    status, body = await server.post("download_model", request)
    assert (status, body["code"]) == (504, "timeout")
    _, downloads = await server.get("downloads")
    (download,) = downloads["response"]["downloads"]
    assert not download["completed"]

    async def begun() -> tuple[int, dict[str, Any]]:
        while True:
            found = await server.get("model_status/x.safetensors")
            # Its length is known once the host has begun to send it.
            if (found[1].get("progress") or {}).get("total"):
                return found
            await asyncio.sleep(0.02)

    status, body = await asyncio.wait_for(begun(), 60)
    assert (status, body["status"], body["download_id"]) == (200, "downloading", download["download_id"])
    assert body["progress"]["total"] == 3_000_000
    go.set()
    assert (await finished(server, download["download_id"]))["status"] == "completed"


async def test_a_download_is_paused_resumed_and_cancelled_by_its_id(
    server: Server, host: Host, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(8_000_000), held=asyncio.Event(), free=500_000)
    _, body = await server.post("download_models", {"workflow": workflow(("x.safetensors", "vae", host.url("/x")))})
    download = {"download_id": body["download_id"]}
    [run] = server.bridge.downloads.service._runs.values()  # type: ignore[union-attr]
    await eventually(lambda: received(run) >= 500_000)
    assert (await server.get("connection_status"))[1]["active_downloads"] == 1
    assert (await server.post("download_pause", download))[1]["state"] == "paused"
    assert (await server.post("download_pause", download))[0] == 409
    assert (await server.post("download_resume", {**download, "model": "x.safetensors"}))[0] == 200
    assert (await server.post("download_cancel", download))[1]["state"] == "cancelled"
    _, status = await server.get(f"download_status/{body['download_id']}")
    assert (status["status"], status["completed"]) == ("cancelled", True)


async def test_an_unknown_name_is_404(server: Server) -> None:
    assert (await server.get("download_status/nothing"))[0] == 404
    assert (await server.post("download_cancel", {"download_id": "nothing"}))[0] == 404
    assert (await server.post("remove_model_url", {"model_name": "nothing"}))[0] == 404
    for name in ("nothing.safetensors", "loras/nothing.safetensors", "of two\nlines"):
        status, body = await server.get(f"model_status/{quote(name)}")
        assert (status, body["status"], body["exists"]) == (200, "not_found", False)


async def test_bad_requests_are_refused_before_anything_is_begun(server: Server) -> None:
    ui = workflow()
    bodies: list[dict[str, Any]] = [
        {"workflow": [], "download_table": {}},
        {"workflow": {"a": 1}},
        {"workflow": ui, "download_table": []},
        {"workflow": ui, "download_table": {"x": 3}},
        {"workflow": ui, "download_table": {"x": {"link": "y"}}},
        {"workflow": ui, "table": {}},
    ]
    for body in bodies:
        status, answer = await server.post("download_models", body)
        assert (status, answer["code"]) == (422, "invalid"), body
    for name in ("../x.safetensors", "/x.safetensors", "C:\\x.safetensors"):
        table = {name: "https://hf.co/o/r/resolve/main/x.safetensors"}
        status, answer = await server.post("download_models", {"workflow": ui, "download_table": table})
        assert (status, answer["code"]) == (400, "bad_path")
        status, answer = await server.post("add_model_url", {"model_name": name, "url": table[name]})
        assert (status, answer["code"]) == (400, "bad_path")
    assert (await server.get("downloads"))[1]["response"]["downloads"] == []


async def test_a_plan_is_answered_under_response(server: Server, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE))
    wanted = workflow(("x.safetensors", "vae", host.url("/x")))
    status, body = await server.post("plan_downloads", {"workflow": wanted})
    assert status == 200 and body["response"]["verdict"] == "ready"
    assert body["response"]["models"][0]["size"] == SIZE


# -- the URL map ------------------------------------------------------------------------------------------------


async def test_urls_are_added_listed_and_removed(server: Server) -> None:
    request = {"model_name": "x.safetensors", "url": "https://civitai.com/models/1?token=sesame", "model_type": "loras"}
    status, body = await server.post("add_model_url", request)
    assert status == 200
    assert body["model_def"] == {"url": "https://civitai.com/models/1", "ckpt_type": "loras"}
    assert (await server.get("model_urls"))[1]["response"]["urls"] == {"x.safetensors": body["model_def"]}
    assert (await server.post("remove_model_url", {"model_name": "x.safetensors"}))[0] == 200
    assert (await server.get("model_urls"))[1]["response"]["urls"] == {}
    for url in ("nonsense", "https://elsewhere.example/x"):
        assert (await server.post("add_model_url", {**request, "url": url}))[0] in (403, 422)


async def test_the_person_is_asked_for_one_url_or_for_many_and_they_are_saved(server: Server, host: Host) -> None:
    status, body = await server.post("get_model_url", {"ckpt_name": "x.safetensors"})
    assert (status, body["code"]) == (503, "no_webui")
    tab = await server.tab()
    tab.on("get_model_url", {"url": host.url("/x"), "model_type": "loras"})
    status, body = await server.post("get_model_url", {"ckpt_name": "x.safetensors"})
    assert (status, body) == (200, {"status": "ok", "url": host.url("/x"), "model_type": "loras"})
    tab.on("get_model_url", {"urls": {"y.safetensors": host.url("/y"), "z.safetensors": ""}})
    status, body = await server.post("get_model_url", {"ckpt_names": ["y.safetensors", "z.safetensors"]})
    assert (status, body) == (200, {"status": "ok", "urls": {"y.safetensors": host.url("/y")}})
    saved = (await server.get("model_urls"))[1]["response"]["urls"]
    assert saved == {"x.safetensors": host.url("/x"), "y.safetensors": host.url("/y")}
    assert (await server.post("get_model_url", {}))[0] == 422


# -- clearing -----------------------------------------------------------------------------------------------------


class Loader:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"ckpt_name": (cls.folders.get_filename_list("checkpoints"),)}}  # type: ignore[attr-defined]


async def test_exactly_the_widgets_whose_file_is_absent_are_cleared(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Loader.folders = server.folders  # type: ignore[attr-defined]
    monkeypatch.setattr(Comfy, "node_classes", property(lambda self: {"Loader": Loader}))
    (tmp_path / "models/checkpoints/there.safetensors").write_bytes(b"x")
    inside = {"id": "sub", "nodes": [{"id": 3, "type": "Loader", "widgets_values": ["in.safetensors"]}], "links": []}
    opened: dict[str, Any] = {
        "nodes": [
            {"id": 1, "type": "Loader", "widgets_values": ["there.safetensors"]},
            {"id": 2, "type": "Loader", "widgets_values": ["gone.safetensors"], "mode": 4},
            {"id": 12, "type": "sub", "widgets_values": []},
        ],
        "definitions": {"subgraphs": [inside]},
    }
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": opened, "output": {}}})
    answer = {"message": "Cleared 2 fields.", "cleared_count": 2, "cleared_fields": ["A.ckpt_name", "B.ckpt_name"]}
    tab.on("clear_nonexistant_models", answer)
    status, body = await server.post("clear_nonexistant_models")
    assert (status, body) == (200, {"status": "ok", **answer})
    assert tab.requests[-1]["data"]["missing"] == [
        {"node": "2", "widget": "ckpt_name", "value": "gone.safetensors"},
        {"node": "12:3", "widget": "ckpt_name", "value": "in.safetensors"},
    ]
    opened["nodes"] = opened["nodes"][:1]
    status, body = await server.post("clear_nonexistant_models")
    assert (status, body["cleared_count"], body["cleared_fields"]) == (200, 0, [])
    assert tab.requests[-1]["command"] == "get_workflow"


async def test_names_that_comfyui_spells_differently_are_handed_to_the_tab(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Loader.folders = server.folders  # type: ignore[attr-defined]
    monkeypatch.setattr(Comfy, "node_classes", property(lambda self: {"Loader": Loader}))
    (tmp_path / "models/checkpoints/ltx").mkdir()
    (tmp_path / "models/checkpoints/ltx/some.safetensors").write_bytes(b"x")
    opened = {"nodes": [{"id": 1, "type": "Loader", "widgets_values": ["ltx\\some.safetensors"]}]}
    tab = await server.tab()
    tab.on("get_workflow", {"workflow": {"workflow": opened, "output": {}}})
    one = {"path": "A.ckpt_name", "previous": "ltx\\some.safetensors", "value": "ltx/some.safetensors"}
    answer = {"dry_run": True, "relinked": [one | {"reason": "spelled_differently"}]}
    tab.on("relink_models", answer)
    status, body = await server.post("relink_models", {"dry_run": True})
    assert (status, body["response"]) == (200, answer | {"unchosen": []})
    link = {"node": "1", "widget": "ckpt_name", "value": "ltx\\some.safetensors", "listed": "ltx/some.safetensors"}
    assert tab.requests[-1]["data"] == {"links": [link | {"reason": "spelled_differently"}], "dry_run": True}
    opened["nodes"] = []
    status, body = await server.post("relink_models")
    assert (status, body["response"]) == (200, {"dry_run": False, "relinked": [], "unchosen": []})
    assert tab.requests[-1]["command"] == "get_workflow"


# -- access -------------------------------------------------------------------------------------------------------


# Those that write to the disk; a plan keeps the digests it finds.
WRITES = [
    "doctor",
    "plan_downloads",
    "download_models",
    "download_model",
    "download_cancel",
    "download_pause",
    "download_resume",
    "add_model_url",
    "remove_model_url",
    "get_model_url",
]


@pytest.mark.parametrize("command", WRITES)
async def test_a_page_from_elsewhere_and_a_foreign_host_are_refused(server: Server, command: str) -> None:
    for headers, code in (
        # Until a person at a tab allows it.
        ({"Origin": "https://elsewhere.example"}, "waiting_for_person"),
        ({"Origin": "null"}, "cross_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "cross_origin"),
        ({"Host": "evil.example"}, "foreign_host"),
    ):
        status, body = await server.post(command, {}, headers=headers)
        assert (status, body["code"]) == (403, code)


class TestBeyondLoopback:
    @pytest.fixture
    def guard(self) -> Guard:
        return Guard(beyond_loopback=True)

    @pytest.mark.parametrize("command", WRITES)
    async def test_commands_that_write_to_disk_ask_for_a_token_to_be_set(self, server: Server, command: str) -> None:
        status, body = await server.post(command, {})
        assert status == 403 and "UIAPI_TOKEN" in body["error"]

    async def test_reading_is_as_open_as_comfyui(self, server: Server) -> None:
        assert (await server.post("analyze_workflow", {"workflow": workflow()}))[0] == 200
        assert (await server.get("downloads"))[0] == 200
