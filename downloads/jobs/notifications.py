"""Notifications about downloads: progress events to subscribers, and new files to ComfyUI's lists and open tabs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ..common.error_report import log_defect
from ..storage.model_folders import Places
from .job import Run

log = logging.getLogger("uiapi")

# Seconds over which the changes of a download are sent as one event: hundreds of its models may end at once.
SEND_INTERVAL = 0.1
# Seconds over which new files are reported to the tabs together.
REFRESH_INTERVAL = 0.5


class Notifications:
    """Sends notifications.

    Args:
        places: the model folders, whose lists are reloaded.
        publish: sends an event to subscribers.
        models_changed: makes open tabs reload their file lists.
    """

    def __init__(
        self,
        places: Places,
        publish: Callable[[str, dict[str, Any]], object],
        models_changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._places = places
        self._publish = publish
        self._models_changed = models_changed
        self._due: dict[str, tuple[Run, asyncio.TimerHandle]] = {}
        self._refresh_due = False
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, run: Run) -> None:
        """Schedule a progress event of a download."""
        if run.id not in self._due:
            timer = asyncio.get_running_loop().call_later(SEND_INTERVAL, self._send_progress, run)
            self._due[run.id] = run, timer

    async def file_added(self, directory: str, path: Path) -> None:
        """Report a new file."""
        self._places.changed(directory)
        self._send("model_landed", {"directory": directory, "path": str(path)})
        if not self._refresh_due:
            self._refresh_due = True
            task = asyncio.create_task(self._refresh_tabs(), name="uiapi refresh models")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Send the events that are due, and stop."""
        for run, timer in [*self._due.values()]:
            timer.cancel()
            self._send_progress(run)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send_progress(self, run: Run) -> None:
        self._due.pop(run.id, None)
        try:
            run.measure()
        except Exception as error:  # The last line of defence: the download itself continues.
            log_defect(f"Measuring the download {run.id}", error)
        self._send("download_progress", {"download_id": run.id, **run.to_dict()})

    def _send(self, event: str, data: dict[str, Any]) -> None:
        try:
            self._publish(event, data)
        except Exception as error:  # The last line of defence: a subscriber must not make a download fail.
            log_defect(f"Sending {event}", error)

    async def _refresh_tabs(self) -> None:
        # Files that are complete at about the same time are reported together.
        await asyncio.sleep(REFRESH_INTERVAL)
        self._refresh_due = False
        try:
            await self._models_changed()
        except UiapiError as error:
            log.info("Open tabs were not notified of new models: %r", error.message)
        except Exception as error:  # The last line of defence: no caller waits for this task.
            log_defect("Notifying open tabs of new models", error)
