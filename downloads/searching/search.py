"""Searches model hosts for missing models: within one budget for all models of a plan, and with a memory.

A search is only started for models that no other place names a URL for, and only if the request asks for it, since it
sends the names of the models to their hosts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..common.credentials import Secret
from ..common.settings import Settings
from ..finding.candidate import Candidate
from ..finding.shortlist import base_name
from ..storage.model_folders import MODEL_EXTENSIONS, extension_of, same_name
from ..transfer.transfer_thread import Engine
from ..workflow.required_models import Need
from .budget import Budget, Limits
from .civitai import CivitaiSearch
from .hub import HubSearch
from .ranking import Found, is_published, ranked

# Seconds that what was found is kept, and what was searched for in vain or incompletely; models that are kept.
KEEP_SECONDS = 900.0
KEEP_INCOMPLETE = 60.0
MOST_KEPT = 2000

# The origins of what a search finds.
SEARCHED = frozenset({"civitai_hash", "huggingface", "civitai"})

_Key = tuple[str, str | None, str | None]


class Searches:
    """Searches Hugging Face and CivitAI.

    Args:
        settings: the URLs of the hosts.
        engine: sends the requests.
        limits: the budget of each search.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._limits = limits or Limits()
        self._clock = clock
        self._hub = HubSearch(settings, clock)
        self._civitai = CivitaiSearch(settings)
        self._kept: dict[_Key, tuple[float, Found]] = {}
        # One search at a time, so that programs cannot multiply the requests to a host.
        self._turn = asyncio.Lock()

    def known(self, need: Need) -> Found:
        """What was found for a model a while ago; nothing is asked."""
        until, found = self._kept.get(_key(need), (0.0, Found()))
        return found if until > self._clock() else Found()

    async def find(self, needs: Sequence[Need]) -> dict[str, Any]:
        """Search for models, and return a report; what was found is `known` from then on."""
        async with self._turn:
            budget = Budget(self._engine, self._limits, self._clock)
            due = {_key(need): need for need in needs if self._is_due(need)}
            if due:
                await self._search([*due.values()], budget)
            return budget.report()

    def _is_due(self, need: Need) -> bool:
        until, _ = self._kept.get(_key(need), (0.0, None))
        return until <= self._clock() and extension_of(need.name) in MODEL_EXTENSIONS

    async def _search(self, needs: list[Need], budget: Budget) -> None:
        civitai = await self._civitai.secret()
        by_hash = await asyncio.gather(*(self._by_hash(need, budget, civitai) for need in needs))
        left = [need for need, found in zip(needs, by_hash, strict=True) if not found]
        open_hub, hub = await self._hub.secret(budget) if left else (False, None)
        if open_hub:
            await self._hub.warm(budget, hub)

        async def by_name(need: Need) -> list[Candidate]:
            name = base_name(need.name)
            at_hub = await self._hub.find(need, name, budget, hub) if open_hub else []
            # CivitAI has at most copies of what such an organisation publishes.
            if any(is_published(need, candidate) for candidate in at_hub):
                return at_hub
            return [*at_hub, *await self._civitai.by_name(need, name, budget, civitai)]

        named = await asyncio.gather(*(by_name(need) for need in left))
        everything = [(need, found) for need, found in zip(needs, by_hash, strict=True) if found]
        for need, candidates in [*everything, *zip(left, named, strict=True)]:
            found = ranked(need, candidates)
            seconds = KEEP_SECONDS if budget.complete and found.candidates else KEEP_INCOMPLETE
            self._keep(need, found, self._clock() + seconds)

    async def _by_hash(self, need: Need, budget: Budget, secret: Secret | None) -> list[Candidate]:
        digest = need.sha256 or need.autov2
        return await self._civitai.by_hash(need, digest, budget, secret) if digest else []

    def _keep(self, need: Need, found: Found, until: float) -> None:
        self._kept.pop(_key(need), None)
        self._kept[_key(need)] = (until, found)
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]


def _key(need: Need) -> _Key:
    return (same_name(need.name), need.directory, need.sha256 or need.autov2)
