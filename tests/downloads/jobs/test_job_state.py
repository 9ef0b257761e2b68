"""The state of a download as programs see it: which keys an entry has at each point, and what they hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args
from unittest.mock import ANY

from comfyui_uiapi.downloads.api import schemas
from comfyui_uiapi.downloads.common.progress import Phase
from comfyui_uiapi.downloads.jobs import job
from comfyui_uiapi.downloads.jobs.journal import from_record, to_record
from comfyui_uiapi.downloads.jobs.states import ItemState, RunState
from comfyui_uiapi.tests.downloads.conftest import Person, Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes, sha256
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]

SIZE = 1000
RUNNING = {
    "status": "downloading",
    "completed": False,
    "resumable": False,
    "start_time": ANY,
    "elapsed_time": ANY,
    "total_models": 1,
    "current_model": ANY,
    "unused": [],
}
WAITING = {
    "status": "pending",
    "path": None,
    "model_number": "1/1",
    "error": None,
    "bytes": 0,
    "total": None,
    "speed": None,
    "eta": None,
    "directory": "checkpoints",
}


async def test_an_entry_says_what_was_downloaded_and_from_where(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(SIZE))
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    assert run.to_dict()["progress"]["x.safetensors"] == {
        **WAITING,
        "path": str(service.path("x.safetensors")),
        "url": host.url("/x"),
    }
    await service.ended(run)
    done = {**WAITING, "status": "success", "path": str(service.path("x.safetensors"))}
    done.update(bytes=SIZE, total=SIZE, url=host.url("/x"), source="https")
    over = {**RUNNING, "status": "completed", "completed": True, "completed_at": ANY}
    assert run.to_dict() == {**over, "progress": {"x.safetensors": done}}
    assert [*service.downloads.listed().values()] == [run.to_dict()]
    event = ("download_progress", {**run.to_dict(), "download_id": run.id})
    await eventually(lambda: service.events[-1] == event)


async def test_an_entry_of_a_file_that_is_present_has_no_source(service: Service, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE))
    await service.fetch("x.safetensors", host.url("/x"))
    path = str(service.path("x.safetensors"))
    run = await service.downloads.begin(
        workflow(("x.safetensors", "checkpoints", host.url("/x"))), {"other": "https://x"}
    )
    await service.ended(run)
    there = {**WAITING, "status": "success", "path": path, "model_number": "existing", "url": host.url("/x")}
    over = {**RUNNING, "status": "completed", "completed": True, "completed_at": ANY, "total_models": 0}
    assert run.to_dict() == {**over, "unused": ["other"], "progress": {"x.safetensors": there}}
    # One whose digest the request gives is verified as a download of its own.
    given = {"url": host.url("/x"), "sha256": sha256(model_bytes(SIZE))}
    run = await service.downloads.fetch_one("x.safetensors", given)
    await service.ended(run)
    assert run.to_dict()["progress"] == {"x.safetensors": {**there, "model_number": "1/1", "source": None}}


async def test_an_entry_of_a_failure_has_its_code_and_details_until_it_is_tried_again(
    service: Service, host: Host, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(SIZE), refusals=[404])
    run = await service.downloads.begin(
        workflow(("x.safetensors", "nowhere", host.url("/x")), ("y.safetensors", "vae", host.url("/x"))), {}
    )
    await service.ended(run)
    entry = run.to_dict()
    failed = {**WAITING, "status": "error", "directory": "vae", "model_number": "2/2", "error": ANY}
    failed.update(url=host.url("/x"), source="https", code="not_at_source")
    assert entry["progress"]["y.safetensors"] == {**failed, "details": ANY}
    assert entry["progress"]["x.safetensors"]["code"] == "unknown_folder"
    assert "source" not in entry["progress"]["x.safetensors"]
    assert entry == {
        **RUNNING,
        "status": "error",
        "completed": True,
        "completed_at": ANY,
        "total_models": 2,
        "error": entry["progress"]["x.safetensors"]["error"],
        "progress": ANY,
    }
    host.answers["/x"].held = asyncio.Event()
    await service.downloads.resume(run.id, "y.safetensors")
    await eventually(lambda: run.to_dict()["status"] == "downloading")
    entry = run.to_dict()
    assert not {"error", "completed_at"} & {*entry}
    again = entry["progress"]["y.safetensors"]
    assert not {"code", "details"} & {*again} and again["error"] is None
    host.answers["/x"].held.set()
    await service.ended(run)


async def test_an_entry_of_a_model_the_person_is_asked_for(
    service: Service, person: Person, eventually: Eventually
) -> None:
    person.thinks = asyncio.Event()
    run = await service.downloads.begin(workflow(("x.safetensors", "checkpoints", None)), {})
    await eventually(lambda: run.items[0].state == "waiting_for_url")
    assert run.to_dict()["status"] == "waiting_for_url"
    assert run.to_dict()["progress"] == {"x.safetensors": {**WAITING, "status": "waiting_for_url"}}
    await service.downloads.stop(run.id, None, "paused")
    entry = run.to_dict()
    assert entry == {**RUNNING, "status": "paused", "resumable": True, "progress": ANY}
    assert entry["progress"] == {"x.safetensors": {**WAITING, "status": "paused"}}
    await service.downloads.stop(run.id, None, "cancelled")
    over = {**RUNNING, "status": "cancelled", "completed": True, "resumable": True, "completed_at": ANY}
    assert run.to_dict() == {**over, "progress": {"x.safetensors": {**WAITING, "status": "cancelled"}}}


async def test_an_entry_of_a_download_that_a_restart_interrupted(service: Service, host: Host) -> None:
    host.offer("/x", model_bytes(SIZE), held=asyncio.Event())
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    again = from_record(run.id, to_record(run))
    paused = {**WAITING, "status": "paused", "model_number": None, "url": host.url("/x")}
    expected = {**RUNNING, "status": "paused", "resumable": True, "message": ANY}
    expected.update(current_model=0, start_time=run.to_dict()["start_time"], progress={"x.safetensors": paused})
    del expected["unused"], expected["elapsed_time"]
    assert again.to_dict() == expected
    await service.downloads.stop(run.id, None, "cancelled")


def test_every_phase_of_a_fetch_is_a_state_of_its_model() -> None:
    assert {*job._BY_PHASE} == {*get_args(Phase)}


def test_the_documents_list_the_states_that_a_download_has() -> None:
    assert {*get_args(schemas.RunState)} == {state.value for state in RunState}


def test_the_panel_has_words_for_every_state_of_a_model() -> None:
    texts = json.loads((Path(__file__).parents[3] / "locales" / "en" / "main.json").read_text("utf-8"))["uiapi"]
    assert set(texts["states"]) == {state.value for state in ItemState}
