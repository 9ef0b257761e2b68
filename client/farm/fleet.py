"""The ComfyUIs of a farm as a sweep sees them: which are there, what they lack, and which may be back soon."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .comfyui.catalog import Lack
from .member import PATIENCE


class Fleet:
    """The ComfyUIs. A worker has another address each time it joins, and its ComfyUI keeps its name."""

    def __init__(self) -> None:
        # By address, the name.
        self._machines: dict[str, str] = {}
        self._lacking: dict[str, set[Lack]] = {}
        # By the name of one that has left, until when it may be back, and what it lacked.
        self._away: dict[str, tuple[float, set[Lack]]] = {}

    @property
    def size(self) -> int:
        """How many are there."""
        return len(self._machines)

    def update(self, machines: Mapping[str, str], now: float) -> bool:
        """Note which are there, as their names by address; returns whether that has changed."""
        before, self._machines = self._machines, dict(machines)
        for address, name in before.items():
            if address not in machines:
                self._away[name] = (now + PATIENCE, self._lacking.pop(address, set()))
        there = {*machines.values()}
        self._away = {name: known for name, known in self._away.items() if name not in there and known[0] > now}
        return before != self._machines

    def note_lacks(self, address: str, lacks: Iterable[Lack]) -> None:
        """Note what one lacks."""
        if address in self._machines:
            self._lacking.setdefault(address, set()).update(lacks)

    def suited(self, prompt: Mapping[str, Any], refused: Collection[str]) -> list[str]:
        """Returns the addresses of those that may run a prompt; `refused` are those that did not."""
        return [one for one in self._machines if one not in refused and not _lack(self._lacking.get(one, ()), prompt)]

    def may_return(self, prompt: Mapping[str, Any], now: float) -> bool:
        """Returns whether one that may run a prompt may be back soon."""
        return any(until > now and not _lack(lacks, prompt) for until, lacks in self._away.values())

    def has_any(self, addresses: Iterable[str]) -> bool:
        """Returns whether one of these is there."""
        return any(address in self._machines for address in addresses)


def _lack(lacks: Iterable[Lack], prompt: Mapping[str, Any]) -> bool:
    return any(lack.concerns(prompt) for lack in lacks)
