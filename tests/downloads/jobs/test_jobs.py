"""Downloads of a workflow's models: their sources, their status, and what a restart finds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.jobs import registry
from comfyui_uiapi.downloads.jobs.fetches import Agreed
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.tests.downloads.conftest import Person, Service, received
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
SIZE = 300_000


async def test_every_model_of_a_workflow_that_is_missing_is_fetched(service: Service, host: Host) -> None:
    data = {name: model_bytes(SIZE, seed) for seed, name in enumerate(("a.safetensors", "b.safetensors"))}
    for name, content in data.items():
        host.offer(f"/{name}", content)
    service.path("there.safetensors", "vae").write_bytes(mine := model_bytes(300))
    run = await service.downloads.begin(
        workflow(
            ("a.safetensors", "checkpoints", host.url("/a.safetensors")),
            ("sub/b.safetensors", "loras", host.url("/b.safetensors")),
            ("there.safetensors", "vae", host.url("/there.safetensors")),
        ),
        {},
    )
    assert run.to_dict()["status"] in ("checking", "downloading", "initializing") and not run.to_dict()["completed"]
    status = await service.ended(run)
    assert (status["status"], status["completed"], status["total_models"]) == ("completed", True, 2)
    assert status["elapsed_time"] >= 0 and status["completed_at"] >= status["start_time"]
    progress = status["progress"]
    assert {name: entry["status"] for name, entry in progress.items()} == dict.fromkeys(
        ("a.safetensors", "sub/b.safetensors", "there.safetensors"), "success"
    )
    assert [entry["model_number"] for entry in progress.values()] == ["1/2", "2/2", "existing"]
    assert progress["sub/b.safetensors"]["path"] == str(service.path("sub/b.safetensors", "loras"))
    assert (progress["a.safetensors"]["bytes"], progress["a.safetensors"]["total"]) == (SIZE, SIZE)
    assert service.path("sub/b.safetensors", "loras").read_bytes() == data["b.safetensors"]
    assert service.path("there.safetensors", "vae").read_bytes() == mine


async def test_comfyuis_lists_and_open_tabs_are_refreshed_when_a_file_is_complete(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/a.safetensors", model_bytes(SIZE))
    service.folders.filename_list_cache["checkpoints"] = ([], {}, 0)
    await service.fetch("a.safetensors", host.url("/a.safetensors"))
    assert "checkpoints" not in service.folders.filename_list_cache
    await eventually(lambda: service.refreshed == 1)
    assert ("model_landed", {"directory": "checkpoints", "path": str(service.path("a.safetensors"))}) in service.events


async def test_progress_is_reported_by_events_in_bytes(service: Service, host: Host, eventually: Eventually) -> None:
    go = asyncio.Event()
    host.offer("/a.safetensors", model_bytes(4_000_000), held=go, free=2_000_000)
    run = await service.downloads.fetch_one("a.safetensors", {"url": host.url("/a.safetensors")})
    seen: list[dict[str, Any]] = []

    def has_a_speed() -> bool:
        entry = service.downloads.status(run.id)["progress"]["a.safetensors"]
        seen.append({**entry})
        return bool(entry["speed"] and entry["eta"])

    await eventually(has_a_speed)
    go.set()
    await service.ended(run)
    downloading = [entry for entry in seen if entry["status"] == "downloading" and entry["bytes"]]
    assert downloading and all(entry["total"] == 4_000_000 for entry in downloading)
    assert [entry["bytes"] for entry in downloading] == sorted(entry["bytes"] for entry in downloading)
    assert {data["download_id"] for event, data in service.events if event == "download_progress"} == {run.id}


async def test_the_requests_table_comes_before_the_saved_map_and_that_before_the_workflow(
    service: Service, host: Host, person: Person
) -> None:
    names = ("table", "saved", "workflow", "asked")
    data = {name: model_bytes(SIZE, seed) for seed, name in enumerate(names)}
    for name, content in data.items():
        host.offer(f"/{name}", content)
    await url_map.save_model_urls({f"{name}.safetensors": host.url("/saved") for name in ("table", "saved")})
    person.urls = {"asked.safetensors": host.url("/asked")}
    run = await service.downloads.begin(
        workflow(
            *((f"{name}.safetensors", "checkpoints", host.url("/workflow")) for name in names[:3]),
            ("asked.safetensors", "checkpoints", None),
        ),
        {"table.safetensors": {"url": host.url("/table"), "ckpt_type": "loras"}},
    )
    await service.ended(run)
    for name, content in data.items():
        assert service.path(f"{name}.safetensors").read_bytes() == content
    assert [asked["name"] for asked in person.asked] == ["asked.safetensors"]


async def test_a_table_may_name_a_model_by_its_bare_name_or_with_its_folder(service: Service, host: Host) -> None:
    data = {name: model_bytes(SIZE, seed) for seed, name in enumerate(("bare", "one", "two"))}
    for name, content in data.items():
        host.offer(f"/{name}", content)
    table: dict[str, Any] = {
        "x.safetensors": host.url("/bare"),
        "loras/y.safetensors": host.url("/one"),
        "vae/y.safetensors": host.url("/two"),
        "unneeded.safetensors": host.url("/none"),
    }
    run = await service.downloads.begin(
        workflow(
            ("sub\\x.safetensors", "checkpoints", None),
            ("y.safetensors", "loras", None),
            ("y.safetensors", "vae", None),
        ),
        table,
    )
    status = await service.ended(run)
    assert status["status"] == "completed", status
    assert [*status["progress"]] == ["sub\\x.safetensors", "y.safetensors", "vae/y.safetensors"]
    assert service.path("sub/x.safetensors").read_bytes() == data["bare"]
    assert service.path("y.safetensors", "loras").read_bytes() == data["one"]
    assert service.path("y.safetensors", "vae").read_bytes() == data["two"]
    assert status["unused"] == ["unneeded.safetensors"]


async def test_a_hash_the_workflow_gives_is_enforced(service: Service, host: Host) -> None:
    host.offer("/x.safetensors", model_bytes(SIZE))
    need = ("x.safetensors", "checkpoints", host.url("/x.safetensors"))
    run = await service.downloads.begin(workflow(need, hash="0" * 64, hash_type="SHA256"), {})
    status = await service.ended(run)
    assert (status["status"], status["progress"]["x.safetensors"]["code"]) == ("error", "hash_mismatch")
    assert not service.path("x.safetensors").exists()


async def test_muted_models_and_models_of_nothing_are_not_fetched(service: Service, host: Host) -> None:
    muted = workflow(("x.safetensors", "checkpoints", host.url("/x.safetensors")))
    muted["nodes"][0]["mode"] = 4
    for nothing in (muted, workflow()):
        run = await service.downloads.begin(nothing, {})
        status = await service.ended(run)
        assert (status["status"], status["progress"], status["total_models"]) == ("completed", {}, 0)
    assert host.seen == []


async def test_one_model_that_fails_does_not_hold_up_the_others(service: Service, host: Host) -> None:
    host.offer("/good.safetensors", model_bytes(SIZE))
    run = await service.downloads.begin(
        workflow(
            ("gone.safetensors", "checkpoints", host.url("/gone.safetensors")),
            ("good.safetensors", "checkpoints", host.url("/good.safetensors")),
            ("far.safetensors", "depth_models", host.url("/good.safetensors")),
            ("../evil.safetensors", "checkpoints", host.url("/good.safetensors")),
        ),
        {},
    )
    status = await service.ended(run)
    assert status["status"] == "completed"
    codes = {name: entry.get("code") for name, entry in status["progress"].items()}
    assert codes == {
        "gone.safetensors": "not_at_source",
        "good.safetensors": None,
        "far.safetensors": "unknown_folder",
        "../evil.safetensors": "bad_path",
    }


# -- asking the person ------------------------------------------------------------------------------------------


async def test_the_person_is_asked_once_for_all_and_their_answers_are_saved(
    service: Service, host: Host, person: Person, eventually: Eventually
) -> None:
    host.offer("/a", model_bytes(SIZE))
    person.urls = {"a.safetensors": host.url("/a"), "c.safetensors": "https://elsewhere.example/c"}
    person.thinks = asyncio.Event()
    run = await service.downloads.begin(workflow(*((f"{name}.safetensors", "checkpoints", None) for name in "abc")), {})
    await eventually(lambda: run.id in registry.pending_downloads)
    assert run.to_dict()["status"] == "waiting_for_url"
    assert registry.pending_downloads[run.id]["names"] == ["a.safetensors", "b.safetensors", "c.safetensors"]
    assert registry.counts() == (1, 1)
    assert {entry["status"] for entry in run.to_dict()["progress"].values()} == {"waiting_for_url"}
    person.thinks.set()
    status = await service.ended(run)
    assert registry.pending_downloads == {}
    progress = status["progress"]
    assert [progress[f"{name}.safetensors"].get("code") for name in "abc"] == [None, "declined", "host_refused"]
    assert await url_map.load_stored_urlmap() == {"a.safetensors": host.url("/a")}
    assert len(person.asked) == 3 and person.asked[0]["directory"] == "checkpoints"


async def test_two_models_of_one_file_name_are_asked_for_and_chosen_apart(
    service: Service, host: Host, person: Person
) -> None:
    data = {folder: model_bytes(SIZE, seed) for seed, folder in enumerate(("vae", "loras"))}
    for folder, content in data.items():
        host.offer(f"/{folder}", content)
    person.urls = {f"{folder}/a.safetensors": host.url(f"/{folder}") for folder in data}
    asked = workflow(*(("a.safetensors", folder, None) for folder in data))
    await service.ended(await service.downloads.begin(asked, {}, only=["loras/a.safetensors"]))
    assert not service.path("a.safetensors", "vae").exists()
    await service.ended(await service.downloads.begin(asked, {}))
    assert {folder: service.path("a.safetensors", folder).read_bytes() for folder in data} == data
    assert await url_map.load_stored_urlmap() == person.urls


async def test_models_with_a_known_url_do_not_wait_for_the_person(
    service: Service, host: Host, person: Person, eventually: Eventually
) -> None:
    host.offer("/a", model_bytes(SIZE))
    person.urls, person.thinks = {}, asyncio.Event()
    run = await service.downloads.begin(
        workflow(("a.safetensors", "checkpoints", host.url("/a")), ("b.safetensors", "checkpoints", None)), {}
    )
    await eventually(lambda: service.path("a.safetensors").exists())
    assert run.to_dict()["status"] == "waiting_for_url"
    person.thinks.set()
    await service.ended(run)


@pytest.mark.parametrize("code", ["no_webui", "declined", "timeout", "client_disconnected"])
async def test_a_question_that_fails_is_the_reason_of_those_it_was_for(
    service: Service, person: Person, code: str
) -> None:
    person.urls = UiapiError(code, "So it is.")
    run = await service.downloads.begin(workflow(("a.safetensors", "checkpoints", None)), {})
    status = await service.ended(run)
    entry = status["progress"]["a.safetensors"]
    assert (status["status"], entry["status"], entry["code"]) == ("error", "error", code)
    assert registry.pending_downloads == {}


@pytest.mark.parametrize("ending", ["cancelled", "paused"])
async def test_a_download_that_waits_for_the_person_can_be_ended(
    service: Service, person: Person, eventually: Eventually, ending: str
) -> None:
    person.thinks = asyncio.Event()
    run = await service.downloads.begin(workflow(("a.safetensors", "checkpoints", None)), {})
    await eventually(lambda: run.id in registry.pending_downloads)
    await service.downloads.stop(run.id, None, ending)
    assert run.to_dict()["status"] == ending and registry.pending_downloads == {}


# -- cancel, pause, resume of one ---------------------------------------------------------------------------------


async def test_one_model_of_a_download_can_be_paused_and_resumed_while_the_other_goes_on(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data, go = model_bytes(6_000_000), asyncio.Event()
    for name in "ab":
        host.offer(f"/{name}", data, held=go, free=500_000)
    run = await service.downloads.begin(
        workflow(*((f"{name}.safetensors", "checkpoints", host.url(f"/{name}")) for name in "ab")), {}
    )
    await eventually(lambda: min(received(run), received(run, 1)) >= 500_000)
    await service.downloads.stop(run.id, "a.safetensors", "paused")
    assert run.item("a.safetensors").state == "paused" and run.item("b.safetensors").busy
    await service.downloads.resume(run.id, "a.safetensors")
    assert run.item("a.safetensors").busy
    go.set()
    status = await service.ended(run)
    assert status["status"] == "completed"
    assert service.path("a.safetensors").read_bytes() == service.path("b.safetensors").read_bytes() == data


async def test_a_failed_download_can_be_tried_again(service: Service, host: Host) -> None:
    run = await service.downloads.begin(workflow(("a.safetensors", "checkpoints", host.url("/a"))), {})
    assert (await service.ended(run))["status"] == "error"
    host.offer("/a", model_bytes(SIZE))
    status = await service.ended(await service.downloads.resume(run.id, None))
    assert (status["status"], status["completed"]) == ("completed", True)
    assert "error" not in status and status["progress"]["a.safetensors"]["error"] is None


async def test_cancelling_a_paused_download_drops_its_bytes(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/a", model_bytes(6_000_000), held=asyncio.Event(), free=1_000_000)
    run = await service.downloads.begin(workflow(("a.safetensors", "checkpoints", host.url("/a"))), {})
    await eventually(lambda: received(run) >= 1_000_000)
    await service.downloads.stop(run.id, None, "paused")
    assert any("uiapi-part" in file for file in service.folders.files())
    await service.downloads.stop(run.id, None, "cancelled")
    assert run.to_dict()["status"] == "cancelled"
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_download_that_is_not_under_way_cannot_be_stopped_or_resumed(service: Service, host: Host) -> None:
    host.offer("/a", model_bytes(SIZE))
    run = await service.downloads.begin(workflow(("a.safetensors", "checkpoints", host.url("/a"))), {})
    await service.ended(run)
    for attempt in (service.downloads.stop(run.id, None, "paused"), service.downloads.resume(run.id, None)):
        with pytest.raises(UiapiError) as caught:
            await attempt
        assert caught.value.code == "conflict"
    with pytest.raises(UiapiError) as caught:
        await service.downloads.stop(run.id, "other.safetensors", "paused")
    assert caught.value.code == "unknown_model"
    with pytest.raises(UiapiError) as caught:
        await service.downloads.resume("nothing", None)
    assert caught.value.code == "unknown_download"


# -- restarts -----------------------------------------------------------------------------------------------------


async def test_an_unfinished_download_survives_a_restart_and_resumes(
    service: Service, host: Host, eventually: Eventually
) -> None:
    data = model_bytes(8_000_000)
    answer = host.offer("/a", data, held=asyncio.Event(), free=3_000_000)
    host.offer("/b", model_bytes(SIZE))
    run = await service.downloads.begin(
        workflow(("a.safetensors", "checkpoints", host.url("/a")), ("b.safetensors", "loras", host.url("/b"))), {}
    )
    await eventually(lambda: received(run) >= 3_000_000 and run.items[1].state == "success")
    await service.downloads.close()
    assert run.to_dict()["status"] == "paused"
    registry.download_tasks.clear()
    again = service.make()
    await again.start()
    try:
        entry = again.listed()[run.id]
        assert (entry["status"], entry["completed"], entry["resumable"]) == ("paused", False, True)
        assert entry["start_time"] == run.to_dict()["start_time"]
        assert [*entry["progress"]] == ["a.safetensors"]
        answer.held, already = None, host.sent["/a"]
        resumed = await again.resume(run.id, None)
        status = await service.ended(resumed)
        assert status["status"] == "completed" and service.path("a.safetensors").read_bytes() == data
        assert host.sent["/a"] - already < 8_000_000
        assert json.loads((service.state / "downloads.json").read_text()) == {"version": 1, "downloads": {}}
    finally:
        await again.close()


async def test_the_service_starts_although_its_journal_cannot_be_read(service: Service) -> None:
    service.state.mkdir(parents=True, exist_ok=True)
    model = {"name": "x", "directory": None, "sha256": None, "source": ["x"], "origin": None}
    listed = {"x": {"overwrite": False, "start_time": 1, "models": [model]}, "y": 3, "z": {"models": [{"name": 5}]}}
    for text in (
        '{"version": 9}',
        '{"version": 1, "downloads": {"x": {"models": 3}}}',
        '{"version": 1, "downloads": []}',
        json.dumps({"version": 1, "downloads": listed}),
        "broken",
    ):
        (service.state / "downloads.json").write_text(text)
        again = service.make()
        await again.start()
        assert again.listed() == {}
        await again.close()


async def test_only_the_models_the_person_agreed_to_are_resumed(service: Service, host: Host) -> None:
    for name in "ab":
        host.offer(f"/{name}", model_bytes(SIZE), refusals=[404])
    wanted = workflow(("a.safetensors", "vae", host.url("/a")), ("b.safetensors", "vae", host.url("/b")))
    run = await service.downloads.begin(wanted, {})
    await service.ended(run)
    await service.downloads.resume(run.id, None, {"a.safetensors": Agreed(SIZE, replaces=False)})
    await service.ended(run)
    assert {item.key: item.state for item in run.items} == {"a.safetensors": "success", "b.safetensors": "error"}
    assert len(host.asked("/b")) == 1
