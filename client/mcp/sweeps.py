"""A sweep for an agent: its results as text, and its pictures on one contact sheet."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from typing import Any

from ..async_client import AsyncClient
from ..common.errors import UiapiError
from ..sweep.async_sweep import AsyncSweep
from ..sweep.files.entry import Entry, entry_of
from ..sweep.files.sheet import sheet
from ..sweep.item import SweepItem
from .parts import MAX_SIDE, Part, picture_part, text_part

# The most variations of an agent's sweep, so that each is large enough on the sheet to be seen.
MAX_VARIATIONS = 100
# The pictures that an agent gets if Pillow is missing.
MAX_PICTURES = 4

# Called with (variations that have ended, all variations).
Note = Callable[[int, int], None]


async def sweep_parts(client: AsyncClient, data: dict[str, Any], note: Note) -> list[Part]:
    """Returns the result of a sweep. Raises UiapiError if there is none at all."""
    if not {"grid", "variations"} & data.keys():
        # With neither, the client would follow a sweep that is under way, of whichever program.
        raise UiapiError("invalid", "Send sweep a grid, {path: [value, …]}, or variations, [[[path, value], …], …].")
    sweep = AsyncSweep(client, data, ordered=True, stop=data.get("on_error") == "stop")
    ended: list[dict[str, Any]] = []
    entries: list[Entry] = []
    pictures: list[Part] = []
    with_sheet = importlib.util.find_spec("PIL") is not None
    why: UiapiError | None = None
    async with sweep:
        if sweep.total > MAX_VARIATIONS:
            sentence = f"A sweep of an agent has at most {MAX_VARIATIONS} variations, not {sweep.total}; split it."
            raise UiapiError("too_many", sentence)
        try:
            async for item in sweep:
                note(len(ended) + 1, sweep.total)
                ended.append(_described(item))
                if with_sheet:
                    entries.append(await asyncio.to_thread(_entry, item))
                elif item.images and len(pictures) < MAX_PICTURES and item.error is None:
                    pictures.append(picture_part(item.image.data))
        except UiapiError as error:
            if not ended:
                raise
            why = error
    result: dict[str, Any] = {"total": sweep.total, "done": sweep.done, "failed": sweep.failed, "results": ended}
    if sweep.warnings:
        result["warnings"] = sweep.warnings
    if why is not None:
        result["ended_early"] = {"code": why.code, "error": why.message}
    if any(entry.picture for entry in entries):
        pictures = [picture_part(await asyncio.to_thread(sheet, entries, longest=MAX_SIDE))]
    return [text_part(result), *pictures]


def _described(item: SweepItem) -> dict[str, Any]:
    """Returns the facts of a result that an agent reads."""
    about: dict[str, Any] = {"index": item.index, "fields": item.fields}
    if item.repeat:
        about["repeat"] = item.repeat
    if item.warnings:
        about["warnings"] = item.warnings
    if item.error is not None:
        return {**about, "error": {"code": item.error.code, "error": item.error.message}}
    about["files"] = [file.url for file in item.files]
    return {**about, "texts": [str(text) for text in item.texts]} if item.texts else about


def _entry(item: SweepItem) -> Entry:
    """Returns the place of a result, with a smaller picture, so that a hundred of them fit in memory."""
    entry = entry_of(item)
    if not isinstance(entry.picture, bytes):
        return entry
    part = picture_part(entry.picture)
    return Entry(entry.fields, part[0] if isinstance(part, tuple) else None, entry.note, entry.repeat)
