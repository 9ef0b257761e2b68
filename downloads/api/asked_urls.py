"""Asks the person for the URLs of models, and saves URLs."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ...bridge.protocol.command_spec import DEFAULT_TIMEOUT
from ...common.errors import UiapiError
from ...model_defs import ModelDef
from ..common.credentials import redact
from ..common.settings import Settings
from ..jobs.job import Item
from ..jobs.runner import AskUrls, question_of
from ..jobs.source_choice import Entry, cleaned_entry
from ..sources.resolver import check_sources
from ..storage import url_map
from ..storage.model_folders import check_names
from ..transfer.host_guard import HostGuard

log = logging.getLogger("uiapi")


class AskedUrls:
    """The URLs that the person gives.

    Args:
        ask: asks the person at the tab.
        settings: the operator's settings.
        guard: decides which hosts may be reached.
    """

    def __init__(self, ask: AskUrls, settings: Settings, guard: HostGuard) -> None:
        self._ask = ask
        self._settings = settings
        self._guard = guard

    async def save(self, urls: Mapping[str, Entry]) -> None:
        """Save the URLs of models, without tokens.

        Raises:
            UiapiError: `invalid`, `host_refused`, `bad_path` for an invalid model name, `storage_failed`.
        """
        check_names(urls)
        kept: url_map.UrlMap = {}
        for name, entry in urls.items():
            model = ModelDef(url=entry) if isinstance(entry, str) else ModelDef.from_dict(entry)
            check_sources(model, self._settings, self._guard)
            kept[name] = cleaned_entry(entry)
        await url_map.save_model_urls(kept)

    async def ask(self, items: list[Item], program: str) -> dict[str, ModelDef | str]:
        """Ask for the URLs of models for a program, and save those that are given; by name. UiapiError as AskUrls."""
        questions = [question_of(item) for item in items]
        answers = await self._ask([item.need.name for item in items], questions, DEFAULT_TIMEOUT, program)
        given: dict[str, Entry] = {}
        for item in items:
            key = item.need.in_folder if item.need.in_folder in answers else item.need.name
            if not (answer := answers.get(key)):
                continue
            given[key] = _entry(item, answer)
            try:
                await self.save({key: given[key]})
            except UiapiError as error:
                # It is tried regardless, and the download reports what is wrong with it.
                log.warning("The URL given for %r is not saved: %r", item.need.name, redact(error.message))
        return {key: entry if isinstance(entry, str) else ModelDef.from_dict(entry) for key, entry in given.items()}


def _entry(item: Item, answer: Entry) -> Entry:
    """What is known of the file that the person gave: all of it if they chose a candidate."""
    url, given = (answer, None) if isinstance(answer, str) else (answer["url"], answer["directory"])
    candidate = next((one for one in item.candidates if one.to_dict()["url"] == url), None)
    directory = item.need.directory or given or (candidate and candidate.directory)
    if directory is None or (candidate is None and given is None):
        return url
    digest = candidate.sha256 if candidate is not None else None
    return {"url": url, "directory": directory, **({"sha256": digest} if digest else {})}
