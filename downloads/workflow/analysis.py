"""Analyzes workflows: the models they need, and which of them are present, as analyze_workflow returns them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from ...common.errors import UiapiError
from ..storage.file_presence import Presence
from ..storage.model_folders import Places, same_name
from .disk_copies import Disk, Wanted
from .model_lookup import CHOOSE, MISSING, PRESENT, RELINK, SPELLED_DIFFERENTLY, Located
from .node_inputs import NodeInputs
from .relinks import Relinks, relinks
from .required_models import Need, Needs, node_types

# States that say more of a model than that it is present or missing.
_NOT_AS_NAMED = frozenset({"damaged", SPELLED_DIFFERENTLY, RELINK, CHOOSE})


class Analysis:
    """Analyzes workflows off the event loop.

    Args:
        places: the model folders.
        inputs: the inputs of node classes; classes of the workflow are added to it.
        presence: checks existing files.
    """

    def __init__(self, places: Places, inputs: NodeInputs, presence: Presence) -> None:
        self._places = places
        self._inputs = inputs
        self.presence = presence
        self._needs = Needs(places, inputs)

    async def named(self, workflow: Any) -> list[Need]:
        """A workflow's needs; the disk is not read. UiapiError `invalid`, `too_large`."""
        return await asyncio.to_thread(self._named, workflow)

    async def describe(self, workflow: Any) -> list[dict[str, Any]]:
        """A workflow's needs as analyze_workflow returns them. UiapiError as `named`."""
        needs = await self.named(workflow)
        found = await Disk(self._places, self.presence).find_all(_as_named(needs))
        damages = await self.presence.damages(
            [(located.path, need.sha256) for need, located in zip(needs, found, strict=True)]
        )
        models = zip(needs, found, damages, strict=True)
        return await asyncio.to_thread(lambda: [self._one(*model) for model in models])

    async def absent(self, workflow: Any) -> list[dict[str, Any]]:
        """The widgets whose model is missing, for the tab to clear. UiapiError as `named`."""
        needs = await self.named(workflow)
        located = await Disk(self._places, self.presence).find_all(_as_named(needs))
        return [
            {"node": use.node, "widget": use.widget, "value": use.value}
            for need, one in zip(needs, located, strict=True)
            for use, found in zip(need.uses, one.uses, strict=True)
            if use.widget is not None and not use.is_part and found.state == MISSING
        ]

    async def relinks(self, workflow: Any, choices: Mapping[str, str]) -> Relinks:
        """The widgets to relink, and the models for which a file is to be chosen first.

        Args:
            choices: the listed name for each model of that name.

        Raises:
            UiapiError: as `named`; `unknown_model` for a model that the workflow does not need, `invalid` for a name
                that is not listed.
        """
        needs, disk = await self.named(workflow), Disk(self._places, self.presence)
        located = await disk.find_all(_as_named(needs), compare=True)
        return await asyncio.to_thread(relinks, [*zip(needs, located, strict=True)], disk, choices)

    def _named(self, workflow: Any) -> list[Need]:
        self._inputs.learn(self._inputs.unknown(node_types(workflow)))
        return self._needs.read(workflow)

    def _one(self, need: Need, located: Located, damage: UiapiError | None) -> dict[str, Any]:
        known = need.directory is None or self._places.is_known(need.directory)
        first = next((use for use in need.uses if use.reason is None), need.uses[0])
        path, state = located.path, "damaged" if damage else located.state
        wrong = state if state in _NOT_AS_NAMED else None if known else "unknown_folder"
        return {
            "name": same_name(need.name),
            "directory": need.directory,
            "url": need.urls[0] if need.urls else None,
            "urls": need.urls,
            "exists": state == PRESENT,
            "state": state,
            "listed": located.listed,
            "copies": [copy.to_dict() for copy in located.copies],
            "similar": [*located.similar],
            "path": path,
            "size": os.path.getsize(path) if path is not None else None,
            "sha256": need.sha256,
            # Known only to the host, which plan_downloads asks.
            "gated": None,
            "needed": need.reason is None,
            "reason": need.reason or wrong,
            "damage": damage.message if damage else None,
            "named_in": first.named_in,
            "node": first.to_dict(),
            "nodes": [
                {**use.to_dict(), "value": use.value, "state": found.state, "listed": found.listed}
                for use, found in zip(need.uses, located.uses, strict=True)
            ],
        }


def _as_named(needs: list[Need]) -> list[Wanted]:
    return [(need, None, None) for need in needs]
