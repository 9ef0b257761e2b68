"""The registry of downloads: the state of each as download_status returns it, and when it expires."""

from __future__ import annotations

import asyncio
from typing import Any

from ...common.clock import steady_time
from ..common.credentials import redact
from ..common.error_report import log_defect

# Seconds a finished download stays in the registry.
TASK_CLEANUP_AGE = 3600

# By download_id: {status, completed, progress, start_time, total_models, current_model, …}.
download_tasks: dict[str, dict[str, Any]] = {}
# By download_id: downloads that wait for URLs from the person: {timestamp, task_id, names}.
pending_downloads: dict[str, dict[str, Any]] = {}


def cleanup_old_tasks() -> None:
    """Remove downloads that ended more than TASK_CLEANUP_AGE ago; unfinished downloads are never removed."""
    now = steady_time()
    for task_id, task in [*download_tasks.items()]:
        ended = task.get("completed_at") or task.get("start_time") or 0.0
        if task.get("completed") and now - ended > TASK_CLEANUP_AGE:
            del download_tasks[task_id]


def cleanup_old_pending_downloads() -> None:
    """Remove requests for URLs made more than TASK_CLEANUP_AGE ago."""
    now = steady_time()
    for task_id, pending in [*pending_downloads.items()]:
        asked = pending.get("timestamp") or pending.get("start_time") or 0.0
        if now - asked > TASK_CLEANUP_AGE:
            del pending_downloads[task_id]


def counts() -> tuple[int, int]:
    """The numbers of downloads in progress and of those waiting for the person; expired ones are removed."""
    cleanup_old_tasks()
    cleanup_old_pending_downloads()
    return sum(not task.get("completed") for task in download_tasks.values()), len(pending_downloads)


def finish(task: dict[str, Any], status: str, error: str | None = None) -> None:
    """Mark a task as completed, with its final status and the time."""
    now = steady_time()
    task.update(status=status, completed=True, completed_at=now)
    if "start_time" in task:
        task["elapsed_time"] = now - task["start_time"]
    if error is not None:
        task["error"] = error


def _handle_task_exception(task: asyncio.Task[Any], task_id: str) -> None:
    """The done callback of background downloads: records an unexpected error in the download's status."""
    entry = download_tasks.get(task_id)
    if task.cancelled():
        if entry is not None and not entry.get("completed"):
            finish(entry, "cancelled")
        return
    error = task.exception()
    if error is None:
        return
    log_defect(f"The download {task_id}", error)
    if entry is not None:
        finish(entry, "error", redact(str(error)) or type(error).__name__)
