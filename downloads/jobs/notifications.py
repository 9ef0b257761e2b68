"""What others are told of downloads: how far they are, to subscribers, and what landed, to ComfyUI's lists and tabs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ...common.clock import steady_time
from ...common.errors import UiapiError
from ..common.error_report import log_defect
from ..storage.model_folders import Places
from .job import Run, measure

log = logging.getLogger("uiapi")

# Seconds in which all changes of a download are told together: hundreds of its models may end at once.
TELL_INTERVAL = 0.1
# Seconds in which files that land are told to the tabs together.
LANDED_INTERVAL = 0.5


class News:
    """Tells of downloads.

    Args:
        places: whose lists are made fresh.
        publish: tells subscribers of an event.
        models_changed: has open tabs read their file lists anew.
    """

    def __init__(
        self,
        places: Places,
        publish: Callable[[str, dict[str, Any]], None],
        models_changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._places = places
        self._publish = publish
        self._models_changed = models_changed
        self._due: dict[str, tuple[Run, asyncio.TimerHandle]] = {}
        self._refresh_due = False
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, run: Run) -> None:
        """Have subscribers told soon how far a download is."""
        if run.id not in self._due:
            timer = asyncio.get_running_loop().call_later(TELL_INTERVAL, self._tell, run)
            self._due[run.id] = run, timer

    async def landed(self, directory: str, path: Path) -> None:
        """Tell of a new file."""
        self._places.changed(directory)
        self._send("model_landed", {"directory": directory, "path": str(path)})
        if not self._refresh_due:
            self._refresh_due = True
            task = asyncio.create_task(self._tell_tabs(), name="uiapi refresh models")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Tell subscribers what is due, and nothing more."""
        for run, timer in [*self._due.values()]:
            timer.cancel()
            self._tell(run)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self, run: Run) -> None:
        self._due.pop(run.id, None)
        try:
            measure_all(run)
        except Exception as error:  # The last line of defence: the download itself is none the worse.
            log_defect(f"Measuring the download {run.id}", error)
        self._send("download_progress", {"download_id": run.id, **run.entry})

    def _send(self, event: str, data: dict[str, Any]) -> None:
        try:
            self._publish(event, data)
        except Exception as error:  # The last line of defence: whoever listens must not make a download fail.
            log_defect(f"Telling of {event}", error)

    async def _tell_tabs(self) -> None:
        # Files that land together are told together.
        await asyncio.sleep(LANDED_INTERVAL)
        self._refresh_due = False
        try:
            await self._models_changed()
        except UiapiError as error:
            log.info("Open tabs were not told of new models: %r", error.message)
        except Exception as error:  # The last line of defence: nobody waits for this task.
            log_defect("Telling open tabs of new models", error)


def measure_all(run: Run) -> None:
    """Bring a download's progress up to date."""
    for item in run.items:
        measure(item)
    entry = run.entry
    entry["current_model"] = sum(
        item.state not in ("pending", "waiting_for_url") for item in run.items if item.task is not None
    )
    if not entry["completed"]:
        entry["elapsed_time"] = steady_time() - entry["start_time"]
