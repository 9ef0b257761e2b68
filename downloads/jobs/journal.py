"""The journal of unfinished downloads: a file from which they are loaded when ComfyUI starts again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.json_store import Damaged, read_json, set_aside, write_json
from ...model_defs import ModelDef
from ..workflow.required_models import Need
from .job import Run, new_item
from .source_choice import Choice, cleaned
from .states import ItemState

log = logging.getLogger("uiapi")


class Journal:
    """The file of unfinished downloads.

    Args:
        path: its path.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        # Records that this version cannot read, which stay in the file; and why the whole file is unusable, if it is.
        self._unread: dict[str, Any] = {}
        self._unusable = ""

    async def load(self) -> list[Run]:
        """Load the unfinished downloads; records that cannot be read are logged and skipped."""
        try:
            kept = (await read_json(self._path, _check) or {}).get("downloads", {})
        except UiapiError as error:
            log.error("%s Unfinished downloads are not listed.", error.message)
            self._unusable = "" if isinstance(error, Damaged) else error.message
            return []
        runs = []
        for run_id, record in kept.items():
            try:
                runs.append(from_record(run_id, record))
            except (AttributeError, LookupError, TypeError, ValueError, UiapiError):
                log.warning("The unfinished download %r cannot be read and is not listed.", run_id)
                self._unread[run_id] = record
        return runs

    async def keep(self, runs: Iterable[Run]) -> None:
        """Save the unfinished downloads of `runs`, and remove all others. UiapiError `storage_failed`."""
        async with self._lock:
            if self._unusable:
                await set_aside(self._path, self._unusable)
                self._unusable = ""
            unfinished = [run for run in runs if not run.completed and run.items]
            records = {run.id: to_record(run) for run in unfinished}
            await write_json(self._path, {"downloads": {**self._unread, **records}})


def _check(data: dict[str, Any]) -> None:
    if not isinstance(data.get("downloads"), dict):
        raise ValueError("it has no object of downloads")


def to_record(run: Run) -> dict[str, Any]:
    """The record of a run in the journal."""
    return {
        "start_time": run.started,
        "overwrite": run.overwrite,
        "models": [
            {
                "name": item.need.name,
                "directory": item.directory,
                "source": cleaned(item.choice.model) if item.choice else None,
                "origin": item.choice.origin if item.choice else None,
                "sha256": item.choice.sha256 if item.choice else item.need.sha256,
            }
            for item in run.items
            if item.state is not ItemState.SUCCESS
        ],
    }


def from_record(run_id: str, record: dict[str, Any]) -> Run:
    """The paused run that a record describes.

    Raises:
        UiapiError: an invalid model definition.
        AttributeError, LookupError, TypeError, ValueError: an invalid record.
    """
    run = Run(run_id, overwrite=bool(record["overwrite"]))
    taken: set[str] = set()
    for data in record["models"]:
        need = Need(data["name"], data["directory"], sha256=data["sha256"])
        choice = None
        if data["source"]:
            choice = Choice(ModelDef.from_dict(data["source"]), data["directory"], data["origin"], data["sha256"])
        item = new_item(need, choice, taken)
        item.paused()
        run.items.append(item)
    run.started, run.total_models = float(record["start_time"]), len(run.items)
    run.message = "ComfyUI stopped before the download was complete; resume it with download_resume."
    run.pause()
    return run
