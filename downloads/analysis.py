"""What a workflow needs and what of it is there: the needs, joined with the disk, as analyze_workflow answers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ..bridge.errors import UiapiError
from .needs import Need, Needs, node_types
from .node_inputs import NodeInputs
from .places import Places, same_name
from .presence import Presence


class Analysis:
    """Reads workflows off the event loop.

    Args:
        places: the model folders.
        inputs: what is known of node classes; it learns those it meets.
        presence: looks at the files that are there.
    """

    def __init__(self, places: Places, inputs: NodeInputs, presence: Presence) -> None:
        self._places = places
        self._inputs = inputs
        self._presence = presence
        self._needs = Needs(places, inputs)

    async def needs(self, workflow: Any) -> tuple[list[Need], list[str | None]]:
        """A workflow's needs, and for each the path it is at, or None. UiapiError `invalid`, `too_large`."""
        return await asyncio.to_thread(self._read, workflow)

    async def tell(self, workflow: Any) -> list[dict[str, Any]]:
        """A workflow's needs as analyze_workflow answers them. UiapiError as `needs`."""
        needs, found = await self.needs(workflow)
        damages = await self._presence.damages(
            [(path, need.sha256) for need, path in zip(needs, found, strict=True)]
        )
        told = zip(needs, found, damages, strict=True)
        return await asyncio.to_thread(lambda: [self._one(*one) for one in told])

    async def absent(self, workflow: Any) -> list[dict[str, Any]]:
        """The widgets whose model file is not there, as the tab clears them. UiapiError as `needs`."""
        return await asyncio.to_thread(self._absent, workflow)

    def _read(self, workflow: Any) -> tuple[list[Need], list[str | None]]:
        self._inputs.learn(self._inputs.unknown(node_types(workflow)))
        needs = self._needs.read(workflow)
        return needs, [self._find(need) for need in needs]

    def _absent(self, workflow: Any) -> list[dict[str, Any]]:
        needs, found = self._read(workflow)
        absent = []
        for need, path in zip(needs, found, strict=True):
            for use in need.uses:
                # What counts is the folder the widget lists; a workflow's own record may name another one.
                there = path if use.folder is None else self._places.find(use.folder, need.name)
                if there is None and use.widget is not None:
                    absent.append({"node": use.node, "widget": use.widget, "value": use.value})
        return absent

    def _find(self, need: Need) -> str | None:
        if need.directory is not None:
            folders = dict.fromkeys([need.directory, *(use.folder for use in need.uses if use.folder is not None)])
            return next((path for folder in folders if (path := self._places.find(folder, need.name))), None)
        anywhere = self._places.find_anywhere(need.name)
        return anywhere[1] if anywhere else None

    def _one(self, need: Need, path: str | None, damage: UiapiError | None) -> dict[str, Any]:
        known = need.directory is None or self._places.is_known(need.directory)
        first = next((use for use in need.uses if use.reason is None), need.uses[0])
        return {
            "name": same_name(need.name),
            "directory": need.directory,
            "url": need.urls[0] if need.urls else None,
            "urls": need.urls,
            "exists": path is not None and damage is None,
            "path": path,
            "size": os.path.getsize(path) if path is not None else None,
            "sha256": need.sha256,
            # Only the host knows; plan_downloads asks it.
            "gated": None,
            "needed": need.reason is None,
            "reason": need.reason or ("damaged" if damage else None if known else "unknown_folder"),
            "damage": damage.message if damage else None,
            "node": first.to_dict(),
            "nodes": [use.to_dict() for use in need.uses],
        }
