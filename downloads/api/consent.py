"""What the person is shown of a download before they say whether it may begin, and what must still hold then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...bridge.protocol.command_spec import Preview
from ...common.errors import UiapiError
from ..common.error_report import plain
from ..common.settings import Settings
from ..jobs.fetches import Agreed, Wish
from ..jobs.job import Item, Run, resumable
from ..jobs.planner import QUESTIONS, Planner
from ..sources.resolver import hosts_of
from ..storage.model_folders import Places

# Seconds in which hosts are to say how large the files are; the question is put without the sizes they did not say.
LOOK_TIMEOUT = 15.0


@dataclass(frozen=True)
class Plan:
    """A download that has not begun, and what the person has been shown of its models, by their keys."""

    run: Run
    agreed: dict[str, Agreed]


class Consent:
    """Looks ahead for the question to the person.

    Args:
        planner: asks hosts what they have.
        places: the model folders.
        settings: the hosts that stand for Hugging Face and CivitAI.
    """

    def __init__(self, planner: Planner, places: Places, settings: Settings) -> None:
        self._planner = planner
        self._places = places
        self._settings = settings

    async def of_new(self, run: Run) -> Preview:
        """What the person is shown of a download that has not begun; they agree to that plan."""
        return await self._of(run, [item for item in run.items if item.state == "pending"])

    async def of_rest(self, run: Run, model: str | None) -> Preview:
        """What the person is shown of what is left of a download, or of one model. UiapiError `unknown_model`."""
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
            # What a host could not say, or not in time, the person sees as unknown.
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
                }
            )
        return Preview(files, Plan(run, agreed))

    def of_address(self, name: str, directory: str, url: str) -> Preview:
        """What the person is shown of an address that is to be remembered."""
        hosts = hosts_of("url", url, self._settings)
        return Preview([{"name": plain(name), "folder": plain(directory), "hosts": hosts, "size": None}], None)

    async def _size(self, item: Item) -> int | None:
        """A model's length in bytes, None where nobody says."""
        if item.choice is None:
            return None
        try:
            offer = await self._planner.first_offer(Wish("", item.need.name, item.choice.model, item.choice.sha256))
        except UiapiError:
            # Why it cannot be had is said by the download itself.
            return None
        return offer.size

    def _hosts(self, item: Item) -> list[str]:
        sources = item.choice.model.sources if item.choice is not None else []
        return [*dict.fromkeys(host for kind, text in sources for host in hosts_of(kind, text, self._settings))]

    def _is_there(self, item: Item) -> bool:
        return item.directory is not None and self._places.find(item.directory, item.need.name) is not None
