"""Analyzes workflows: the models they need, and which of them are present, as analyze_workflow returns them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

from ...common.errors import UiapiError
from ..storage.file_presence import Presence
from ..storage.model_folders import Places, same_name
from .mentions import Use
from .model_lookup import MISSING, PRESENT, SPELLED_DIFFERENTLY, Found, Located, Lookup
from .node_inputs import NodeInputs
from .required_models import Need, Needs, node_types


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
        self._presence = presence
        self._needs = Needs(places, inputs)

    async def needs(self, workflow: Any) -> tuple[list[Need], list[Located]]:
        """A workflow's needs, and what was found for each. UiapiError `invalid`, `too_large`."""
        return await asyncio.to_thread(self._read, workflow)

    async def describe(self, workflow: Any) -> list[dict[str, Any]]:
        """A workflow's needs as analyze_workflow returns them. UiapiError as `needs`."""
        needs, found = await self.needs(workflow)
        damages = await self._presence.damages(
            [(located.path, need.sha256) for need, located in zip(needs, found, strict=True)]
        )
        models = zip(needs, found, damages, strict=True)
        return await asyncio.to_thread(lambda: [self._one(*model) for model in models])

    async def absent(self, workflow: Any) -> list[dict[str, Any]]:
        """The widgets whose model is missing, for the tab to clear. UiapiError as `needs`."""
        return await asyncio.to_thread(self._absent, workflow)

    async def respelled(self, workflow: Any) -> list[dict[str, Any]]:
        """The widgets that hold another spelling than their list, for the tab to correct. UiapiError as `needs`."""
        return await asyncio.to_thread(self._respelled, workflow)

    def _read(self, workflow: Any) -> tuple[list[Need], list[Located]]:
        self._inputs.learn(self._inputs.unknown(node_types(workflow)))
        needs, lookup = self._needs.read(workflow), Lookup(self._places)
        return needs, [lookup.of(need) for need in needs]

    def _uses(self, workflow: Any) -> Iterator[tuple[Use, Found]]:
        """The uses in widgets with a known name that hold nothing but the model's name."""
        needs, looked = self._read(workflow)
        for need, located in zip(needs, looked, strict=True):
            for use, found in zip(need.uses, located.uses, strict=True):
                if use.widget is not None and not use.is_part:
                    yield use, found

    def _absent(self, workflow: Any) -> list[dict[str, Any]]:
        return [
            {"node": use.node, "widget": use.widget, "value": use.value}
            for use, found in self._uses(workflow)
            if found.state == MISSING
        ]

    def _respelled(self, workflow: Any) -> list[dict[str, Any]]:
        return [
            {"node": use.node, "widget": use.widget, "value": use.value, "listed": found.listed, "reason": found.state}
            for use, found in self._uses(workflow)
            if found.state == SPELLED_DIFFERENTLY
        ]

    def _one(self, need: Need, located: Located, damage: UiapiError | None) -> dict[str, Any]:
        known = need.directory is None or self._places.is_known(need.directory)
        first = next((use for use in need.uses if use.reason is None), need.uses[0])
        path, state = located.path, "damaged" if damage else located.state
        wrong = state if state in ("damaged", SPELLED_DIFFERENTLY) else None if known else "unknown_folder"
        return {
            "name": same_name(need.name),
            "directory": need.directory,
            "url": need.urls[0] if need.urls else None,
            "urls": need.urls,
            "exists": state == PRESENT,
            "state": state,
            "listed": located.listed,
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
                {**use.to_dict(), "value": use.value, "listed": found.listed}
                for use, found in zip(need.uses, located.uses, strict=True)
            ],
        }
