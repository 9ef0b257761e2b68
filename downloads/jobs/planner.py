"""Plans downloads without downloading: sizes, hashes, obstacles, and whether the disks have enough space."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ..common.error_report import plain, presentable, unforeseen
from ..common.settings import Settings
from ..finding.candidate import Candidate
from ..sources.offers import LocalOffer, Offer, explained
from ..sources.resolver import Sources, clean
from ..storage.disk import DISK_RESERVE
from ..storage.file_presence import Presence
from ..storage.hash_cache import Hashes
from ..storage.model_folders import Places
from ..storage.partial_file import Partial
from ..workflow.disk_copies import Disk
from ..workflow.model_lookup import CHOOSE, RELINK, SPELLED_DIFFERENTLY, Located
from ..workflow.required_models import Need
from .fetches import FetchRequest, agreed_sha256
from .findings import Findings
from .prepared_models import Prepared, prepared_models
from .source_choice import Choice

# Lookups at a time.
QUESTIONS = 8

# The actions of a plan: a model is present, is damaged, would be downloaded, would be linked to a copy under another
# name, cannot be downloaded, has no known source, or is not needed for a run now. For models that are present under
# another path, SPELLED_DIFFERENTLY, RELINK and CHOOSE are actions as well.
PRESENT, DAMAGED, DOWNLOAD, LINK = "present", "damaged", "download", "link"
BLOCKED, UNKNOWN, UNNEEDED = "blocked", "no_url", "not_needed"


class Planner:
    """Makes plans.

    Args:
        places: the model folders.
        sources: looks up references.
        hashes: finds copies under another name.
        presence: checks existing files.
        settings: the operator's settings.
    """

    def __init__(
        self, places: Places, sources: Sources, hashes: Hashes, presence: Presence, settings: Settings
    ) -> None:
        self._places = places
        self._sources = sources
        self._hashes = hashes
        self._presence = presence
        self._settings = settings

    async def plan(
        self,
        needs: Sequence[Need],
        found: Findings,
        *,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """The action for every need, the totals, the space on each disk, and a verdict.

        Args:
            found: the source of each need, and the files that may be it.
            overwrite: whether damaged files, and those of models in the table, would be replaced.
        """
        turns = asyncio.Semaphore(QUESTIONS)
        known = await prepared_models(
            [*zip(needs, found.choices, strict=True)], Disk(self._places, self._presence), self._presence
        )

        async def one(known: Prepared, candidates: Sequence[Candidate]) -> dict[str, Any]:
            async with turns:
                model = await self._of(known, overwrite)
                if candidates and model["action"] == UNKNOWN:
                    model["reason"] = {"code": "no_url", "message": _to_choose(model["name"], len(candidates))}
                return {**model, "candidates": [one.to_dict() for one in candidates]}

        models = await asyncio.gather(*map(one, known, found.candidates))
        fetched = [model for model in models if model["action"] == DOWNLOAD]
        disks = await asyncio.to_thread(self._disks, fetched)
        blocked = [model for model in models if model["action"] in (BLOCKED, UNKNOWN, CHOOSE)]
        counts = Counter(model["action"] for model in models)
        damaged = counts[DAMAGED]
        fits = all(disk["fits"] for disk in disks)
        return {
            "models": models,
            "totals": {
                "models": len(models),
                "present": counts[PRESENT],
                "damaged": damaged,
                **{action: counts[action] for action in (SPELLED_DIFFERENTLY, RELINK, CHOOSE)},
                "download": len(fetched),
                "link": counts[LINK],
                "blocked": len(blocked),
                "bytes": sum(model["remaining"] or 0 for model in fetched),
                "unknown_sizes": sum(model["size"] is None for model in fetched),
            },
            "disks": disks,
            "verdict": "blocked" if blocked or damaged else "ready" if fits else "disk_full",
            "search": found.search,
        }

    async def _of(self, known: Prepared, overwrite: bool) -> dict[str, Any]:
        need, choice, located = known.need, known.choice, known.located
        directory = need.directory or (choice.directory if choice else None)
        model: dict[str, Any] = {
            "name": plain(need.name),
            "directory": plain(directory) if directory else None,
            "action": UNKNOWN,
            "origin": choice.origin if choice else None,
            "source": None,
            "url": None,
            "size": None,
            "remaining": None,
            "sha256": need.sha256,
            "gated": None,
            "early_access": None,
            "path": None,
            "listed": None,
            "copies": [copy.to_dict() for copy in located.copies],
            "similar": [*located.similar],
            "reason": None,
        }
        try:
            return await self._decided(model, known, directory, overwrite)
        except UiapiError as error:
            failure = presentable(error)
        except Exception as error:  # The last line of defence: the plan still covers the other models.
            failure = unforeseen(f"The plan for {need.name}", error)
        gated = True if failure.code == "gated" else None
        reason = {"code": failure.code, "message": failure.message}
        return {**model, "action": BLOCKED, "gated": gated, "reason": reason}

    async def _decided(
        self, model: dict[str, Any], known: Prepared, directory: str | None, overwrite: bool
    ) -> dict[str, Any]:
        need, choice, found, damage = known.need, known.choice, known.located.path, known.damage
        if found is not None:
            model["path"] = found
            if damage is None and not (overwrite and known.requested):
                model["size"] = await asyncio.to_thread(os.path.getsize, found)
                return {**model, "action": PRESENT, **_renamed(known.located)}
        if need.reason is not None:
            reason = {"code": need.reason, "message": f"Its node is {need.reason}."}
            return {**model, "action": UNNEEDED, "reason": reason}
        if known.undecided is not None:
            return {**model, "action": CHOOSE, "reason": {"code": CHOOSE, "message": known.undecided.message}}
        if damage is not None and not overwrite:
            return await self._of_damaged(model, need, directory, choice, damage)
        if choice is None:
            message = f"{model['name']} has no known source; give its URL, or the person will be asked."
            return {**model, "reason": {"code": "no_url", "message": message}}
        if directory is None:
            # For a person, who can choose the directory, to go on with.
            model["url"] = next((clean(text) for kind, text in choice.model.sources if kind == "url"), None)
            raise UiapiError("unknown_folder", f"The directory of {need.name} is unknown; give it, such as 'loras'.")
        request = FetchRequest(directory, need.name, choice.model, choice.sha256, overwrite=found is not None)
        return await self._of_request(model, request)

    async def _of_damaged(
        self, model: dict[str, Any], need: Need, directory: str | None, choice: Choice | None, damage: UiapiError
    ) -> dict[str, Any]:
        """The plan for a damaged file: what is wrong with it, and what would replace it with overwrite."""
        message = damage.message
        if choice is not None and directory is not None:
            request = FetchRequest(directory, need.name, choice.model, choice.sha256, overwrite=True)
            try:
                model = {**model, **await self._of_request(model, request)}
            except UiapiError as error:
                message = f"{message} It cannot be downloaded again at present: {presentable(error).message}"
        return {**model, "action": DAMAGED, "reason": {"code": damage.code, "message": message}}

    async def _of_request(self, model: dict[str, Any], request: FetchRequest) -> dict[str, Any]:
        target = await asyncio.to_thread(request.target, self._places, self._settings)
        offer = await self.first_offer(request)
        model = {**model, "path": str(target)}
        if isinstance(offer, LocalOffer):
            return {**model, "action": LINK, "source": "local", "url": str(offer.path), "size": offer.size}
        sha256 = agreed_sha256(request, offer)
        size = offer.size if offer.size is not None else offer.about
        model.update(source=offer.source, url=offer.shown, size=size, sha256=sha256, gated=False)
        model["early_access"] = offer.early_access
        if sha256 is not None and size is not None:
            same_file = await self._hashes.find(sha256, size, besides=target)
            if same_file is not None:
                return {**model, "action": LINK, "source": "disk", "path": str(target), "url": str(same_file)}
        left = await asyncio.to_thread(Partial(target, self._places.check_folder).load)
        goes_on = left is not None and left[0].may_be(offer.shown, offer.size, sha256)
        missing = sum(end - start for start, end in left[1]) if left is not None and goes_on else size
        return {**model, "action": DOWNLOAD, "remaining": missing}

    async def first_offer(self, request: FetchRequest) -> Offer | LocalOffer:
        """The offer of the first source that has the file. UiapiError if none has it."""
        failures: list[UiapiError] = []
        for kind, text in request.model.sources:
            try:
                offer = await self._sources.look_up(kind, text, request.name)
                if isinstance(offer, LocalOffer):
                    return offer
                try:
                    # The metadata of Hugging Face is complete; other hosts show only on request whether they allow it.
                    return offer if offer.source == "huggingface" else await self._sources.probe(offer)
                except UiapiError as error:
                    raise explained(error, offer) from error
            except UiapiError as error:
                failures.append(error)
        raise failures[0] if failures else UiapiError("invalid", f"The definition of {request.name} has no source.")

    def _disks(self, fetched: list[dict[str, Any]]) -> list[dict[str, Any]]:
        needed: dict[int, int] = {}
        where: dict[int, Path] = {}
        for model in fetched:
            folder = Path(model["path"]).parent
            while not folder.exists():
                folder = folder.parent
            device = folder.stat().st_dev
            where.setdefault(device, folder)
            needed[device] = needed.get(device, 0) + (model["remaining"] or 0)
        disks = []
        for device, folder in where.items():
            free = shutil.disk_usage(folder).free
            fits = needed[device] + DISK_RESERVE <= free
            disks.append({"path": str(folder), "free": free, "needed": needed[device], "fits": fits})
        return disks


def _renamed(located: Located) -> dict[str, Any]:
    """The plan's changes for a model that ComfyUI lists under another name than the widget has."""
    if located.state not in (SPELLED_DIFFERENTLY, RELINK):
        return {}
    listed = plain(located.listed or "")
    message = f"ComfyUI lists it as {listed}; use relink_models to correct the widgets."
    reason = {"code": located.state, "message": message}
    return {"action": located.state, "listed": listed, "reason": reason}


def _to_choose(name: str, number: int) -> str:
    if number == 1:
        return f"A file was found that may be {name}; give the URL of this candidate, or the person will be asked."
    return f"{number} files may be {name}; give the URL of one of these candidates, or the person will be asked."
