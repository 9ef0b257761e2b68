"""Unexpected errors: each is reported as the failure of one model, and affects no other."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi.bridge.protocol.codec import encode
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.common.json_store import write_json
from comfyui_uiapi.downloads.api import service as service_module
from comfyui_uiapi.downloads.api.commands import ended
from comfyui_uiapi.downloads.jobs import journal, notifications, registry
from comfyui_uiapi.downloads.jobs.fetches import Fetches
from comfyui_uiapi.downloads.sources.resolver import Sources
from comfyui_uiapi.tests.downloads.conftest import Person, Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes
from comfyui_uiapi.tests.harness.models.model_sites import workflow

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]
SIZE = 200_000


def break_for(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, bad: str) -> list[str]:
    """Make a coroutine method fail if its arguments contain `bad`; returns those calls."""
    really, failed = getattr(owner, method), []

    async def broken(self: Any, *args: Any) -> Any:
        if bad in repr(args):
            failed.append(method)
            raise RuntimeError("Nobody foresaw this.")
        return await really(self, *args)

    monkeypatch.setattr(owner, method, broken)
    return failed


@pytest.mark.parametrize(("owner", "method"), [(Fetches, "begin"), (Sources, "look_up")])
async def test_an_unforeseen_failure_is_that_models_and_of_no_other(
    service: Service,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    method: str,
) -> None:
    host.offer("/good", model_bytes(SIZE))
    failed = break_for(monkeypatch, owner, method, "bad.safetensors")
    needs = [(f"{name}.safetensors", "checkpoints", host.url("/good")) for name in ("bad", "good")]
    run = await service.downloads.begin(workflow(*needs), {})
    status = await service.ended(run)
    bad = status["progress"]["bad.safetensors"]
    assert (bad["status"], bad["code"], failed) == ("error", "internal", [method])
    assert bad["details"]["reference"] in bad["error"] and bad["details"]["reference"] in caplog.text
    assert "Nobody foresaw this." in caplog.text and "Nobody" not in bad["error"]
    assert service.path("good.safetensors").exists() and status["status"] == "completed"
    monkeypatch.undo()
    await service.ended(await service.downloads.resume(run.id, "bad.safetensors"))
    assert service.path("bad.safetensors").exists()


async def test_a_download_of_one_model_that_fails_unforeseen_says_so(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_for(monkeypatch, Sources, "look_up", "bad.safetensors")
    run = await service.downloads.fetch_one("bad.safetensors", {"url": host.url("/bad")})
    with pytest.raises(UiapiError) as caught:
        await ended(run, 60)
    assert caught.value.code == "internal"
    assert (run.to_dict()["status"], run.to_dict()["completed"]) == ("error", True)


async def test_a_question_to_the_person_that_fails_unforeseen_ends(
    service: Service, host: Host, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.offer("/a", model_bytes(SIZE))
    break_for(monkeypatch, type(person), "__call__", "b.safetensors")
    needs = [("a.safetensors", "checkpoints", host.url("/a")), ("b.safetensors", "checkpoints", None)]
    status = await service.ended(await service.downloads.begin(workflow(*needs), {}))
    assert (status["status"], status["progress"]["b.safetensors"]["code"]) == ("completed", "internal")
    assert registry.pending_downloads == {}


BAD_ADDRESSES = ["https://huggingface.co:99999/a/b/resolve/main/x", "https://[bad/x.safetensors", "http://h:bad/x"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_an_invalid_url_fails_alone(service: Service, host: Host, address: str) -> None:
    host.offer("/good", model_bytes(SIZE))
    needs = [("bad.safetensors", "checkpoints", address), ("good.safetensors", "checkpoints", host.url("/good"))]
    status = await service.ended(await service.downloads.begin(workflow(*needs), {}))
    assert {name: entry.get("code") for name, entry in status["progress"].items()} == {
        "bad.safetensors": "invalid",
        "good.safetensors": None,
    }


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_an_invalid_url_affects_no_other_model_of_a_plan(service: Service, host: Host, address: str) -> None:
    host.offer("/good", model_bytes(SIZE))
    needs = [("bad.safetensors", "checkpoints", address), ("good.safetensors", "checkpoints", host.url("/good"))]
    plan = await service.downloads.plan(workflow(*needs), {})
    assert [model["action"] for model in plan["models"]] == ["blocked", "download"]
    assert plan["models"][0]["reason"]["code"] == "invalid"


async def test_an_unforeseen_failure_spoils_no_plan(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.offer("/good", model_bytes(SIZE))
    break_for(monkeypatch, Sources, "look_up", "bad.safetensors")
    needs = [(f"{name}.safetensors", "checkpoints", host.url("/good")) for name in ("bad", "good")]
    plan = await service.downloads.plan(workflow(*needs), {})
    assert [model["action"] for model in plan["models"]] == ["blocked", "download"]
    assert plan["models"][0]["reason"]["code"] == "internal"


# -- letters that UTF-8 has not -----------------------------------------------------------------------------------


async def test_half_a_character_in_a_hosts_message_is_reported(service: Service, host: Host) -> None:
    host.offer("/x", b'{"message": "sorry \\ud800"}', status=404, content_type="application/json")
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    with pytest.raises(UiapiError) as caught:
        await ended(run, 60)
    assert b"sorry ?" in encode(caught.value.envelope())
    assert b"sorry ?" in encode(service.downloads.listed())


async def test_half_a_character_in_a_models_name_fails_alone(service: Service, host: Host, person: Person) -> None:
    host.offer("/good", model_bytes(SIZE))
    needs = [
        ("\ud800.safetensors", "checkpoints", None),
        ("b.safetensors", "\ud800", "https://hf.co/\ud800"),
        ("good.safetensors", "checkpoints", host.url("/good")),
    ]
    plan = await service.downloads.plan(workflow(*needs), {})
    assert [model["action"] for model in plan["models"]] == ["no_url", "blocked", "download"] and encode(plan)
    status = await service.ended(await service.downloads.begin(workflow(*needs), {}))
    assert [entry["status"] for entry in status["progress"].values()] == ["error", "error", "success"]
    assert encode(service.downloads.listed()) and person.asked == []


# -- who listens, and the disk ------------------------------------------------------------------------------------


async def test_a_listener_that_fails_makes_no_failure_of_a_download(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    go = asyncio.Event()
    host.offer("/a", model_bytes(SIZE), held=go)
    events: list[str] = []

    def publish(event: str, data: dict[str, Any]) -> None:
        events.append(event)
        raise RuntimeError("Nobody foresaw this.")

    monkeypatch.setattr(service.downloads._notifications, "_publish", publish)
    monkeypatch.setattr(service_module, "MEASURE_INTERVAL", 0.01)
    run = await service.downloads.fetch_one("a.safetensors", {"url": host.url("/a")})
    # The look at how far it is goes on after it has failed.
    await eventually(lambda: events.count("download_progress") > 2)
    go.set()
    assert (await service.ended(run))["status"] == "completed" and "model_landed" in events


def full_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Have the journal be writable that often."""
    really, writes = write_json, 0

    async def write(*args: Any) -> None:
        nonlocal writes
        writes += 1
        if writes > after:
            raise UiapiError("storage_failed", "The disk is full.")
        await really(*args)

    monkeypatch.setattr(journal, "write_json", write)


