"""Builds the preview of a download that a person is asked to approve, and the limits that approval sets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...bridge.protocol.command_spec import Preview
from ...common.errors import UiapiError
from ..common.error_report import plain
from ..common.settings import Settings
from ..jobs.fetches import Agreed, FetchRequest
from ..jobs.job import Item, Run, resumable
from ..jobs.planner import QUESTIONS, Planner
from ..jobs.states import ItemState
from ..searching.search import SEARCHED
from ..sources.resolver import hosts_of
from ..storage.model_folders import Places

# Seconds to wait for hosts to report file sizes; the person is then asked without the sizes still unknown.
LOOK_TIMEOUT = 15.0


@dataclass(frozen=True)
class Plan:
    """A download that has not started, and what the person was shown of each of its models, by key."""

    run: Run
    agreed: dict[str, Agreed]


class Consent:
    """Builds previews.

    Args:
        planner: looks up files at their hosts.
        places: the model folders.
        settings: the endpoints of Hugging Face and CivitAI.
    """

    def __init__(self, planner: Planner, places: Places, settings: Settings) -> None:
        self._planner = planner
        self._places = places
        self._settings = settings

    async def of_new(self, run: Run) -> Preview:
        """The preview of a download that has not started."""
        return await self._of(run, [item for item in run.items if item.state is ItemState.PENDING])

    async def of_rest(self, run: Run, model: str | None) -> Preview:
        """The preview of the rest of a download, or of one of its models. UiapiError `unknown_model`."""
        return await self._of(run, resumable(run, model))

    async def _of(self, run: Run, items: list[Item]) -> Preview:
        turns = asyncio.Semaphore(QUESTIONS)

        async def size_of(item: Item) -> int | None:
            async with turns:
                return await self._size(item)

        looks = [asyncio.create_task(size_of(item), name=f"uiapi size of {item.key}") for item in items]
        try:
            if looks:
                await asyncio.wait(looks, timeout=LOOK_TIMEOUT)
        finally:
            for look in looks:
                look.cancel()
            sizes = await asyncio.gather(*looks, return_exceptions=True)
        files, agreed = [], {}
        for item, size in zip(items, sizes, strict=True):
            # A size that the host did not report in time is shown as unknown.
            known = size if isinstance(size, int) else None
            replaces = run.overwrite and await asyncio.to_thread(self._is_there, item)
            agreed[item.key] = Agreed(known, replaces)
            files.append(
                {
                    "name": plain(item.need.name),
                    "folder": plain(item.directory or ""),
                    "hosts": self._hosts(item),
                    "local": plain(item.choice.model.local) if item.choice and item.choice.model.local else None,
                    "size": known,
                    "replaces": replaces,
                    **_found(item),
                }
            )
        return Preview(files, Plan(run, agreed))

    def of_url(self, name: str, directory: str, url: str) -> Preview:
        """The preview of a URL that is to be saved."""
        hosts = hosts_of("url", url, self._settings)
        return Preview([{"name": plain(name), "folder": plain(directory), "hosts": hosts, "size": None}], None)

    async def _size(self, item: Item) -> int | None:
        """A model's size in bytes, None if it is unknown."""
        if item.choice is None:
            return None
        try:
            offer = await self._planner.first_offer(
                FetchRequest("", item.need.name, item.choice.model, item.choice.sha256)
            )
        except UiapiError:
            # The download itself reports why the model is unavailable.
            return None
        return offer.size

    def _hosts(self, item: Item) -> list[str]:
        sources = item.choice.model.sources if item.choice is not None else []
        return [*dict.fromkeys(host for kind, text in sources for host in hosts_of(kind, text, self._settings))]

    def _is_there(self, item: Item) -> bool:
        return item.directory is not None and self._places.find(item.directory, item.need.name) is not None


def _found(item: Item) -> dict[str, str]:
    """Why a model's source is used that was found by a search."""
    searched = item.choice is not None and item.choice.origin in SEARCHED
    return {"found": plain(item.choice.why)} if item.choice is not None and searched else {}
