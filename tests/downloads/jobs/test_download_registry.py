"""The registry of downloads: what it keeps and for how long, under its public names."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from comfyui_uiapi import server
from comfyui_uiapi.common.errors import UiapiError
from comfyui_uiapi.downloads.common.credentials import Secret
from comfyui_uiapi.downloads.jobs import job, registry
from comfyui_uiapi.downloads.jobs.registry import (
    TASK_CLEANUP_AGE,
    _handle_task_exception,
    cleanup_old_pending_downloads,
    cleanup_old_tasks,
    download_tasks,
    pending_downloads,
)
from comfyui_uiapi.downloads.jobs.states import RunState
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes

Eventually = Callable[[Callable[[], Any]], Awaitable[None]]


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        for module in (registry, job):
            monkeypatch.setattr(module, "steady_time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_names_are_at_the_front_door() -> None:
    for name in (
        "download_tasks",
        "pending_downloads",
        "TASK_CLEANUP_AGE",
        "cleanup_old_tasks",
        "cleanup_old_pending_downloads",
        "_handle_task_exception",
    ):
        assert getattr(server, name) is getattr(registry, name)
    assert server.DEFAULT_TIMEOUT == 300.0 and TASK_CLEANUP_AGE == 3600


def test_a_finished_task_is_forgotten_after_an_hour_and_not_before(clock: Clock) -> None:
    download_tasks["done"] = {"completed": True, "start_time": clock.now - 9000, "completed_at": clock.now}
    clock.now += TASK_CLEANUP_AGE
    cleanup_old_tasks()
    assert "done" in download_tasks
    clock.now += 1
    cleanup_old_tasks()
    assert download_tasks == {}


def test_a_finished_task_without_an_end_goes_by_its_start(clock: Clock) -> None:
    download_tasks["old"] = {"completed": True, "start_time": clock.now - TASK_CLEANUP_AGE - 1}
    download_tasks["new"] = {"completed": True, "start_time": clock.now - 10}
    cleanup_old_tasks()
    assert [*download_tasks] == ["new"]


def test_a_running_task_is_never_forgotten(clock: Clock) -> None:
    download_tasks["running"] = {"completed": False, "start_time": clock.now - 100 * TASK_CLEANUP_AGE}
    cleanup_old_tasks()
    assert [*download_tasks] == ["running"]


def test_a_question_nobody_answered_is_forgotten_after_an_hour(clock: Clock) -> None:
    pending_downloads["old"] = {"timestamp": clock.now - TASK_CLEANUP_AGE - 1}
    pending_downloads["new"] = {"timestamp": clock.now - TASK_CLEANUP_AGE + 1}
    cleanup_old_pending_downloads()
    assert [*pending_downloads] == ["new"]


def test_ten_thousand_tasks_leave_none_older_than_an_hour_and_running_ones_stay(clock: Clock) -> None:
    for number in range(10_000):
        run = job.Run(f"task-{number}", started=clock.now)
        registry.jobs.add(run)
        registry.jobs.ask(run.id, [])
        if number % 100:
            run.finish(RunState.COMPLETED)
        clock.now += 2.0
        if number % 50 == 0:
            registry.counts()
    active, pending = registry.counts()
    running = [name for name, task in download_tasks.items() if not task["completed"]]
    assert (active, len(running)) == (100, 100) and pending <= TASK_CLEANUP_AGE / 2
    ended = [task["completed_at"] for task in download_tasks.values() if task["completed"]]
    assert clock.now - min(ended) <= TASK_CLEANUP_AGE and len(ended) <= TASK_CLEANUP_AGE / 2


def test_a_dict_that_is_entered_is_kept_as_it_is_and_one_of_a_download_is_a_copy() -> None:
    mine: dict[str, Any] = {"status": "completed", "completed": True}
    download_tasks["mine"] = mine
    pending_downloads["mine"] = mine
    assert download_tasks["mine"] is mine and pending_downloads["mine"] is mine
    run = job.new_run(overwrite=False)
    registry.jobs.add(run)
    download_tasks[run.id]["status"] = "completed"
    assert download_tasks == {"mine": mine, run.id: run.to_dict()} and run.state is RunState.INITIALIZING
    # Neither says when it ended, so both are old.
    assert registry.counts() == (1, 0) and pending_downloads == {}
    download_tasks.update(mine=mine)
    assert [*download_tasks] == [run.id, "mine"] and download_tasks.pop("mine") is mine
    assert "mine" not in download_tasks and download_tasks.get("mine") is None
    download_tasks.clear()
    assert not download_tasks and registry.jobs.runs == {}


async def test_the_service_forgets_downloads_that_the_registry_has_dropped(
    service: Service, host: Host, clock: Clock
) -> None:
    host.offer("/x.safetensors", model_bytes(1000))
    ids = []
    for number in range(5):
        run = await service.downloads.fetch_one(f"x{number}.safetensors", {"url": host.url("/x.safetensors")})
        await service.ended(run)
        ids.append(run.id)
    assert all(service.downloads.status(run_id)["completed"] for run_id in ids)
    clock.now += TASK_CLEANUP_AGE + 1
    assert service.downloads.listed() == {}
    with pytest.raises(UiapiError, match="no download"):
        service.downloads.run(ids[0])


async def failing() -> None:
    raise RuntimeError("the token is sesame-open-now")


async def test_a_download_that_fails_unforeseen_says_so_in_its_status(caplog: pytest.LogCaptureFixture) -> None:
    Secret("sesame-open-now", frozenset())
    download_tasks["x"] = {"status": "downloading", "completed": False, "start_time": time.time()}
    task = asyncio.create_task(failing())
    await asyncio.wait({task})
    with caplog.at_level(logging.ERROR, "uiapi"):
        _handle_task_exception(task, "x")
    entry = download_tasks["x"]
    assert (entry["status"], entry["completed"]) == ("error", True) and entry["error"].startswith("the token is")
    assert "Traceback" in caplog.text and "failing" in caplog.text
    assert "sesame-open-now" not in caplog.text + entry["error"]


async def test_a_failure_of_a_task_that_is_not_registered_is_logged_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = asyncio.create_task(failing())
    await asyncio.wait({task})
    _handle_task_exception(task, "gone")
    assert "gone" in caplog.text and "gone" not in download_tasks


async def test_a_task_that_ended_well_or_was_cancelled_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    download_tasks["well"] = {"status": "completed", "completed": True}
    download_tasks["cancelled"] = {"status": "downloading", "completed": False}
    well, cancelled = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(60))
    cancelled.cancel()
    await asyncio.wait({well, cancelled})
    _handle_task_exception(well, "well")
    _handle_task_exception(cancelled, "cancelled")
    assert download_tasks["well"] == {"status": "completed", "completed": True}
    assert download_tasks["cancelled"]["status"] == "cancelled" and download_tasks["cancelled"]["completed"]
    assert caplog.text == ""