async def test_a_download_that_cannot_be_remembered_is_refused_and_not_listed(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_disk(monkeypatch, after=0)
    with pytest.raises(UiapiError) as caught:
        await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    assert caught.value.code == "storage_failed"
    assert service.downloads.listed() == {} and registry.counts() == (0, 0)


@pytest.mark.parametrize("state", ["a file", "a link that leads nowhere"])
async def test_a_state_folder_that_is_none_keeps_nothing_from_starting_and_every_download_from_beginning(
    service: Service, host: Host, state: str
) -> None:
    shutil.rmtree(service.state, ignore_errors=True)
    service.state.parent.mkdir(parents=True, exist_ok=True)
    if state == "a file":
        service.state.write_text("not a folder")
    else:
        service.state.symlink_to(service.state.parent / "nowhere")
    again = service.make()
    await again.start()
    try:
        with pytest.raises(UiapiError) as refused:
            await again.fetch_one("x.safetensors", {"url": host.url("/x")})
        assert refused.value.code == "storage_failed"
    finally:
        await again.close()


async def test_a_file_of_state_that_is_a_link_is_replaced_and_what_it_leads_to_stays(
    service: Service, host: Host
) -> None:
    theirs = service.state.parent / "theirs"
    service.state.mkdir(parents=True, exist_ok=True)
    theirs.write_text("keep this")
    (service.state / "downloads.json").symlink_to(theirs)
    host.offer("/x", model_bytes(1000))
    assert (await service.fetch("x.safetensors", host.url("/x")))["status"] == "success"
    assert theirs.read_text() == "keep this" and not (service.state / "downloads.json").is_symlink()


async def test_a_download_whose_end_cannot_be_remembered_ended_as_it_did(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.offer("/x", model_bytes(SIZE))
    full_disk(monkeypatch, after=1)
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    status = await service.ended(run)
    assert (status["status"], status.get("error")) == ("completed", None)


class SlowDisk:
    """Has each write of the journal wait until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writing = 0
        self.go = asyncio.Event()
        really = write_json

        async def write(*args: Any) -> None:
            self.writing += 1
            await self.go.wait()
            await really(*args)

        monkeypatch.setattr(journal, "write_json", write)


async def test_a_caller_that_hangs_up_before_its_download_began_leaves_none(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    disk = SlowDisk(monkeypatch)
    asking = asyncio.create_task(service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")}))
    await eventually(lambda: disk.writing)
    asking.cancel()
    await asyncio.wait({asking}, timeout=60)
    assert service.downloads.listed() == {} and registry.counts() == (0, 0)


async def test_a_download_resumed_while_its_failure_is_being_noted_goes_on(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    run = await service.downloads.fetch_one("x.safetensors", {"url": host.url("/x")})
    disk = SlowDisk(monkeypatch)
    await eventually(lambda: run.to_dict()["completed"] and disk.writing)
    assert run.to_dict()["status"] == "error"
    host.offer("/x", model_bytes(SIZE))
    resuming = asyncio.create_task(service.downloads.resume(run.id, None))
    await eventually(lambda: not run.to_dict()["completed"])
    disk.go.set()
    await resuming
    status = await service.ended(run)
    assert (status["status"], status["completed"]) == ("completed", True)
    assert service.path("x.safetensors").exists()
    assert json.loads((service.state / "downloads.json").read_text())["downloads"] == {}


async def test_a_model_cancelled_before_its_download_began_ends_no_other(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    host.offer("/x", model_bytes(SIZE))
    needs = [(f"{name}.safetensors", "checkpoints", host.url("/x")) for name in "ab"]
    disk = SlowDisk(monkeypatch)
    beginning = asyncio.create_task(service.downloads.begin(workflow(*needs), {}))
    await eventually(lambda: disk.writing)
    [run_id] = service.downloads.listed()
    await service.downloads.stop(run_id, "a.safetensors", "cancelled")
    disk.go.set()
    run = await beginning
    await service.ended(run)
    assert [item.state for item in run.items] == ["cancelled", "success"]


# -- very many ----------------------------------------------------------------------------------------------------


async def test_models_that_end_together_are_reported_together(service: Service, host: Host) -> None:
    needs = [(f"{number}.safetensors", "checkpoints", "https://nowhere.example/x") for number in range(300)]
    began = asyncio.get_running_loop().time()
    status = await service.ended(await service.downloads.begin(workflow(*needs), {}))
    took = asyncio.get_running_loop().time() - began
    assert status["status"] == "error"
    assert len(service.events) <= took / notifications.SEND_INTERVAL + 2


async def test_a_download_of_more_models_than_any_workflow_needs_is_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "MOST_MODELS", 3)
    needs = [(f"{number}.safetensors", "checkpoints", "https://nowhere.example/x") for number in range(4)]
    for asked in (service.downloads.begin, service.downloads.plan):
        with pytest.raises(UiapiError) as caught:
            await asked(workflow(*needs), {})
        assert caught.value.code == "too_large"
        await asked(workflow(*needs), {}, only=["1.safetensors"])


async def test_the_log_of_a_defect_holds_no_token(
    service: Service, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("Authorization: Bearer sesame-open for https://h.example/x?token=sesame-open")

    monkeypatch.setattr(Sources, "look_up", broken)
    with caplog.at_level(logging.ERROR, "uiapi"):
        await service.fetch("x.safetensors", host.url("/x"))
    assert "RuntimeError" in caplog.text and "sesame" not in caplog.text
