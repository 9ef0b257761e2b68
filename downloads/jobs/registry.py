"""The register of downloads: every task's state as download_status tells it, and how long it is kept."""

from __future__ import annotations

import asyncio
from typing import Any

from ...common.clock import steady_time
from ..common.credentials import redact
from ..common.error_report import log_defect

# Seconds a finished download stays in the register.
TASK_CLEANUP_AGE = 3600

# By download_id: {status, completed, progress, start_time, total_models, current_model, …}.
download_tasks: dict[str, dict[str, Any]] = {}
# By download_id: downloads that wait for the person to give a URL: {timestamp, names}.
pending_downloads: dict[str, dict[str, Any]] = {}


def cleanup_old_tasks() -> None:
    """Forget downloads that ended more than TASK_CLEANUP_AGE ago; one that has not ended is never forgotten."""
    now = steady_time()
    for task_id, task in [*download_tasks.items()]:
        ended = task.get("completed_at") or task.get("start_time") or 0.0
        if task.get("completed") and now - ended > TASK_CLEANUP_AGE:
            del download_tasks[task_id]


def cleanup_old_pending_downloads() -> None:
    """Forget questions for URLs that were put more than TASK_CLEANUP_AGE ago."""
    now = steady_time()
    for task_id, pending in [*pending_downloads.items()]:
        asked = pending.get("timestamp") or pending.get("start_time") or 0.0
        if now - asked > TASK_CLEANUP_AGE:
            del pending_downloads[task_id]


def counts() -> tuple[int, int]:
    """Downloads under way, and those that wait for the person; forgets what is too old."""
    cleanup_old_tasks()
    cleanup_old_pending_downloads()
    return sum(not task.get("completed") for task in download_tasks.values()), len(pending_downloads)


def finish(task: dict[str, Any], status: str, error: str | None = None) -> None:
    """Set a task's end: its status, and when it was."""
    now = steady_time()
    task.update(status=status, completed=True, completed_at=now)
    if "start_time" in task:
        task["elapsed_time"] = now - task["start_time"]
    if error is not None:
        task["error"] = error


def _handle_task_exception(task: asyncio.Task[Any], task_id: str) -> None:
    """What every background download calls when it ends: one that failed unforeseen says so in its status."""
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
